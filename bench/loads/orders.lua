-- Orders of two lines, by any of 10,000 users, of any two of 1,000 products, or of as many as whoever runs this says. The
-- same orders in every run, made before the first is sent: what is measured is the server, not the making of requests.
local USERS, PRODUCTS, REQUESTS = 10000, PRODUCTS or 1000, 20000
local BODY = '{"userId": %d, "items": [{"productId": %d, "quantity": 1}, {"productId": %d, "quantity": 2}]}'
local requests, sent = {}, 0

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"

function init()
  for number = 1, REQUESTS do
    local first = math.random(PRODUCTS)
    -- Any other product than the first.
    local second = (first + math.random(PRODUCTS - 1) - 1) % PRODUCTS + 1
    requests[number] = wrk.format(nil, nil, nil, BODY:format(math.random(USERS), first, second))
  end
end

function request()
  sent = sent + 1
  return requests[sent % REQUESTS + 1]
end

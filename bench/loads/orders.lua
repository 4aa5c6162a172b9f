-- Orders of two items by random users of 10,000, of two random products of PRODUCTS (1,000 by default). Every run sends
-- the same orders, all made before the first is sent, so that the server is measured and not the script.
local USERS, PRODUCTS, REQUESTS = 10000, PRODUCTS or 1000, 20000
local BODY = '{"userId": %d, "items": [{"productId": %d, "quantity": 1}, {"productId": %d, "quantity": 2}]}'
local requests, sent = {}, 0

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"

function init()
  for number = 1, REQUESTS do
    local first = math.random(PRODUCTS)
    -- Any product but the first.
    local second = (first + math.random(PRODUCTS - 1) - 1) % PRODUCTS + 1
    requests[number] = wrk.format(nil, nil, nil, BODY:format(math.random(USERS), first, second))
  end
end

function request()
  sent = sent + 1
  return requests[sent % REQUESTS + 1]
end

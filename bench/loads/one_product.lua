-- Orders one unit of the same product for random users. Every run sends the same orders, made before the first is sent.
local USERS, REQUESTS = 10000, 20000
local BODY = '{"userId": %d, "items": [{"productId": 1, "quantity": 1}]}'
local requests, sent = {}, 0

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"

function init()
  for number = 1, REQUESTS do
    requests[number] = wrk.format(nil, nil, nil, BODY:format(math.random(USERS)))
  end
end

function request()
  sent = sent + 1
  return requests[sent % REQUESTS + 1]
end

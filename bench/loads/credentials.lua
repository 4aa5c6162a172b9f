-- Orders as those of orders.lua. Line N of the file that is the argument is the credential of user N, who orders with it;
-- with an empty file nobody needs one.
local PRODUCTS, REQUESTS, USERS = 1000, 20000, 1000
local BODY = '{"userId": %d, "items": [{"productId": %d, "quantity": 1}, {"productId": %d, "quantity": 2}]}'
local requests, sent = {}, 0

wrk.method = "POST"

function init(arguments)
  local credentials = {}
  for line in io.lines(arguments[1]) do
    credentials[#credentials + 1] = line
  end
  for number = 1, REQUESTS do
    local user, first = math.random(USERS), math.random(PRODUCTS)
    -- Any product but the first.
    local second = (first + math.random(PRODUCTS - 1) - 1) % PRODUCTS + 1
    local headers = {["Content-Type"] = "application/json"}
    if #credentials > 0 then
      headers["Authorization"] = "Bearer " .. credentials[user]
    end
    requests[number] = wrk.format(nil, nil, headers, BODY:format(user, first, second))
  end
end

function request()
  sent = sent + 1
  return requests[sent % REQUESTS + 1]
end

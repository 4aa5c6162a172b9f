-- Orders of two lines, by any of 10,000 users, of any two of 1,000 products. The same orders in every run.
local USERS, PRODUCTS = 10000, 1000
local BODY = '{"userId": %d, "items": [{"productId": %d, "quantity": 1}, {"productId": %d, "quantity": 2}]}'

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"

function request()
  local first = math.random(PRODUCTS)
  -- Any other product than the first.
  local second = (first + math.random(PRODUCTS - 1) - 1) % PRODUCTS + 1
  return wrk.format(nil, nil, nil, BODY:format(math.random(USERS), first, second))
end

-- Everybody wants one of the same product. The same orders in every run.
local USERS = 10000
local BODY = '{"userId": %d, "items": [{"productId": 1, "quantity": 1}]}'

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"

function request()
  return wrk.format(nil, nil, nil, BODY:format(math.random(USERS)))
end

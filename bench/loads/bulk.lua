-- As orders.lua, but with 100 orders in each request. Every run sends the same requests, made before the first is sent.
local USERS, PRODUCTS, REQUESTS, CALLS = 10000, 1000, 500, 100
local CALL = '{"call": "POST /orders", "body": '
  .. '{"userId": %d, "items": [{"productId": %d, "quantity": 1}, {"productId": %d, "quantity": 2}]}}'
local requests, sent = {}, 0
local thread_of_all
failed_calls = 0

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"

function setup(thread)
  thread_of_all = thread
end

function init()
  for number = 1, REQUESTS do
    local calls = {}
    for call = 1, CALLS do
      local first = math.random(PRODUCTS)
      -- Any product but the first.
      local second = (first + math.random(PRODUCTS - 1) - 1) % PRODUCTS + 1
      calls[call] = CALL:format(math.random(USERS), first, second)
    end
    requests[number] = wrk.format(nil, nil, nil, "[" .. table.concat(calls, ", ") .. "]")
  end
end

function request()
  sent = sent + 1
  return requests[sent % REQUESTS + 1]
end

function response(status, headers, body)
  if status == 200 then
    local _, placed = body:gsub('"status":201', '')
    failed_calls = failed_calls + CALLS - placed
  end
end

function done()
  print(("Calls not answered with 201: %d"):format(thread_of_all:get("failed_calls")))
end

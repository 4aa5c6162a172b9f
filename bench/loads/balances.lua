-- Reads the balance of a random user of 10,000. Every run sends the same requests, all made before the first is sent.
local USERS, REQUESTS = 10000, 20000
local requests, sent = {}, 0

function init()
  for number = 1, REQUESTS do
    requests[number] = wrk.format("GET", ("/users/%d/balance"):format(math.random(USERS)))
  end
end

function request()
  sent = sent + 1
  return requests[sent % REQUESTS + 1]
end

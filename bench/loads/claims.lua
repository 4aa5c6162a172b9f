-- Each request claims a coupon for the next user, since nobody may have two. The first user is the script's argument.
local BODY = '{"userId": %10d, "campaignId": 1}'
local before, after, user

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"

function init(args)
  user = tonumber(args[1]) - 1
  -- All that stays the same is made once: what is measured is the server, not the making of requests.
  local request = wrk.format(nil, nil, nil, BODY:format(0))
  local at = request:find("%s+0,")
  before, after = request:sub(1, at - 1), request:sub(at + 11)
end

function request()
  user = user + 1
  return before .. (" %10d"):format(user) .. after
end

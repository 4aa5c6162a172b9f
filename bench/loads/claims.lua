-- Each request claims a coupon for the next user, since a user may have one only. The argument is the first user.
local BODY = '{"userId": %10d, "campaignId": 1}'
local before, after, user

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"

function init(args)
  user = tonumber(args[1]) - 1
  -- Makes the constant parts once, so that the server is measured and not the script.
  local request = wrk.format(nil, nil, nil, BODY:format(0))
  local at = request:find("%s+0,")
  before, after = request:sub(1, at - 1), request:sub(at + 11)
end

function request()
  user = user + 1
  return before .. (" %10d"):format(user) .. after
end

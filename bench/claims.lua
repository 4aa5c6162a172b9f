-- Each request claims a coupon for the next user, since nobody may have two. The first user is the script's argument.
local BODY = '{"userId": %d, "campaignId": 1}'
local user

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"

function init(args)
  user = tonumber(args[1]) - 1
end

function request()
  user = user + 1
  return wrk.format(nil, nil, nil, BODY:format(user))
end

-- Claims a coupon in Redis. Arguments: campaign, user.
if redis.call('HEXISTS', 'balances', ARGV[2]) == 0 then return {'no such user'} end
local left = redis.call('HGET', 'coupons_left', ARGV[1])
if not left or tonumber(left) < 1 then return {'sold out'} end
if redis.call('SADD', 'claimants:' .. ARGV[1], ARGV[2]) == 0 then return {'already claimed'} end
redis.call('HINCRBY', 'coupons_left', ARGV[1], -1)
local coupon = redis.call('INCR', 'last_coupon')
redis.call('XADD', 'accepted', '*', 'coupon', coupon, 'campaign', ARGV[1], 'user', ARGV[2])
return {coupon}

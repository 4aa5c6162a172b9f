-- Places an order in Redis, all or nothing: a script runs alone. Arguments: user, then product and quantity of each line.
local user = ARGV[1]
local balance = redis.call('HGET', 'balances', user)
if not balance then return {'no such user'} end
local total, lines = 0, {}
for at = 2, #ARGV, 2 do
    local product, quantity = ARGV[at], tonumber(ARGV[at + 1])
    local stock = redis.call('HGET', 'stocks', product)
    if not stock then return {'no such product'} end
    if tonumber(stock) < quantity then return {'out of stock'} end
    local price = redis.call('HGET', 'prices', product)
    total = total + quantity * price
    lines[#lines + 1] = product .. ':' .. ARGV[at + 1] .. ':' .. price
end
if tonumber(balance) < total then return {'insufficient balance'} end
for at = 2, #ARGV, 2 do
    redis.call('HINCRBY', 'stocks', ARGV[at], -ARGV[at + 1])
end
local after = redis.call('HINCRBY', 'balances', user, string.format('%.0f', -total))
local order = redis.call('INCR', 'last_order')
redis.call(
    'XADD', 'accepted', '*', 'order', order, 'user', user, 'total', string.format('%.0f', total),
    'after', string.format('%.0f', after), 'lines', table.concat(lines, ',')
)
return {order, string.format('%.0f', total)}

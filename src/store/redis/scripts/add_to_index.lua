-- Adds an entry to a subject's index, whose key expires with its last entry.
-- KEYS: the index.
-- ARGV: field, value, the earliest expiry of the key, up to how many entries none are returned, else how many are.
-- Returns fields and values of random entries.
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
local until_time = tonumber(ARGV[3])
if redis.call('PEXPIRETIME', KEYS[1]) < until_time then redis.call('PEXPIREAT', KEYS[1], until_time) end
if redis.call('HLEN', KEYS[1]) <= tonumber(ARGV[4]) then return {} end
return redis.call('HRANDFIELD', KEYS[1], ARGV[5], 'WITHVALUES')

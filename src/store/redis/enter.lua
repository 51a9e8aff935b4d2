-- Puts an entry into a subject's index, which lasts as long as its last entry.
-- ARGV: field, value, when to forget the index at the earliest, how many entries are few, how many to answer otherwise.
-- Answers fields and values of some entries, by chance, if there are not few.
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
local until_time = tonumber(ARGV[3])
if redis.call('PEXPIRETIME', KEYS[1]) < until_time then redis.call('PEXPIREAT', KEYS[1], until_time) end
if redis.call('HLEN', KEYS[1]) <= tonumber(ARGV[4]) then return {} end
return redis.call('HRANDFIELD', KEYS[1], ARGV[5], 'WITHVALUES')

-- Puts an entry into a subject's index, which lasts as long as its last entry.
-- ARGV: field, value, when to forget the index at the earliest.
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
local until_time = tonumber(ARGV[3])
if redis.call('PEXPIRETIME', KEYS[1]) < until_time then redis.call('PEXPIREAT', KEYS[1], until_time) end

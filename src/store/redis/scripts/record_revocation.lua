-- Stores in a subject's index that its sessions were revoked. The index expires with its last entry.
-- KEYS: the index.
-- ARGV: field, value, the earliest expiry of the key.
-- The first command that writes needs no room, for Redis checks only before that one whether it has room.
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
local until_time = tonumber(ARGV[3])
if redis.call('PEXPIRETIME', KEYS[1]) < until_time then redis.call('PEXPIREAT', KEYS[1], until_time) end

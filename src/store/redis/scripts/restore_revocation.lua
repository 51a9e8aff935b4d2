-- Stores in a subject's index that another store revoked its sessions, unless a later revocation is known.
-- KEYS: the index.
-- ARGV: field, value, the earliest expiry of the key.
local stored = redis.call('HGET', KEYS[1], ARGV[1])
if stored and struct.unpack('>I6', stored) >= struct.unpack('>I6', ARGV[2]) then return end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
local until_time = tonumber(ARGV[3])
if redis.call('PEXPIRETIME', KEYS[1]) < until_time then redis.call('PEXPIREAT', KEYS[1], until_time) end

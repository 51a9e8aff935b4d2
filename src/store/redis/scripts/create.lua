-- Stores a new session, unless there is a hash of this key already, a tombstone included.
-- KEYS: the session, its app's generation, the feed of its partition, the feed's count; for an imported session also
--   the time of the app's last revocation.
-- ARGV: when the key expires, the meta field without the generation, the id, when the credential of an imported session
--   was issued, then fields and values.
-- Returns 1 when done, 0 if the key is taken, 2 if the app's sessions were revoked since then.
local key = KEYS[1]
if redis.call('EXISTS', key) == 1 then return 0 end
local generation = tonumber(redis.call('GET', KEYS[2]) or '0')
local revoked = KEYS[5] and redis.call('GET', KEYS[5])
if revoked and tonumber(ARGV[4]) <= tonumber(revoked) then return 2 end
if KEYS[5] and not revoked and generation > 0 then return 2 end
-- The session comes last, so that an error on the way, such as a missing right, leaves none behind.
append_to_feed(KEYS[3], KEYS[4], struct.pack('>B', 128) .. string.sub(ARGV[2], 25, 30) .. ARGV[3])  -- created
redis.call('HSET', key, 'm', ARGV[2] .. struct.pack('>I4', generation))
-- unpack returns a few thousand values at most.
for first = 5, #ARGV, 2000 do
  redis.call('HSET', key, unpack(ARGV, first, math.min(first + 1999, #ARGV)))
end
local result = redis.pcall('PEXPIREAT', key, ARGV[1])
if type(result) == 'table' then
  redis.call('DEL', key)
  return result
end
return 1

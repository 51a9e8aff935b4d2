-- A new session, unless something is kept there, a tombstone included.
-- KEYS[5], with an imported one: when the generation was raised.
-- ARGV: when to forget it, the meta field without the generation, the id, when it was issued elsewhere, then fields and values.
-- Answers 1 when done, 0 if something is there, 2 if all that was issued then is revoked.
local key = KEYS[1]
if redis.call('EXISTS', key) == 1 then return 0 end
local generation = tonumber(redis.call('GET', KEYS[2]) or '0')
if KEYS[5] and generation > 0 then
  local revoked = redis.call('GET', KEYS[5])
  if not revoked or tonumber(ARGV[4]) <= tonumber(revoked) then return 2 end
end
redis.call('HSET', key, 'm', ARGV[2] .. struct.pack('>I4', generation))
-- unpack takes a few thousand values at most.
for first = 5, #ARGV, 2000 do
  redis.call('HSET', key, unpack(ARGV, first, math.min(first + 1999, #ARGV)))
end
redis.call('PEXPIREAT', key, ARGV[1])
notice(KEYS[3], KEYS[4], struct.pack('>B', 128) .. string.sub(ARGV[2], 25, 30) .. ARGV[3])
return 1

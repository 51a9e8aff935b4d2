-- Writes an imported session in place of what is there, unless that has changed since it was read.
-- KEYS: the session, its app's generation, the time of the app's last revocation.
-- ARGV: meta, access time and end as they were read, '' for what is missing; the generation and the time as they were
--   read; when the key expires, the meta field without the generation, then fields and values.
-- Returns whether it was written.
local key = KEYS[1]
local stored = redis.call('HMGET', key, 'm', 'u', 'x')
local generation = redis.call('GET', KEYS[2]) or '0'
if (stored[1] or '') ~= ARGV[1] or (stored[2] or '') ~= ARGV[2] or (stored[3] or '') ~= ARGV[3]
   or generation ~= ARGV[4] or (redis.call('GET', KEYS[3]) or '') ~= ARGV[5] then
  return 0
end
-- Redis checks only before the first command that writes whether it has room. DEL would need none.
if stored[1] then
  redis.call('HSET', key, ARGV[8], ARGV[9])
  redis.call('DEL', key)
end
for first = 8, #ARGV, 2000 do
  redis.call('HSET', key, unpack(ARGV, first, math.min(first + 1999, #ARGV)))
end
redis.call('HSET', key, 'm', ARGV[7] .. struct.pack('>I4', tonumber(generation)))
redis.call('PEXPIREAT', key, ARGV[6])
return 1

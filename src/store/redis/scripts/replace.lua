-- Puts a record in place of what is there, or deletes it, unless that has changed since it was read. Writes no event.
-- KEYS: the session, its app's generation.
-- ARGV: meta, access time and end as they were read, '' for what is missing; the generation as it was read, '' if there
--   was no record; 'd' deletes, 'k' keeps the generation that the new meta field has, 'c' sets it to the app's; when the
--   key expires, the meta field, then fields and values.
-- Returns whether it was done.
local key = KEYS[1]
local stored = redis.call('HMGET', key, 'm', 'u', 'x')
local generation = redis.call('GET', KEYS[2]) or '0'
if (stored[1] or '') ~= ARGV[1] or (stored[2] or '') ~= ARGV[2] or (stored[3] or '') ~= ARGV[3]
   or (ARGV[4] ~= '' and generation ~= ARGV[4]) then
  return 0
end
-- DEL needs no room, and after it Redis does not check whether there is some: so a full Redis takes marks.
if stored[1] or ARGV[5] == 'k' then redis.call('DEL', key) end
if ARGV[5] == 'd' then return 1 end
local meta = ARGV[7]
if ARGV[5] == 'c' then meta = string.sub(meta, 1, -5) .. struct.pack('>I4', tonumber(generation)) end
redis.call('HSET', key, 'm', meta)
for first = 8, #ARGV, 2000 do
  redis.call('HSET', key, unpack(ARGV, first, math.min(first + 1999, #ARGV)))
end
redis.call('PEXPIREAT', key, ARGV[6])
return 1

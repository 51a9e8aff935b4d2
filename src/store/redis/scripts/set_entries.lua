-- The most frequent save: sets entries, may unset others, and leaves everything else of the session as it is. So it
-- never ends the session. It does what edit.lua would do, at half the cost.
-- The idempotency record and the expiry are written as in tombstone.lua and edit.lua, but in place: functions for both
-- took 9 % more instructions.
-- ARGV[1] goes on with: most entries, most bytes, context ('' leaves it, '=...' sets it) after its length, how many
--   fields to unset.
-- Then ARGV: the fields to unset; fields and values to set, at least one.
-- Returns the head's m, u and s in one string when done, {4, count} too many entries, {5, bytes} too many bytes.
local most_entries, most_bytes, context, unset = struct.unpack('>I4I4I2c0I2', ARGV[1], after_call)
local first = 2 + unset
local count_before, bytes_before, access_time_before = count, bytes, access_time

local removed = {}
for at = 2, first - 1 do
  local before = redis.call('HSTRLEN', key, ARGV[at])  -- no stored value is empty
  if before > 0 then
    count = count - 1
    bytes = bytes - (#ARGV[at] - 2) - before
    removed[#removed + 1] = ARGV[at]
  end
end
for at = first, #ARGV, 2 do
  local before = redis.call('HSTRLEN', key, ARGV[at])
  if before == 0 then
    count = count + 1
    bytes = bytes + (#ARGV[at] - 2)
  end
  bytes = bytes - before + #ARGV[at + 1]
end
if count > most_entries and count > count_before then return {4, count} end
if bytes > most_bytes and bytes > bytes_before then return {5, bytes} end

if now > access_time then access_time = now end
local meta = struct.pack(META_FORMAT, version + 1, verifier_hash, create_time, idle_timeout, deadline,
  authenticate_time, permanent, count, bytes, generation)
local access = struct.pack('>I8', access_time)
-- Only if there is something to remove: after its first write, Redis no longer checks whether it has room for a script.
if #removed > 0 then redis.call('HDEL', key, unpack(removed)) end
if fingerprint == '' then
  redis.call('HSET', key, 'm', meta, 'u', access, unpack(ARGV, first))
else
  records = string.sub(records .. fingerprint .. struct.pack('>I6BB', now, 3, 0), -RECORDS_BYTES)  -- updated
  redis.call('HSET', key, 'm', meta, 'u', access, 'k', records, unpack(ARGV, first))
end
if context ~= '' and context ~= '=' .. (head[5] or '') then
  redis.call('HSET', key, 'c', string.sub(context, 2))
end
if access_time - access_time % EXPIRY_STEP > access_time_before then
  local expiry = math.min(access_time + EXPIRY_STEP + idle_timeout, deadline) + TOMBSTONE_TTL
  redis.call('PEXPIREAT', key, string.format('%d', expiry), 'GT')
end
return meta .. access .. (head[3] or '')

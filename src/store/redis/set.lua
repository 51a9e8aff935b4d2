-- The save that is asked for most: it sets entries, may unset others, and leaves all else of the session as it is, so that
-- it can't be its end. It does what edit.lua would, for half the price.
-- ARGV[1] goes on with: most entries, most bytes, context ('' keep, '=...') behind its length, how many fields to unset.
-- Then ARGV: those fields; fields and values to set, at least one.
-- The mark and the expiry are as bury.lua and edit.lua have them, in place: functions for both took 9 % more instructions.
-- Answers in one string the head's m, u and s when done, {4, count} too many, {5, bytes} too large.
local most_entries, most_bytes, context, unset = struct.unpack('>I4I4I2c0I2', ARGV[1], after_call)
local first = 2 + unset
local count_before, bytes_before, used_before = count, bytes, used

local gone = {}
for at = 2, first - 1 do
  local before = redis.call('HSTRLEN', key, ARGV[at])  -- no kept value is empty
  if before > 0 then
    count = count - 1
    bytes = bytes - (#ARGV[at] - 2) - before
    gone[#gone + 1] = ARGV[at]
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

if now > used then used = now end
local meta = struct.pack(META, version + 1, proof, create, idle, deadline, authenticate, permanent, count, bytes, born)
local use = struct.pack('>I8', used)
-- Only if there is something to remove: a script that has written before is not asked any more whether Redis is full.
if #gone > 0 then redis.call('HDEL', key, unpack(gone)) end
if fingerprint == '' then
  redis.call('HSET', key, 'm', meta, 'u', use, unpack(ARGV, first))
else
  marks = string.sub(marks .. fingerprint .. struct.pack('>I6BB', now, 3, 0), -16 * MARK)
  redis.call('HSET', key, 'm', meta, 'u', use, 'k', marks, unpack(ARGV, first))
end
if context ~= '' and context ~= '=' .. (h[5] or '') then
  redis.call('HSET', key, 'c', string.sub(context, 2))
end
if used - used % MINUTE > used_before then
  local time = math.min(used + MINUTE + idle, deadline) + MEMORY
  redis.call('PEXPIREAT', key, string.format('%d', time), 'GT')
end
return meta .. use .. (h[3] or '')

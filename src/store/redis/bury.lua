-- What edit.lua and end.lua need besides: the marks, the expiry, the feed, and the end of a session.
-- KEYS[3] is the feed of the session's partition, KEYS[4] its count.

-- The marks from now on.
local function with_mark(outcome)
  if fingerprint == '' then return redis.call('HGET', key, 'k') or '' end
  return string.sub(marks .. fingerprint .. struct.pack('>I6BB', now, outcome, 0), -16 * MARK)
end

-- Forgets the session at that time, but not before what it was imported by opens nothing any more.
local function forget_at(time, origin)
  if origin then time = math.max(time, (struct.unpack('>I6', origin, 7))) end
  redis.call('PEXPIREAT', key, string.format('%d', time))
end

local function tell(happening)
  local id = string.gsub(string.sub(key, -32), '..', function(hex) return string.char(tonumber(hex, 16)) end)
  notice(KEYS[3], KEYS[4], struct.pack('>BI6', happening, now) .. id)
end

-- Replaces the session by its tombstone: reason, proofs and marks.
local function bury(meta, reason, counters)
  local previous, origin = unpack(redis.call('HMGET', key, 'p', 'o'))
  local ending = struct.pack('>BI6', reason, now)
  local marks = with_mark(4)
  redis.call('DEL', key)
  redis.call('HSET', key, 'm', meta, 'u', h[2], 'x', ending)
  if previous then redis.call('HSET', key, 'p', previous) end
  if marks ~= '' then redis.call('HSET', key, 'k', marks) end
  if origin then redis.call('HSET', key, 'o', origin) end
  forget_at(now + MEMORY, origin)
  tell(reason)
  return {1, meta .. h[2], ending, h[3] or '', counters}
end

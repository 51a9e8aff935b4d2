-- What every script begins with: the head, and the question whether this is a plain go.
--
-- A script compares and writes. Whatever is not a plain go it answers as it is, and the judge, which
-- stands in the service, explains it. The layout is that of store/packed.rs.
--   m  version, proof, create, idle, deadline, authenticate, permanent, count, bytes, generation
--   u  last use    s  subject    p  previous token    k  marks    c  context    x  end    o  origin, if imported
--   e:<name>  an entry: JSON text as it is, raw bytes behind a zero byte
local META = '>I8c16I6I6I6I6BI4I4I4'
local MEMORY = 960000       -- an end is remembered for 16 minutes
local MARK_MEMORY = 600000  -- a mark, and the token before, for 10
local MARK = 24             -- bytes of a mark; a session keeps the newest 16

local key = KEYS[1]
local h = redis.call('HMGET', key, 'm', 'u', 's', 'p', 'k', 'c', 'x', 'o')
local generation = tonumber(redis.call('GET', KEYS[2]) or '0')

-- Whether the call has the right to write: '' as an administrator, 'p...' with the current token's proof, 'e...' with
-- that or the ones that the last rotation replaced, while they are remembered, 's...' if the session is that subject's.
local function may(shown, proof, now)
  local kind, what = string.sub(shown, 1, 1), string.sub(shown, 2)
  if kind == 's' then return what == h[3] end
  if shown == '' or what == proof then return true end
  if kind ~= 'e' or not h[4] then return false end
  local was_current = string.byte(h[4], 39) >= 2 and what == string.sub(h[4], -16)
  if what ~= string.sub(h[4], 1, 16) and not was_current then return false end
  local grace, time = struct.unpack('>I6I6', h[4], 40)
  return now < time + math.max(grace, MARK_MEMORY)
end

-- Forgets the session at that time, but not before what it was imported by opens nothing any more.
local function forget_at(time)
  if h[8] then time = math.max(time, (struct.unpack('>I6', h[8], 7))) end
  redis.call('PEXPIREAT', key, time)
end

-- KEYS[3] is the feed of the session's partition, KEYS[4] its count.
local function tell(happening, now)
  local id = string.gsub(string.sub(key, -32), '..', function(hex) return string.char(tonumber(hex, 16)) end)
  notice(KEYS[3], KEYS[4], struct.pack('>BI6', happening, now) .. id)
end

local function marked(fingerprint, now)
  local marks = h[5] or ''
  for at = 1, #marks, MARK do
    if string.sub(marks, at, at + 7) == string.sub(fingerprint, 1, 8)
       and now < struct.unpack('>I6', marks, at + 16) + MARK_MEMORY then
      return true
    end
  end
  return false
end

local function with_mark(fingerprint, now, outcome)
  local marks = h[5] or ''
  if fingerprint == '' then return marks end
  marks = marks .. fingerprint .. struct.pack('>I6BB', now, outcome, 0)
  return string.sub(marks, -16 * MARK)
end

-- Replaces the session by its tombstone: reason, proofs and marks.
local function bury(meta, fingerprint, now, reason)
  local marks = with_mark(fingerprint, now, 4)
  local ending = struct.pack('>BI6', reason, now)
  redis.call('DEL', key)
  redis.call('HSET', key, 'm', meta, 'u', h[2], 'x', ending)
  if h[4] then redis.call('HSET', key, 'p', h[4]) end
  if marks ~= '' then redis.call('HSET', key, 'k', marks) end
  if h[8] then redis.call('HSET', key, 'o', h[8]) end
  forget_at(now + MEMORY)
  tell(reason, now)
  return {meta, h[2], false, h[4], marks, false, ending, h[8]}
end

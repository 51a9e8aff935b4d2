-- What every script that writes to a session begins with: the call, the head, and whether this is a plain go.
--
-- A script compares and writes. Whatever is not a plain go it answers as it is, and the judge, which
-- stands in the service, explains it. The layout is that of store/packed.rs.
--   m  version, proof, create, idle, deadline, authenticate, permanent, count, bytes, generation
--   u  last use    s  subject    p  previous token    k  marks    c  context    x  end    o  origin, if imported
--   e:<name>  an entry: JSON text as it is, raw bytes behind a zero byte
-- Half of what a script costs is what goes in and out of it: each argument, each field that is read, each table that
-- is answered. So what is asked stands packed in one string, and only what is mostly needed is read at once.
--
-- KEYS: the session, its app's generation.
-- ARGV[1]: now; by what right, etag, fingerprint, each behind its length; then what the verb asks for besides.
-- Answers {2} missing, {0, generation, head} as it is.
local META = '>I8c16I6I6I6I6BI4I4I4'
local MEMORY = 960000       -- an end is remembered for 16 minutes
local MARK_MEMORY = 600000  -- a mark, and the token before, for 10
local MARK = 24             -- bytes of a mark; a session keeps the newest 16
local MINUTE = 60000        -- a key's expiry is a minute late, so that a save in the minute of the use before need not move it

local key = KEYS[1]
local now, right, etag, fingerprint, after_call = struct.unpack('>I6I2c0Bc0Bc0', ARGV[1])
local h
if fingerprint == '' then
  h = redis.call('HMGET', key, 'm', 'u', 's', 'x', 'c')
else
  h = redis.call('HMGET', key, 'm', 'u', 's', 'x', 'c', 'k')
end
if not h[1] then return {2} end
local generation = tonumber(redis.call('GET', KEYS[2]) or '0')
local version, proof, create, idle, deadline, authenticate, permanent, count, bytes, born = struct.unpack(META, h[1])
local used = struct.unpack('>I8', h[2])

-- Whether the call has the right to write: '' as an administrator, 'p...' with the current token's proof, 'e...' with
-- that or the ones that the last rotation replaced, while they are remembered, 's...' if the session is that subject's.
local may = right == '' or right == 'p' .. proof or right == 'e' .. proof
if not may then
  local kind, what = string.sub(right, 1, 1), string.sub(right, 2)
  local previous = kind == 'e' and redis.call('HGET', key, 'p')
  if kind == 's' then
    may = what == h[3]
  elseif previous then
    local was_current = string.byte(previous, 39) >= 2 and what == string.sub(previous, -16)
    local grace, time = struct.unpack('>I6I6', previous, 40)
    may = (was_current or what == string.sub(previous, 1, 16)) and now < time + math.max(grace, MARK_MEMORY)
  end
end

local marks, is_marked = h[6] or '', false
if fingerprint ~= '' then
  local request = string.sub(fingerprint, 1, 8)
  local at = string.find(marks, request, 1, true)
  while at do
    is_marked = is_marked or (at % MARK == 1 and now < struct.unpack('>I6', marks, at + 16) + MARK_MEMORY)
    at = string.find(marks, request, at + 1, true)
  end
end

if h[4] or born < generation or now >= deadline or now >= used + idle
   or not may or is_marked or (etag ~= '' and etag ~= string.sub(h[1], 1, 8)) then
  return {0, generation, redis.call('HMGET', key, 'm', 'u', 's', 'p', 'k', 'c', 'x', 'o')}
end

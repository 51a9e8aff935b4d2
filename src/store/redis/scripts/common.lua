-- The first part of each script that writes to a session: reads the call and the head, and decides whether the fast
-- path applies, that is, whether the judge would surely allow the write.
--
-- A script compares and writes. If the fast path does not apply, it returns the head, and the judge decides in the
-- service. The fields of a session's hash are, as store/encoding.rs names and encodes them:
--   m  meta: version, verifier hash, create time, idle timeout, deadline, authenticate time, permanent, entry count,
--      entry bytes, generation
--   u  access time  s  subject  p  previous token  k  idempotency records  c  context  x  end  o  imported from
--   e:<name>  an entry: JSON text as it is, raw bytes after a zero byte
-- Half of what a script costs is its input and output: each argument, each field that is read, each table that is
-- returned. So a call is packed into one string, and only the fields that are mostly needed are read at first.
--
-- scripts.rs replaces names in capitals by their values, for example that of the list of all fields but entries.
-- KEYS: the session, its app's generation. Without the second, the last four bytes of ARGV[1] are the generation.
-- ARGV[1]: now; authority, etag and fingerprint, each after its length; then what the operation needs besides.
-- Returns {2} missing, {0, generation, head} undecided.
local key = KEYS[1]
local now, authority, etag, fingerprint, after_call = struct.unpack('>I6I2c0Bc0Bc0', ARGV[1])
local head
if fingerprint == '' then
  head = redis.call('HMGET', key, 'm', 'u', 's', 'x', 'c')
else
  head = redis.call('HMGET', key, 'm', 'u', 's', 'x', 'c', 'k')
end
if not head[1] then return {2} end
if #head[1] ~= META_BYTES or not head[2] or #head[2] ~= 8 then return CORRUPT_ERROR end
local app_generation = KEYS[2] and tonumber(redis.call('GET', KEYS[2]) or '0')
  or struct.unpack('>I4', ARGV[1], #ARGV[1] - 3)
local version, verifier_hash, create_time, idle_timeout, deadline, authenticate_time, permanent, count, bytes,
  generation = struct.unpack(META_FORMAT, head[1])
local access_time = struct.unpack('>I8', head[2])

-- The authority is '' for an administrator; 'p' and a verifier hash, which has to be the current token's; 'e' and one
-- that may also be of a token that the last rotation replaced, as long as it is remembered; 's' and the session's
-- subject.
local is_authorized = authority == '' or authority == 'p' .. verifier_hash or authority == 'e' .. verifier_hash
if not is_authorized then
  local kind, presented = string.sub(authority, 1, 1), string.sub(authority, 2)
  local previous = kind == 'e' and redis.call('HGET', key, 'p')
  if kind == 's' then
    is_authorized = presented == head[3]
  elseif previous then
    if #previous < 51 then return CORRUPT_ERROR end
    local was_current = string.byte(previous, 39) >= 2 and presented == string.sub(previous, -16)
    local grace, time = struct.unpack('>I6I6', previous, 40)
    is_authorized = (was_current or presented == string.sub(previous, 1, 16))
      and now < time + math.max(grace, PREVIOUS_TOKEN_TTL)
  end
end

local records, is_repeated = head[6] or '', false
if fingerprint ~= '' then
  if #records % RECORD_BYTES ~= 0 then return CORRUPT_ERROR end
  local request_id = string.sub(fingerprint, 1, 8)
  local at = string.find(records, request_id, 1, true)
  while at do
    is_repeated = is_repeated
      or (at % RECORD_BYTES == 1 and now < struct.unpack('>I6', records, at + 16) + IDEMPOTENCY_TTL)
    at = string.find(records, request_id, at + 1, true)
  end
end

if head[4] or generation < app_generation or now >= deadline or now >= access_time + idle_timeout
   or not is_authorized or is_repeated or (etag ~= '' and etag ~= string.sub(head[1], 1, 8)) then
  return {0, app_generation, redis.call('HMGET', key, HEAD_FIELDS)}
end

-- Moves the access time of a session forward. Does nothing if that would create, revive or change anything else.
-- KEYS: the session.
-- ARGV: verifier hash, access time, context ('' leaves it, '=...' sets it).
-- Returns 1 when done, 0 otherwise.
local key = KEYS[1]
local head = redis.call('HMGET', key, 'm', 'u', 'x')
if not head[1] or head[3] then return 0 end
if #head[1] ~= META_BYTES or not head[2] or #head[2] ~= 8 then return CORRUPT_ERROR end
if string.sub(head[1], 9, 24) ~= ARGV[1] then return 0 end
local access_time = tonumber(ARGV[2])
local access_time_before = struct.unpack('>I8', head[2])
local idle_timeout, deadline = struct.unpack('>I6I6', head[1], 31)
if access_time <= access_time_before or access_time >= math.min(access_time_before + idle_timeout, deadline) then
  return 0
end
redis.call('HSET', key, 'u', struct.pack('>I8', access_time))
if ARGV[3] == '=' then
  redis.call('HDEL', key, 'c')
elseif ARGV[3] ~= '' then
  redis.call('HSET', key, 'c', string.sub(ARGV[3], 2))
end
-- As in set_entries.lua. GT: never before the credential that the session was imported from expires.
local expiry = math.min(access_time + EXPIRY_STEP + idle_timeout, deadline) + TOMBSTONE_TTL
redis.call('PEXPIREAT', key, string.format('%d', expiry), 'GT')
return 1

-- A use that changed nothing: never creates, never revives, never goes back.
-- ARGV: proof, time of use, context ('' keep, '=...').
local key = KEYS[1]
local h = redis.call('HMGET', key, 'm', 'u', 'x', 'o')
if not h[1] or h[3] or string.sub(h[1], 9, 24) ~= ARGV[1] then return 0 end
local used = tonumber(ARGV[2])
local last = struct.unpack('>I8', h[2])
local idle, deadline = struct.unpack('>I6I6', h[1], 31)
if used <= last or used >= math.min(last + idle, deadline) then return 0 end
redis.call('HSET', key, 'u', struct.pack('>I8', used))
if ARGV[3] == '=' then
  redis.call('HDEL', key, 'c')
elseif ARGV[3] ~= '' then
  redis.call('HSET', key, 'c', string.sub(ARGV[3], 2))
end
local forget = math.min(used + idle, deadline) + 960000
-- What it was imported by may be good for longer.
if h[4] then forget = math.max(forget, (struct.unpack('>I6', h[4], 7))) end
redis.call('PEXPIREAT', key, forget)
return 1

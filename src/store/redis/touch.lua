-- A use that changed nothing: never creates, never revives, never goes back.
-- ARGV: proof, time of use, context ('' keep, '=...').
local key = KEYS[1]
local h = redis.call('HMGET', key, 'm', 'u', 'x')
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
-- As set.lua has it: a minute late, and not before what it was imported by opens nothing any more.
redis.call('PEXPIREAT', key, string.format('%d', math.min(used + 60000 + idle, deadline) + 960000), 'GT')
return 1

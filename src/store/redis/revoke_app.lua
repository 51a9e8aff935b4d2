-- Raises an app's generation in one partition: whatever was created there before has ended.
-- ARGV: now.
redis.call('INCR', KEYS[1])
if tonumber(ARGV[1]) > tonumber(redis.call('GET', KEYS[4]) or '0') then redis.call('SET', KEYS[4], ARGV[1]) end
local number = redis.call('INCR', KEYS[3])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', 1000, '*', 'n', number, 'e', struct.pack('>I6', tonumber(ARGV[1])))

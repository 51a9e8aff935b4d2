-- Raises an app's generation in one partition: whatever was created there before has ended.
-- ARGV: now.
redis.call('INCR', KEYS[1])
if tonumber(ARGV[1]) > tonumber(redis.call('GET', KEYS[4]) or '0') then redis.call('SET', KEYS[4], ARGV[1]) end
notice(KEYS[2], KEYS[3], struct.pack('>I6', tonumber(ARGV[1])))

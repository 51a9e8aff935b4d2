-- Raises an app's generation in one partition: whatever was created there before has ended.
-- ARGV: now.
redis.call('INCR', KEYS[1])
notice(KEYS[2], KEYS[3], struct.pack('>I6', tonumber(ARGV[1])))

-- Raises an app's generation in one partition, which ends all sessions that have been created there so far.
-- KEYS: the generation, the feed of the partition, the feed's count, the time of the last revocation.
-- ARGV: now.
redis.call('INCR', KEYS[1])
if tonumber(ARGV[1]) > tonumber(redis.call('GET', KEYS[4]) or '0') then redis.call('SET', KEYS[4], ARGV[1]) end
append_to_feed(KEYS[2], KEYS[3], struct.pack('>I6', tonumber(ARGV[1])))

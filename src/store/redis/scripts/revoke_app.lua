-- Raises an app's generation in one partition, which ends all sessions that have been created there so far.
-- KEYS: the generation, the feed of the partition, the feed's count, the time of the last revocation.
-- ARGV: now.
-- The first command that writes needs no room, for Redis checks only before that one whether it has room. Without the
-- time nobody can import a session that was revoked, so that an error on the way lets no one in.
local revoked = tonumber(redis.call('GET', KEYS[4]) or '0')
redis.call('DEL', KEYS[4])
redis.call('INCRBY', KEYS[1], 1)
redis.call('SET', KEYS[4], string.format('%d', math.max(revoked, tonumber(ARGV[1]))))
append_to_feed(KEYS[2], KEYS[3], struct.pack('>I6', tonumber(ARGV[1])))

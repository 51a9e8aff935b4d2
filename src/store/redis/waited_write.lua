-- Writes something, so that a wait on the same connection covers everything that was written before it.
-- KEYS: a key of its own.
-- The first command that writes needs no room, for Redis checks only before that one whether it has room.
redis.call('HDEL', KEYS[1], 'none')
redis.call('HINCRBY', KEYS[1], 'n', 1)

-- Removes an entry from a subject's index, unless it has been replaced by another one of the same session.
-- KEYS: the index.
-- ARGV: field, value.
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end

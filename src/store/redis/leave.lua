-- Takes one entry out of a subject's index, if it is still the one that was seen.
-- ARGV: field, value.
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end

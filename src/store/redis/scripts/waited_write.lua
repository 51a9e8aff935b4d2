-- Writes something, so that a wait on the same connection covers everything that was written before it.
-- KEYS: a key of its own. ARGV: "asked" if the node is getting the slot.
-- The first command that writes needs no room, for Redis checks only before that one whether it has room.
redis.call('HDEL', KEYS[1], 'none')
redis.call('HINCRBY', KEYS[1], 'n', 1)
-- The node that has the slot may have such a key, too. It could not move it here.
if ARGV[1] == 'asked' then
    redis.call('DEL', KEYS[1])
end

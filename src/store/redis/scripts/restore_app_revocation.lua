-- Stores when another store revoked all sessions of an app, for one partition, unless a later time is known.
-- KEYS: the generation, the time of the last revocation.
-- ARGV: the time.
local revoked = redis.call('GET', KEYS[2])
-- A revocation of an unknown time refuses more than this one would.
if not revoked and redis.call('EXISTS', KEYS[1]) == 1 then return end
if tonumber(revoked or '0') < tonumber(ARGV[1]) then redis.call('SET', KEYS[2], ARGV[1]) end

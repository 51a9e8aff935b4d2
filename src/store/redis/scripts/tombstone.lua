-- What edit.lua and end.lua need besides: the idempotency records, the expiry, the feed, and the tombstone.
-- KEYS[3] is the feed of the session's partition, KEYS[4] its count.

-- Returns the idempotency records with that of this call, if it has a request_id.
local function records_with(effect)
  if fingerprint == '' then return redis.call('HGET', key, 'k') or '' end
  return string.sub(records .. fingerprint .. struct.pack('>I6BB', now, effect, 0), -RECORDS_BYTES)
end

-- Sets the expiry, but not before the credential that the session was imported from expires.
local function expire_at(time, imported_from)
  if imported_from then time = math.max(time, (struct.unpack('>I6', imported_from, 7))) end
  redis.call('PEXPIREAT', key, string.format('%d', time))
end

-- Appends an event of this session to the feed. Its kind, as in store/encoding.rs: the reason of an end, or 128 up, and
-- what follows the id, if anything.
local function append_event(kind, rest)
  local id = string.gsub(string.sub(key, -32), '..', function(hex) return string.char(tonumber(hex, 16)) end)
  append_to_feed(KEYS[3], KEYS[4], struct.pack('>BI6', kind, now) .. id .. (rest or ''))
end

-- Replaces the session by its tombstone, which keeps what later calls with its tokens or request_ids need.
local function write_tombstone(meta, reason, counters)
  local previous, imported_from = unpack(redis.call('HMGET', key, 'p', 'o'))
  local ending = struct.pack('>BI6', reason, now)
  local records = records_with(4)  -- deleted
  redis.call('DEL', key)
  redis.call('HSET', key, 'm', meta, 'u', head[2], 'x', ending)
  if previous then redis.call('HSET', key, 'p', previous) end
  if records ~= '' then redis.call('HSET', key, 'k', records) end
  if imported_from then redis.call('HSET', key, 'o', imported_from) end
  expire_at(now + TOMBSTONE_TTL, imported_from)
  append_event(reason)
  return {1, meta .. head[2], ending, head[3] or '', counters}
end

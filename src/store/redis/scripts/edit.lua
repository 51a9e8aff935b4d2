-- A save or a rotation.
-- ARGV[1] goes on with: changes ('-' none, 's' some, 'c' with clear), permanent (its byte, or 3 to leave it), when
--   empty ('d' delete, 'k' keep), authentication ('-' if a subject is set, 'o' if it is another one, 'n' always), most
--   entries, most bytes; then, each after its length, subject ('' leave it, '-' remove it, '=...' set it), lifetime (''
--   leave it, else idle timeout, absolute timeout and latest deadline or 0), rotation ('' none, 's...' if the subject
--   changes, 'a...' always, then verifier hash and previous token), context ('' leave it, '=...' set it); and idle and
--   absolute timeout of the app's sessions with a subject, the same two without, and how many fields to unset, to set and
--   to increment.
-- Then ARGV: fields to unset; fields and values to set; fields and deltas to increment.
-- Returns when done {1, the head's m, u and s, x, subject before, counters}, or only the head's m, u and s as one string
--   if the subject is the same and there are no counters; {3, name} not a counter, {4, count} too many entries,
--   {5, bytes} too many bytes, {6} no subject to authenticate.
local changes, new_permanent, when_empty, authentication, most_entries, most_bytes,
  new_subject, lifetime, rotation, context, own_limits, anonymous_limits, unsets, sets, increments =
  struct.unpack('>c1Bc1c1I4I4I2c0Bc0Bc0I2c0c12c12I2I2I2', ARGV[1], after_call)

local subject_before = head[3] or ''
local subject = subject_before
if new_subject == '-' then subject = ''
elseif new_subject ~= '' then subject = string.sub(new_subject, 2)
elseif changes == 'c' then subject = '' end
-- The next subject must not see the entries of the one before.
local clears = changes == 'c' or (subject_before ~= '' and subject ~= '' and subject_before ~= subject)

if authentication == 'n' and subject == '' then return {6} end

local at = 1
local function next_argument() at = at + 1; return ARGV[at] end
local count_before, bytes_before, access_time_before = count, bytes, access_time
local expire_time_before = math.min(access_time + idle_timeout, deadline)
if clears then count, bytes = 0, 0 end
-- removed: fields. written: fields and values. undo: fields and values before, false if there was none.
local removed, written, counters, undo = {}, {}, {}, {}

local function length_before(field)
  if clears then return 0 end
  return redis.call('HSTRLEN', key, field)  -- no stored value is empty
end
local function add_size(field, before, after)
  if before == 0 then count = count + 1; bytes = bytes + #field - 2 + after
  else bytes = bytes + after - before end
end
local function refuse(answer)
  for i = 1, #undo, 2 do
    if undo[i + 1] then redis.call('HSET', key, undo[i], undo[i + 1]) else redis.call('HDEL', key, undo[i]) end
  end
  return answer
end

for _ = 1, unsets do
  local field = next_argument()
  local before = length_before(field)
  if before > 0 then
    count = count - 1
    bytes = bytes - (#field - 2) - before
    removed[#removed + 1] = field
  end
end
for _ = 1, sets do
  local field, value = next_argument(), next_argument()
  add_size(field, length_before(field), #value)
  written[#written + 1] = field
  written[#written + 1] = value
end
-- Counters are incremented before the limits are checked, because only Redis adds int64 exactly; `refuse` restores
-- them.
for _ = 1, increments do
  local field, delta = next_argument(), next_argument()
  local value, before = delta, length_before(field)
  if clears then
    written[#written + 1] = field
    written[#written + 1] = delta
  else
    local value_before = redis.call('HGET', key, field)
    local result = redis.pcall('HINCRBY', key, field, delta)
    if type(result) == 'table' and result.err then
      local not_a_counter = string.find(result.err, 'integer', 1, true) or string.find(result.err, 'overflow', 1, true)
      -- Any other error, such as a full memory, says nothing about the entry.
      return refuse(not_a_counter and {3, string.sub(field, 3)} or result)
    end
    undo[#undo + 1] = field
    undo[#undo + 1] = value_before
    value = redis.call('HGET', key, field)
  end
  add_size(field, before, #value)
  counters[#counters + 1] = string.sub(field, 3)
  counters[#counters + 1] = value
end
if count > most_entries and count > count_before then return refuse({4, count}) end
if bytes > most_bytes and bytes > bytes_before then return refuse({5, bytes}) end

if changes ~= '-' then
  version = version + 1
  if clears then permanent, authenticate_time = 0, 0 end
  if new_permanent ~= 3 then permanent = new_permanent end
  if new_subject == '-' then authenticate_time = 0
  elseif authentication == 'n' or new_subject ~= '' and (authentication ~= 'o' or subject ~= subject_before) then
    authenticate_time = now
  end
  if count == 0 and subject == '' and permanent == 0 and when_empty == 'd' then
    local meta = struct.pack(
      META_FORMAT, version, verifier_hash, create_time, idle_timeout, deadline, 0, 0, 0, 0, generation)
    return write_tombstone(meta, 2, counters)  -- emptied
  end
end

local verifier_hash_before, previous = verifier_hash, nil
local rotates = string.sub(rotation, 1, 1)
if rotates == 'a' or (rotates == 's' and subject ~= subject_before) then
  verifier_hash = string.sub(rotation, 2, 17)
  previous = string.sub(rotation, 18)
  -- The call had an older token, in its grace: the current one is added at the end, and the byte of the cause says so.
  if string.sub(previous, 1, 16) ~= verifier_hash_before then
    local cause = string.char(string.byte(previous, 39) + 2)
    previous = string.sub(previous, 1, 38) .. cause .. string.sub(previous, 40) .. verifier_hash_before
  end
end
-- As in session/lifetime.rs.
local had_subject, has_subject = subject_before ~= '', subject ~= ''
local follow_subject = own_limits ~= anonymous_limits
if lifetime == '' and (clears or follow_subject and has_subject and not had_subject) then
  lifetime = own_limits .. struct.pack('>I6', 0)
end
local is_limited = follow_subject and not has_subject and (had_subject or lifetime ~= '')
if is_limited or lifetime ~= '' then
  local latest = deadline
  if lifetime ~= '' then
    local absolute_timeout, cap
    idle_timeout, absolute_timeout, cap = struct.unpack('>I6I6I6', lifetime)
    -- The absolute timeout may have been longer when the session was created.
    if create_time + absolute_timeout > now then deadline = create_time + absolute_timeout end
    if cap > 0 and cap < deadline then deadline = cap end
  end
  if is_limited then
    local most_idle, absolute_timeout = struct.unpack('>I6I6', anonymous_limits)
    latest = had_subject and now + absolute_timeout or math.max(latest, create_time + absolute_timeout)
    idle_timeout, deadline = math.min(idle_timeout, most_idle), math.min(deadline, latest)
  end
  -- Never before now: the tombstone would have expired at once, and a ticket could create the session again.
  if deadline < now then deadline = now end
end
if now > access_time then access_time = now end
local meta = struct.pack(META_FORMAT, version, verifier_hash, create_time, idle_timeout, deadline, authenticate_time,
  permanent, count, bytes, generation)
local access = struct.pack('>I8', access_time)

-- The expiry may become earlier, but not earlier than that of the credential that the session was imported from.
local may_expire_earlier = clears or is_limited or lifetime ~= ''
local imported_from = may_expire_earlier and redis.call('HGET', key, 'o')
local context_before = head[5] or ''
if context == '' then context = context_before else context = string.sub(context, 2) end
local new_records = (clears or fingerprint ~= '') and records_with(3) or ''  -- updated
if clears then
  previous = previous or redis.call('HGET', key, 'p')
  redis.call('DEL', key)
elseif #removed > 0 then
  redis.call('HDEL', key, unpack(removed))
end
written[#written + 1] = 'm'; written[#written + 1] = meta
written[#written + 1] = 'u'; written[#written + 1] = access
if new_records ~= '' then written[#written + 1] = 'k'; written[#written + 1] = new_records end
if previous then written[#written + 1] = 'p'; written[#written + 1] = previous end
if context ~= '' and (clears or context ~= context_before) then
  written[#written + 1] = 'c'; written[#written + 1] = context
end
if subject ~= '' and (clears or subject ~= subject_before) then
  written[#written + 1] = 's'; written[#written + 1] = subject
end
if imported_from and clears then written[#written + 1] = 'o'; written[#written + 1] = imported_from end
-- unpack returns a few thousand values at most.
for first = 1, #written, 2000 do
  redis.call('HSET', key, unpack(written, first, math.min(first + 1999, #written)))
end
if not clears and subject == '' and subject_before ~= '' then redis.call('HDEL', key, 's') end
if not clears and context == '' and context_before ~= '' then redis.call('HDEL', key, 'c') end
local expiry = math.min(access_time + EXPIRY_STEP + idle_timeout, deadline) + TOMBSTONE_TTL
if may_expire_earlier then
  expire_at(expiry, imported_from)
elseif access_time - access_time % EXPIRY_STEP > access_time_before then
  redis.call('PEXPIREAT', key, string.format('%d', expiry), 'GT')
end
if subject ~= subject_before then append_event(130)  -- subject changed
elseif verifier_hash ~= verifier_hash_before then append_event(129)  -- rotated
elseif math.min(access_time + idle_timeout, deadline) < expire_time_before then append_event(129, '\1') end  -- expires earlier
if subject == subject_before and #counters == 0 then return meta .. access .. subject end
return {1, meta .. access .. subject, '', subject_before, counters}

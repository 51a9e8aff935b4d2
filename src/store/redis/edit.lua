-- A save or a rotation.
-- ARGV[1] goes on with: changes ('-' none, 's' some, 'c' with clear), permanent (its byte, or 3 keep), when empty
--   ('d' delete, 'k' keep), authentication ('-' keep, 'n' now), most entries, most bytes; then, each behind its length,
--   subject ('' keep, '-' gone, '=...'), lifetime ('' keep, else idle, span and cap), rotation ('' none,
--   's...' on a change of subject, 'a...' always, then proof and previous), context ('' keep, '=...'), what is granted
--   ('' no matter, else idle and span with a subject, and without); and how many fields to unset, to set, to increment.
-- Then ARGV: fields to unset; fields and values to set; fields and deltas to increment.
-- Answers {1, the head's m, u and s, x, subject before, counters} when done, or as set.lua if there is no more to tell;
--   {3, name} not a counter, {4, count} too many, {5, bytes} too large, {6} nobody to authenticate.
local changes, permanent_asked, when_empty, authentication, most_entries, most_bytes,
  subject_asked, asked, rotation, context, granted, unsets, sets, increments =
  struct.unpack('>c1Bc1c1I4I4I2c0Bc0Bc0I2c0Bc0I2I2I2', ARGV[1], after_call)

local subject_before = h[3] or ''
local subject = subject_before
if subject_asked == '-' then subject = ''
elseif subject_asked ~= '' then subject = string.sub(subject_asked, 2)
elseif changes == 'c' then subject = '' end
-- What one subject left is not for the next.
local wiped = changes == 'c' or (subject_before ~= '' and subject ~= '' and subject_before ~= subject)

if authentication == 'n' and subject == '' then return {6} end

local at = 1
local function take() at = at + 1; return ARGV[at] end
local count_before, bytes_before, used_before = count, bytes, used
if wiped then count, bytes = 0, 0 end
local gone, put, counters, undo = {}, {}, {}, {}

local function length(field)
  if wiped then return 0 end
  return redis.call('HSTRLEN', key, field)  -- no kept value is empty
end
local function resized(field, before, after)
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
  local field = take()
  local before = length(field)
  if before > 0 then
    count = count - 1
    bytes = bytes - (#field - 2) - before
    gone[#gone + 1] = field
  end
end
for _ = 1, sets do
  local field, value = take(), take()
  resized(field, length(field), #value)
  put[#put + 1] = field
  put[#put + 1] = value
end
-- Counters move first, for Redis alone adds int64 exactly; a refusal moves them back.
for _ = 1, increments do
  local field, delta = take(), take()
  local value, before = delta, length(field)
  if wiped then
    put[#put + 1] = field
    put[#put + 1] = delta
  else
    local old = redis.call('HGET', key, field)
    local moved = redis.pcall('HINCRBY', key, field, delta)
    if type(moved) == 'table' and moved.err then
      local not_a_counter = string.find(moved.err, 'integer', 1, true) or string.find(moved.err, 'overflow', 1, true)
      -- Anything else, such as a full memory, says nothing about the entry.
      return refuse(not_a_counter and {3, string.sub(field, 3)} or moved)
    end
    undo[#undo + 1] = field
    undo[#undo + 1] = old
    value = redis.call('HGET', key, field)
  end
  resized(field, before, #value)
  counters[#counters + 1] = string.sub(field, 3)
  counters[#counters + 1] = value
end
if count > most_entries and count > count_before then return refuse({4, count}) end
if bytes > most_bytes and bytes > bytes_before then return refuse({5, bytes}) end

if changes ~= '-' then
  version = version + 1
  if wiped then permanent, authenticate = 0, 0 end
  if permanent_asked ~= 3 then permanent = permanent_asked end
  if subject_asked == '-' then authenticate = 0
  elseif subject_asked ~= '' or authentication == 'n' then authenticate = now end
  if count == 0 and permanent == 0 and when_empty == 'd' then
    return bury(struct.pack(META, version, proof, create, idle, deadline, 0, 0, 0, 0, born), 2, counters)
  end
end

local proof_before, previous = proof, nil
local rotates = string.sub(rotation, 1, 1)
if rotates == 'a' or (rotates == 's' and subject ~= subject_before) then
  proof = string.sub(rotation, 2, 17)
  previous = string.sub(rotation, 18)
  -- Asked with an older token, in its grace: the current one is remembered behind it, and the cause says so.
  if string.sub(previous, 1, 16) ~= proof_before then
    local cause = string.char(string.byte(previous, 39) + 2)
    previous = string.sub(previous, 1, 38) .. cause .. string.sub(previous, 40) .. proof_before
  end
end
-- As session/lifetime.rs has it.
local was_owned, is_owned = subject_before ~= '', subject ~= ''
if granted ~= '' and is_owned and not was_owned and asked == '' then
  asked = string.sub(granted, 1, 12) .. struct.pack('>I6', 0)
end
local cut = granted ~= '' and not is_owned and (was_owned or asked ~= '')
if cut or asked ~= '' then
  local latest = deadline
  if asked ~= '' then
    local span, cap
    idle, span, cap = struct.unpack('>I6I6I6', asked)
    deadline = create + span
    if cap > 0 and cap < deadline then deadline = cap end
  end
  if cut then
    local most_idle, span = struct.unpack('>I6I6', granted, 13)
    latest = was_owned and now + span or math.max(latest, create + span)
    idle, deadline = math.min(idle, most_idle), math.min(deadline, latest)
  end
  -- Never before now: the memory of the end would be over at once, and a ticket could open the place anew.
  if deadline < now then deadline = now end
end
if now > used then used = now end
local meta = struct.pack(META, version, proof, create, idle, deadline, authenticate, permanent, count, bytes, born)
local use = struct.pack('>I8', used)

-- A deadline that moves back does not do so beyond the origin.
local is_bounded_anew = wiped or cut or asked ~= ''
local origin = is_bounded_anew and redis.call('HGET', key, 'o')
local context_before = h[5] or ''
if context == '' then context = context_before else context = string.sub(context, 2) end
local kept_marks = (wiped or fingerprint ~= '') and with_mark(3) or ''
if wiped then
  previous = previous or redis.call('HGET', key, 'p')
  redis.call('DEL', key)
elseif #gone > 0 then
  redis.call('HDEL', key, unpack(gone))
end
put[#put + 1] = 'm'; put[#put + 1] = meta
put[#put + 1] = 'u'; put[#put + 1] = use
if kept_marks ~= '' then put[#put + 1] = 'k'; put[#put + 1] = kept_marks end
if previous then put[#put + 1] = 'p'; put[#put + 1] = previous end
if context ~= '' and (wiped or context ~= context_before) then put[#put + 1] = 'c'; put[#put + 1] = context end
if subject ~= '' and (wiped or subject ~= subject_before) then put[#put + 1] = 's'; put[#put + 1] = subject end
if origin and wiped then put[#put + 1] = 'o'; put[#put + 1] = origin end
-- unpack takes a few thousand values at most.
for first = 1, #put, 2000 do
  redis.call('HSET', key, unpack(put, first, math.min(first + 1999, #put)))
end
if not wiped and subject == '' and subject_before ~= '' then redis.call('HDEL', key, 's') end
if not wiped and context == '' and context_before ~= '' then redis.call('HDEL', key, 'c') end
local time = math.min(used + MINUTE + idle, deadline) + MEMORY
if is_bounded_anew then
  forget_at(time, origin)
elseif used - used % MINUTE > used_before then
  redis.call('PEXPIREAT', key, string.format('%d', time), 'GT')
end
if subject ~= subject_before then tell(130) elseif proof ~= proof_before then tell(129) end
if subject == subject_before and #counters == 0 then return meta .. use .. subject end
return {1, meta .. use .. subject, '', subject_before, counters}

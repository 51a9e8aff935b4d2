-- A save or a rotation.
-- ARGV: now, by what right, etag, fingerprint, changes ('' none, '-', 'c' with clear), permanent ('' keep, else its byte),
--   subject ('' keep, '-' gone, '=...'), lifetime ('' keep, else idle, span and cap), rotation ('' none,
--   's...' on a change of subject, 'a...' always, then proof and previous), when empty ('d' delete, 'k' keep),
--   most entries, most bytes, context ('' keep, '=...'),
--   authentication ('' keep, 'n' now), what is granted ('' no matter, else idle and span with a subject, and without),
--   then three lists, each behind its length: unset names, set names and values, increment names and deltas.
-- Answers {0, generation, head} as it is, {1, head, counters, subject before} when done, {2} missing, {3, name} not a counter,
--   {4, count} too many, {5, bytes} too large,
--   {6} nobody to authenticate.
if not h[1] then return {2} end
local now, shown, etag, fingerprint = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local version, proof, create, idle, deadline, authenticate, permanent, count, bytes, born = struct.unpack(META, h[1])
local used = struct.unpack('>I8', h[2])

if h[7] or born < generation or now >= deadline or now >= used + idle
   or not may(shown, proof, now)
   or (etag ~= '' and etag ~= string.sub(h[1], 1, 8))
   or (fingerprint ~= '' and marked(fingerprint, now)) then
  return {0, generation, h}
end

local subject_before = h[3] or ''
local subject = subject_before
if ARGV[7] == '-' then subject = ''
elseif ARGV[7] ~= '' then subject = string.sub(ARGV[7], 2)
elseif ARGV[5] == 'c' then subject = '' end
-- What one subject left is not for the next.
local wiped = ARGV[5] == 'c' or (subject_before ~= '' and subject ~= '' and subject_before ~= subject)

if ARGV[14] ~= '' and subject == '' then return {6} end

local at = 16
local function take() at = at + 1; return ARGV[at - 1] end
local count_before, bytes_before = count, bytes
if wiped then count, bytes = 0, 0 end
local gone, put, counters, undo = {}, {}, {}, {}

local function length(field)
  if wiped then return 0 end
  return redis.call('HSTRLEN', key, field)  -- no kept value is empty
end
local function resized(name, before, after)
  if before == 0 then count = count + 1; bytes = bytes + #name + after
  else bytes = bytes + after - before end
end
local function refuse(answer)
  for i = 1, #undo, 2 do
    if undo[i + 1] then redis.call('HSET', key, undo[i], undo[i + 1]) else redis.call('HDEL', key, undo[i]) end
  end
  return answer
end

for _ = 1, tonumber(take()) do
  local name = take()
  local before = length('e:' .. name)
  if before > 0 then
    count = count - 1
    bytes = bytes - #name - before
    gone[#gone + 1] = 'e:' .. name
  end
end
for _ = 1, tonumber(take()) do
  local name, value = take(), take()
  resized(name, length('e:' .. name), #value)
  put[#put + 1] = 'e:' .. name
  put[#put + 1] = value
end
-- Counters move first, for Redis alone adds int64 exactly; a refusal moves them back.
for _ = 1, tonumber(take()) do
  local name, delta = take(), take()
  local field, value = 'e:' .. name, delta
  local before = length(field)
  if wiped then
    put[#put + 1] = field
    put[#put + 1] = delta
  else
    local old = redis.call('HGET', key, field)
    local moved = redis.pcall('HINCRBY', key, field, delta)
    if type(moved) == 'table' and moved.err then
      local not_a_counter = string.find(moved.err, 'integer', 1, true) or string.find(moved.err, 'overflow', 1, true)
      -- Anything else, such as a full memory, says nothing about the entry.
      return refuse(not_a_counter and {3, name} or moved)
    end
    undo[#undo + 1] = field
    undo[#undo + 1] = old
    value = redis.call('HGET', key, field)
  end
  resized(name, before, #value)
  counters[#counters + 1] = name
  counters[#counters + 1] = value
end
if count > tonumber(ARGV[11]) and count > count_before then return refuse({4, count}) end
if bytes > tonumber(ARGV[12]) and bytes > bytes_before then return refuse({5, bytes}) end

if ARGV[5] ~= '' then
  version = version + 1
  if wiped then permanent, authenticate = 0, 0 end
  if ARGV[6] ~= '' then permanent = tonumber(ARGV[6]) end
  if ARGV[7] == '-' then authenticate = 0 elseif ARGV[7] ~= '' or ARGV[14] ~= '' then authenticate = now end
  if count == 0 and permanent == 0 and ARGV[10] == 'd' then
    local meta = struct.pack(META, version, proof, create, idle, deadline, 0, 0, 0, 0, born)
    return {1, bury(meta, fingerprint, now, 2), counters, subject_before}
  end
end

local proof_before, previous, context = proof, h[4], h[6]
local rotation = string.sub(ARGV[9], 1, 1)
if rotation == 'a' or (rotation == 's' and subject ~= subject_before) then
  proof = string.sub(ARGV[9], 2, 17)
  previous = string.sub(ARGV[9], 18)
  -- Asked with an older token, in its grace: the current one is remembered behind it, and the cause says so.
  if string.sub(previous, 1, 16) ~= proof_before then
    local cause = string.char(string.byte(previous, 39) + 2)
    previous = string.sub(previous, 1, 38) .. cause .. string.sub(previous, 40) .. proof_before
  end
end
-- As session/lifetime.rs has it.
local asked, was_owned, is_owned = ARGV[8], subject_before ~= '', subject ~= ''
if ARGV[15] ~= '' and is_owned and not was_owned and asked == '' then
  asked = string.sub(ARGV[15], 1, 12) .. struct.pack('>I6', 0)
end
local cut = ARGV[15] ~= '' and not is_owned and (was_owned or asked ~= '')
if cut or asked ~= '' then
  local latest = deadline
  if asked ~= '' then
    local span, cap
    idle, span, cap = struct.unpack('>I6I6I6', asked)
    deadline = create + span
    if cap > 0 and cap < deadline then deadline = cap end
  end
  if cut then
    local most_idle, span = struct.unpack('>I6I6', ARGV[15], 13)
    latest = was_owned and now + span or math.max(latest, create + span)
    idle, deadline = math.min(idle, most_idle), math.min(deadline, latest)
  end
  -- Never before now: the memory of the end would be over at once, and a ticket could open the place anew.
  if deadline < now then deadline = now end
end
if ARGV[13] ~= '' then context = string.sub(ARGV[13], 2) end
if now > used then used = now end
local marks = with_mark(fingerprint, now, 3)
local meta = struct.pack(META, version, proof, create, idle, deadline, authenticate, permanent, count, bytes, born)
local use = struct.pack('>I8', used)

if wiped then
  redis.call('DEL', key)
elseif #gone > 0 then
  redis.call('HDEL', key, unpack(gone))
end
put[#put + 1] = 'm'; put[#put + 1] = meta
put[#put + 1] = 'u'; put[#put + 1] = use
if marks ~= '' and (wiped or fingerprint ~= '') then put[#put + 1] = 'k'; put[#put + 1] = marks end
if previous and (wiped or previous ~= h[4]) then put[#put + 1] = 'p'; put[#put + 1] = previous end
if context and context ~= '' and (wiped or context ~= h[6]) then put[#put + 1] = 'c'; put[#put + 1] = context end
if subject ~= '' and (wiped or subject ~= subject_before) then put[#put + 1] = 's'; put[#put + 1] = subject end
if wiped and h[8] then put[#put + 1] = 'o'; put[#put + 1] = h[8] end
-- unpack takes a few thousand values at most.
for first = 1, #put, 2000 do
  redis.call('HSET', key, unpack(put, first, math.min(first + 1999, #put)))
end
if not wiped and subject == '' and subject_before ~= '' then redis.call('HDEL', key, 's') end
if not wiped and context == '' and h[6] then redis.call('HDEL', key, 'c') end
forget_at(math.min(used + idle, deadline) + MEMORY)
if subject ~= subject_before then tell(130, now) elseif proof ~= proof_before then tell(129, now) end
return {1, {meta, use, subject, previous, marks, context, false, h[8]}, counters, subject_before}

-- The end of a session.
-- ARGV: now, by what right, etag, fingerprint, reason.
-- Answers {0, generation, head} as it is, {1, head, {}, subject before} when done, {2} missing.
if not h[1] then return {2} end
local now, shown, etag, fingerprint = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local version, proof, create, idle, deadline, _, _, _, _, born = struct.unpack(META, h[1])
local used = struct.unpack('>I8', h[2])

if not may(shown, proof, now) or h[7] or born < generation or now >= deadline or now >= used + idle
   or (etag ~= '' and etag ~= string.sub(h[1], 1, 8))
   or (fingerprint ~= '' and marked(fingerprint, now)) then
  return {0, generation, h}
end
local meta = struct.pack(META, version, proof, create, idle, deadline, 0, 0, 0, 0, born)
return {1, bury(meta, fingerprint, now, tonumber(ARGV[5])), {}, h[3] or ''}

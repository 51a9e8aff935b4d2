-- The end of a session.
-- ARGV[1] goes on with: reason.
-- Answers {1, the head's m and u, x, subject before, {}} when done.
local meta = struct.pack(META, version, proof, create, idle, deadline, 0, 0, 0, 0, born)
return bury(meta, struct.unpack('>B', ARGV[1], after_call), {})

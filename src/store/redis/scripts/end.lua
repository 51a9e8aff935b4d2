-- Ends a session.
-- ARGV[1] goes on with: reason.
-- Returns {1, the head's m and u, x, subject before, {}} when done.
local meta = struct.pack(
  META_FORMAT, version, verifier_hash, create_time, idle_timeout, deadline, 0, 0, 0, 0, generation)
return write_tombstone(meta, struct.unpack('>B', ARGV[1], after_call), {})

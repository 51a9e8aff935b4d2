-- The end of a session.
-- ARGV[1] goes on with: reason.
-- Answers {1, the head's m and u, x, subject before, {}} when done.
return bury(version, struct.unpack('>B', ARGV[1], after_call), {})

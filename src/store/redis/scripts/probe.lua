-- Finds out which commands the Redis user may not run, or cannot, because Redis does not know them. Writes nothing.
-- KEYS: a key that never exists.
-- Returns a line for each such command.
local key = KEYS[1]
local problems = {}

-- Each call has no effect on a key that does not exist, or has an argument that Redis refuses after it has checked the
-- user's rights.
local function probe(...)
  local reply = redis.pcall(...)
  local problem = type(reply) == 'table' and reply.err
  if not problem then return end
  if string.find(problem, 'wrong number of arguments', 1, true) then return end
  if string.find(problem, 'not an integer', 1, true) then return end
  problems[#problems + 1] = string.lower((...)) .. ' (' .. problem .. ')'
end

probe('DEL', key)
probe('EXISTS', key)
probe('GET', key)
probe('HDEL', key, 'field')
probe('HGET', key, 'field')
probe('HGETALL', key)
probe('HINCRBY', key, 'field', 'no number')
probe('HLEN', key)
probe('HMGET', key, 'field')
probe('HRANDFIELD', key, 1, 'WITHVALUES')
probe('HSCAN', key, 0)
probe('HSET', key, 'field', 'value', 'no value')
probe('HSTRLEN', key, 'field')
probe('INCRBY', key, 'no number')
probe('MGET', key)
probe('PEXPIREAT', key, 1)
probe('PEXPIRETIME', key)
probe('SCAN', 0, 'COUNT', 1)
probe('SET', key, '', 'XX')
probe('XADD', key, 'NOMKSTREAM', '*', 'field', 'value')
probe('XREAD', 'STREAMS', key, 0)
probe('XREVRANGE', key, '+', '-', 'COUNT', 1)
return problems

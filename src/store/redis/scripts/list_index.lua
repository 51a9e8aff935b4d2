-- Lists a subject's index: all of it if it has few fields, else a page.
-- KEYS: the index.
-- ARGV: how many fields are few, the server that gave the cursor, the cursor.
-- Returns fields and values, the server, and its next cursor; 0 is the end.
local function all() return { redis.call('HGETALL', KEYS[1]), '', '0' } end

if redis.call('HLEN', KEYS[1]) <= tonumber(ARGV[1]) then return all() end
local info = redis.pcall('INFO', 'server')
local server = type(info) == 'string' and string.match(info, 'run_id:(%x+)')
-- Without its name a later page cannot be told from that of another process, which has the fields in another order.
if not server then return all() end
local cursor = server == ARGV[2] and ARGV[3] or '0'
local page = redis.call('HSCAN', KEYS[1], cursor, 'COUNT', ARGV[1])
return { page[2], server, page[1] }

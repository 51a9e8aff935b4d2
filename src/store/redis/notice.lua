-- Tells whoever watches: one notice more in a partition's feed, numbered by the count of what was ever told there.
local function notice(feed, count, bytes)
  redis.call('XADD', feed, 'MAXLEN', '~', 1000, '*', 'n', redis.call('INCR', count), 'e', bytes)
end

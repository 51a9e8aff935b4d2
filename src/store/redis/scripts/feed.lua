-- Appends an entry to the feed of a partition. Its number is the count of all entries there have ever been.
local function append_to_feed(feed, count, entry)
  redis.call('XADD', feed, 'MAXLEN', '~', 1000, '*', 'n', redis.call('INCRBY', count, 1), 'e', entry)
end

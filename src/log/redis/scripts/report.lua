-- Takes a node's report of how many streams it has in a room, and publishes the sum over all nodes where that is news.
--
-- KEYS: 1 where  2 nodes  3 audience
-- ARGV: 1 the room's channel  2 node  3 how long the report is valid, ms  4 streams  5 VIEWER_COUNT_MS
-- Returns: `<viewers> <users>` as everyone was told, empty where nobody ever was, and how long until another report may
--   bring something that is pending, ms, 0 where nothing is.
-- Errors: those of Redis; then nothing was written.

local function report(keys, args)
  local now = begin()
  return take_report({
    now = now,
    channel = args[1],
    node = args[2],
    lease_ms = tonumber(args[3]),
    viewers = tonumber(args[4]),
    audience_ms = tonumber(args[5]),
    where = keys[1],
    nodes = keys[2],
    audience = keys[3],
  }, read_viewer_count(keys[1], keys[2], keys[3]))
end

redis.register_function({ function_name = name('report'), callback = report, flags = { 'allow-oom' } })

-- Publishes what a user's token allows now to the nodes that have the user registered.
--
-- KEYS: 1 where  2 nodes
-- ARGV: 1 the room's channel  2 user  3 the message, as entry-text.ts writes it
-- Returns: the number of nodes that it was published to; 1 if it was all of them.
-- Errors: those of Redis.

local function prolong(keys, args)
  local where, nodes_key, channel, user, message = keys[1], keys[2], args[1], args[2], args[3]
  local nodes = nodes_of(begin(), where, nodes_key, user)
  if not nodes then
    try('SPUBLISH', channel, message)
    return 1
  end
  for _, node in ipairs(nodes) do
    try('SPUBLISH', channel .. ':' .. node, message)
  end
  return #nodes
end

redis.register_function({ function_name = name('prolong'), callback = prolong, flags = { 'allow-oom' } })

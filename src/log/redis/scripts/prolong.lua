-- Tells the nodes that have a user on record what its token allows now.
--
-- KEYS: 1 where  2 nodes
-- ARGV: 1 the room's channel  2 user  3 the message, as entry-text.ts writes it
-- Returns: how many nodes were told; 1 where it was all of them.
-- Errors: those of Redis.

local function prolong(keys, args)
  local nodes = nodes_of(begin(), keys[1], keys[2], args[2])
  if not nodes then
    try('SPUBLISH', args[1], args[3])
    return 1
  end
  for _, node in ipairs(nodes) do
    try('SPUBLISH', args[1] .. ':' .. node, args[3])
  end
  return #nodes
end

redis.register_function({ function_name = name('prolong'), callback = prolong, flags = { 'allow-oom' } })

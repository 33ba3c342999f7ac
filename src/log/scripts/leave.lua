-- Takes a node out of a user's record in the room's directory.
--
-- KEYS: 1 where
-- ARGV: 1 node  2 user
-- Returns: 1 if there was a record, else 0.
-- Errors: those of Redis.

local function leave(keys, args)
  begin()
  local known = call('HGET', keys[1], args[2])
  if not known then
    return 0
  end
  local nodes = {}
  for other in string.gmatch(known, '[^ ]+') do
    if other ~= args[1] then
      nodes[#nodes + 1] = other
    end
  end
  if #nodes == 0 then
    call('HDEL', keys[1], args[2])
  else
    call('HSET', keys[1], args[2], table.concat(nodes, ' '))
  end
  return 1
end

redis.register_function({ function_name = name('leave'), callback = leave, flags = { 'allow-oom' } })

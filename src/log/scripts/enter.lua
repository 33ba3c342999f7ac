-- Puts a user with a stream on a node into the room's directory, and tells what is known at the door.
--
-- KEYS: 1 log  2 meta  3 state  4 where  5 nodes  6 rules
-- ARGV: 1 to 5 as in shared.lua  6 node  7 length of the lease, ms  8 user, or nothing to
--   ask only; a user who is banned is not put in
-- Returns: the tail, '1' if the room has ended, '1' if the user is banned, '1' if the user was put in and the node had
--   no valid lease until now ('0' else).
-- Errors: those of Redis.

-- The user's nodes with this one added. Nodes whose lease ran out are left out, so that the text cannot grow.
local function with_node(room, keys, known, node)
  local nodes = { node }
  for other in string.gmatch(known or '', '[^ ]+') do
    local lease = other ~= node and call('HGET', keys[5], other)
    if lease and tonumber(lease) > room.now then
      nodes[#nodes + 1] = other
    end
  end
  return table.concat(nodes, ' ')
end

local function enter(keys, args)
  local room = open_room(keys, args)
  local node, user = args[6], args[8]
  local is_out = is_banned(room, keys[6], user)
  local is_lapsed = false
  if user and not is_out then
    local lease = call('HGET', keys[5], node)
    is_lapsed = not lease or tonumber(lease) <= room.now
    call('HSET', keys[5], node, int(room.now + args[7]))
    local known = call('HGET', keys[4], user)
    if known ~= node then
      call('HSET', keys[4], user, with_node(room, keys, known, node))
    end
    call('PEXPIRE', keys[4], int(args[7] * 2))
    call('PEXPIRE', keys[5], int(args[7] * 2))
  end
  local flags = { room.ended and '1' or '0', is_out and '1' or '0', is_lapsed and '1' or '0' }
  return { tail_of(room, first_of(room)), flags[1], flags[2], flags[3] }
end

redis.register_function({ function_name = name('enter'), callback = enter, flags = { 'allow-oom' } })

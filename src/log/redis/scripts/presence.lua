-- Registers users with a stream on a node in the room's directory and removes others, in the given order. Returns what
-- admission needs. One call takes many users, as viewers come and go in crowds.
--
-- KEYS: 1 log  2 meta  3 state  4 where  5 nodes  6 rules
-- ARGV: 1 to 5 as in shared.lua  6 node  7 length of the lease, ms  then a step per user: '+', the rank of its role and
--   the user to register it, '-' and the user to remove it. No step: a query only. A banned user is not registered.
-- Returns: the tail, '1' if the room has ended, whether a user was registered and the node had no valid lease until now
--   (lapsed_flag in directory.lua), then the numbers of the steps, from 1, whose users are banned.
-- Errors: those of Redis.

-- Returns each user once, and the steps in order.
local function read_steps(args)
  local users, steps, is_named = {}, {}, {}
  for i = 8, #args do
    local rank, user = match(args[i], '^%+(%d)(.+)$')
    local step = { comes = rank ~= nil, rank = tonumber(rank), user = user or string.sub(args[i], 2) }
    steps[#steps + 1] = step
    if not is_named[step.user] then
      is_named[step.user] = true
      users[#users + 1] = step.user
    end
  end
  return users, steps
end

-- Marks the steps of users that are banned in the role with which they join. Returns the numbers of these steps.
local function mark_banned(room, rules, users, steps)
  local row = {}
  if not room.ruled or #users == 0 then
    return row
  end
  local fields, bans = {}, {}
  for i, user in ipairs(users) do
    fields[i] = 'ban:' .. user
  end
  local found = find_rules(room, rules, fields)
  for i, user in ipairs(users) do
    bans[user] = found[i]
  end
  for i, step in ipairs(steps) do
    step.is_out = step.comes and is_bound(bans[step.user], step.rank, room.now)
    if step.is_out then
      row[#row + 1] = int(i)
    end
  end
  return row
end

-- A user's nodes, with or without this one. Adding it drops nodes with an expired lease, so the text cannot grow.
local function moved(known, node, comes, is_valid)
  local nodes = comes and { node } or {}
  for other in string.gmatch(known or '', '[^ ]+') do
    if other ~= node and (is_valid[other] or not comes) then
      nodes[#nodes + 1] = other
    end
  end
  return table.concat(nodes, ' ')
end

-- Applies the steps to `records`. Returns the users whose record changed, and whether one was registered.
local function take_steps(steps, records, node, is_valid)
  local changed, is_put = {}, false
  for _, step in ipairs(steps) do
    local known = records[step.user]
    if not step.is_out then
      is_put = is_put or step.comes
      local nodes = moved(known, node, step.comes, is_valid)
      if nodes ~= (known or '') then
        records[step.user], changed[step.user] = nodes, true
      end
    end
  end
  return changed, is_put
end

local function write_records(where, records, changed)
  local sets, drops = {}, {}
  for user in pairs(changed) do
    if records[user] == '' then
      drops[#drops + 1] = user
    else
      sets[#sets + 1] = user
      sets[#sets + 1] = records[user]
    end
  end
  if #drops > 0 then
    call('HDEL', where, unpack(drops))
  end
  if #sets > 0 then
    call('HSET', where, unpack(sets))
  end
end

local function presence(keys, args)
  local where, nodes_key, rules = keys[4], keys[5], keys[6]
  local node, lease_ms = args[6], tonumber(args[7])
  local users, steps = read_steps(args)
  local room = open_room(keys, args)
  local tail = tail_of(room, first_of(room))
  know_rules(room, rules)
  local banned = mark_banned(room, rules, users, steps)
  local is_lapsed, is_covered = false, false
  if #users > 0 then
    is_covered = hold_directory(room.now, where, nodes_key, lease_ms)
    local is_valid = valid_nodes(room.now, nodes_key)
    local records = {}
    for i, known in ipairs(call('HMGET', where, unpack(users))) do
      records[users[i]] = known or nil
    end
    local changed, is_put = take_steps(steps, records, node, is_valid)
    write_records(where, records, changed)
    if is_put then
      is_lapsed = not is_valid[node]
      call('HSET', nodes_key, node, int(room.now + lease_ms))
      try('PEXPIRE', where, int(lease_ms * 2))
      try('PEXPIRE', nodes_key, int(lease_ms * 2))
    end
  end
  local answer = { tail, room.ended and '1' or '0', lapsed_flag(is_lapsed, is_covered) }
  for i, step in ipairs(banned) do
    answer[3 + i] = step
  end
  return answer
end

redis.register_function({ function_name = name('presence'), callback = presence, flags = { 'allow-oom' } })

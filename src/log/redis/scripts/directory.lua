-- The room's directory: which users have streams on which nodes, and which nodes have a lease.
--
-- KEYS and ARGV: those of the functions that use this.
--
-- The directory is two hashes, `where` and `nodes`. The field '' in each marks it as whole: no user and no node has
-- that name. In `where` its value is the time until which users with streams may be missing: one lease after either
-- hash was lost. Until then direct signals are published to every node.

-- Sets missing marks. Returns whether direct signals go to every node now.
local function hold_directory(now, where, nodes_key, lease_ms)
  local mark, has_nodes = call('HGET', where, ''), call('HEXISTS', nodes_key, '') == 1
  if mark and has_nodes then
    return (tonumber(mark) or 0) > now
  end
  local is_lost = mark and true or has_nodes
  call('HSET', where, '', is_lost and int(now + lease_ms) or '0')
  if is_lost then
    -- Nodes without a lease enter their users again.
    call('DEL', nodes_key)
  end
  call('HSET', nodes_key, '', '0')
  try('PEXPIRE', where, int(lease_ms * 2))
  try('PEXPIRE', nodes_key, int(lease_ms * 2))
  return is_lost
end

-- As an answer: '0', or '1' if a node's users must enter again, or '2' if direct signals also went to every node
-- meanwhile.
local function lapsed_flag(is_lapsed, is_covered)
  return is_lapsed and (is_covered and '2' or '1') or '0'
end

-- A table from each node to whether its lease is valid.
local function valid_nodes(now, nodes_key)
  local leases, is_valid = call('HGETALL', nodes_key), {}
  for i = 1, #leases, 2 do
    is_valid[leases[i]] = leases[i] ~= '' and (tonumber(leases[i + 1]) or 0) > now
  end
  return is_valid
end

-- The nodes that hold a stream of one of the targets, nil if any node may, and how many targets are known to have one.
local function nodes_of(now, where, nodes_key, targets)
  local is_valid = valid_nodes(now, nodes_key)
  local is_chosen, nodes, connected = {}, {}, 0
  local mark = call('HGET', where, '')
  for user in string.gmatch(targets, '[^ ]+') do
    local is_connected = false
    for node in string.gmatch(call('HGET', where, user) or '', '[^ ]+') do
      if is_valid[node] then
        is_connected = true
        if not is_chosen[node] then
          is_chosen[node] = true
          nodes[#nodes + 1] = node
        end
      end
    end
    connected = connected + (is_connected and 1 or 0)
  end
  local is_half = (not mark) ~= (is_valid[''] == nil)
  if is_half or (tonumber(mark or 0) or 0) > now then
    return nil, connected
  end
  return nodes, connected
end

-- Users that one step against ghosts checks, and the least time between two steps.
local ghosts_at_once, ghosts_pause_ms = 1000, 50

-- Whether none of a user's nodes is in `is_held`.
local function is_ghost(nodes, is_held)
  for node in string.gmatch(nodes, '[^ ]+') do
    if is_held[node] then
      return false
    end
  end
  return true
end

-- One step against ghosts: users that are registered on silent nodes only. A pass scans the directory a page at a time.
-- `pass` is its cursor, the time it began, and the time of its last step. Writes nothing. Returns the users and the
-- nodes to remove, the next `pass`, and how soon the next step is due, ms, 0 if none is.
local function next_step(now, node, where, nodes_key, pass)
  local leases, is_held, silent = call('HGETALL', nodes_key), { [node] = true }, {}
  for i = 1, #leases, 2 do
    local other, ends = leases[i], tonumber(leases[i + 1]) or 0
    if ends > now then
      is_held[other] = true
    elseif other ~= '' and other ~= node then
      silent[#silent + 1] = { other, ends }
    end
  end
  local step = { users = {}, nodes = {}, pass = '', again_ms = 0 }
  if #silent == 0 then
    return step
  end
  local cursor, began, stepped = match(pass or '', '^(%d+) (%d+) (%d+)$')
  if stepped and math.abs(now - stepped) < ghosts_pause_ms then
    -- The node that steps goes on stepping; the others need not renew sooner for it.
    step.pass = pass
    return step
  end
  local page = try('HSCAN', where, cursor or '0', 'COUNT', ghosts_at_once)
  if page.err then
    -- The cursor is invalid: the next pass starts over.
    return step
  end
  for i = 1, #page[2], 2 do
    if page[2][i] ~= '' and is_ghost(page[2][i + 1], is_held) then
      step.users[#step.users + 1] = page[2][i]
    end
  end
  if page[1] ~= '0' then
    step.pass, step.again_ms = page[1] .. ' ' .. int(began or now) .. ' ' .. int(now), ghosts_pause_ms
    return step
  end
  -- No user is registered on a node that was silent during the whole pass.
  for _, one in ipairs(silent) do
    if one[2] <= tonumber(began or now) then
      step.nodes[#step.nodes + 1] = one[1]
    end
  end
  return step
end

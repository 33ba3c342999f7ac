-- The room's directory: which users have streams on which nodes, and which nodes have a lease.
--
-- KEYS and ARGV: those of the functions that use this.
--
-- The directory is two hashes, `where` and `nodes`. The field '' in each shows that it is whole, as no user and no node has
-- that name. In `where` it holds until when users may be missing that have streams: for the length of a lease after one of
-- the two was lost. Until then peer entries are told to every node. In `nodes` it holds what was told of how many watch.

-- Sets the marks where they are missing. Answers whether peer entries go to every node now.
local function hold_directory(now, where, nodes_key, lease_ms)
  local mark, told = call('HGET', where, ''), call('HGET', nodes_key, '')
  if mark and told then
    return (tonumber(mark) or 0) > now
  end
  local is_lost = (mark or told) and true or false
  call('HSET', where, '', is_lost and int(now + lease_ms) or '0')
  if is_lost then
    -- Whoever has no lease enters its users again.
    call('DEL', nodes_key)
  end
  call('HSET', nodes_key, '', '0')
  try('PEXPIRE', where, int(lease_ms * 2))
  try('PEXPIRE', nodes_key, int(lease_ms * 2))
  return is_lost
end

-- As an answer: whether a node's users must enter again, and if so, whether peer entries went to every node meanwhile.
local function lapsed_flag(is_lapsed, is_covered)
  return is_lapsed and (is_covered and '2' or '1') or '0'
end

-- As a table to look into: the nodes whose lease is valid.
local function valid_nodes(now, nodes_key)
  local leases, is_valid = call('HGETALL', nodes_key), {}
  for i = 1, #leases, 2 do
    is_valid[leases[i]] = leases[i] ~= '' and (tonumber(leases[i + 1]) or 0) > now
  end
  return is_valid
end

-- The nodes that hold a stream of one of the targets, nil where it may be any, and how many targets are known to have one.
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

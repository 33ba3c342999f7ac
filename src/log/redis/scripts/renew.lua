-- Renews a node's lease in the room's directory, keeps the room from being forgotten, returns the tail, and records the
-- node's number of streams. Publishes the sum over all nodes and the directory's number of users when either changes.
--
-- KEYS: 1 log  2 meta  3 state  4 where  5 nodes  6 audience  7 rules
-- ARGV: 1 to 5 as in shared.lua  6 node  7 length of the lease, ms  8 streams  9 epoch of the last entry that the node
--   received, or ''  10 its offset  11 `<viewers> <users>` as the node shows them, or ''
-- Returns: the tail; whether the lease had expired or was missing, or the directory was lost, so that the node's users
--   must enter again (lapsed_flag in directory.lua); `<viewers> <users>` in sum; the same as a node last reported to
--   show it, or ''; and how soon the node should renew again, ms, 0 for its own pace.
-- Errors: those of Redis.
--
-- The hash `audience` holds `@<node>`, which is `<end of its validity> <streams>`; `sum`, as last published; `shown`,
-- as a node last reported it; and `pass`, of next_step in directory.lua.

-- Reads everything first, so that a call that fails for a key's type leaves no trace.
local function read_count(now, node, where, nodes_key, audience)
  local fields, all = {}, call('HGETALL', audience)
  for i = 1, #all, 2 do
    fields[all[i]] = all[i + 1]
  end
  local read = {
    streams = 0,
    lapsed = {},
    users = call('HLEN', where) - call('HEXISTS', where, ''),
    sum = fields.sum or '0 0',
    shown = match(fields.shown or '', '^%d+ %d+$') or '',
    step = next_step(now, node, where, nodes_key, fields.pass),
  }
  fields['@' .. node] = nil
  for field, value in pairs(fields) do
    local ends, streams = match(value, '^(%d+) (%d+)$')
    if string.sub(field, 1, 1) ~= '@' then
      -- Not a node.
    elseif ends and tonumber(ends) > now then
      read.streams = read.streams + tonumber(streams)
    else
      read.lapsed[#read.lapsed + 1] = field
    end
  end
  return read
end

-- Writes what was read and counted. Returns the sum.
local function take_count(room, count, read)
  local step = read.step
  for from = 1, #step.users, ghosts_at_once do
    call('HDEL', count.where, unpack(step.users, from, math.min(from + ghosts_at_once - 1, #step.users)))
  end
  for key, fields in pairs({ [count.nodes] = step.nodes, [count.audience] = read.lapsed }) do
    if #fields > 0 then
      call('HDEL', key, unpack(fields))
    end
  end
  local sum = int(read.streams + count.streams) .. ' ' .. int(read.users - #step.users)
  local own = int(room.now + count.lease_ms) .. ' ' .. int(count.streams)
  call('HSET', count.audience, '@' .. count.node, own, 'sum', sum, 'shown', count.shown, 'pass', step.pass)
  try('PEXPIRE', count.audience, int(count.lease_ms * 2))
  if sum ~= read.sum then
    try('SPUBLISH', room.channel, '~' .. sum)
  end
  return sum
end

local function renew(keys, args)
  local where, nodes_key, audience, rules = keys[4], keys[5], keys[6], keys[7]
  local node, lease_ms, streams = args[6], tonumber(args[7]), tonumber(args[8])
  local seen_epoch, seen_offset, shown = args[9], tonumber(args[10]), args[11]
  local room = open_room(keys, args)
  local read = read_count(room.now, node, where, nodes_key, audience)
  know_rules(room, rules)
  if room.ruled or room.ended then
    find_rules(room, rules, {})
  end
  hold_state(room)
  -- The node has an entry that this room lacks: the log came back older, and the fence has not noticed.
  if seen_epoch == room.epoch and seen_offset > room.offset then
    begin_epoch(room, room.candidate)
  end
  local tail = tail_of(room, first_of(room))
  if room.touched == 0 then
    try('EXPIRE', room.meta, unwritten_s)
  else
    touch(room, rules)
  end
  local is_covered = hold_directory(room.now, where, nodes_key, lease_ms)
  local ends = tonumber(call('HGET', nodes_key, node) or 0) or 0
  shown = shown ~= '' and shown or read.shown
  local sum = take_count(room, {
    node = node,
    lease_ms = lease_ms,
    streams = streams,
    shown = shown,
    where = where,
    nodes = nodes_key,
    audience = audience,
  }, read)
  -- The last command that can fail. If an earlier one fails, the next renewal finds the lease expired again.
  call('HSET', nodes_key, node, int(room.now + lease_ms))
  try('PEXPIRE', where, int(lease_ms * 2))
  try('PEXPIRE', nodes_key, int(lease_ms * 2))
  return { tail, lapsed_flag(ends <= room.now, is_covered), sum, shown, int(read.step.again_ms) }
end

redis.register_function({ function_name = name('renew'), callback = renew, flags = { 'allow-oom' } })

-- What the functions of the library share: the room as a table, its fence, its entries, its oldest offset.
--
-- KEYS of every function that opens a room begin with: 1 log, 2 meta, 3 state.
-- ARGV of every such function begins with:
--   1 the room's channel   2 an epoch to use if a new one is needed   3 LOG_ENTRIES_MAX and LOG_BYTES_MAX, with a space
--   between   4 LOG_TTL_S in milliseconds   5 ROOM_TTL_S and RULES_TTL_S, with a space between
-- Every function may write, if only because the fence begins a new epoch, so all are called on the primary.
-- A step is atomic. Redis does not roll back a failed script, so:
--   everything that can fail for the type or the content of a key is read before the first write;
--   an entry counts once `offset` in the meta names it, and until then the next write drops it;
--   after that nothing can fail: `try` or `tidy` does what is optional (publishing, expiries, trimming). Readers detect
--   a message that was not published, because they compare positions with the tail.

-- Cached, because the table of globals is guarded and every lookup costs. None is accessible before the first function
-- runs.
local call, try, format, match

local lineage_max = 16
-- A room that was only read is soon forgotten: otherwise, requests for made-up rooms would fill the memory.
local unwritten_s = 120

-- Names the data set that this server writes. A restart and a promotion change it, even if the same process is demoted
-- and promoted again: it has then taken over another server's data, which may lack what it acknowledged itself. The
-- library came with that data, so the name is read once per load of the library. The run id would not do: it belongs to
-- the process.
local history

local function history_id()
  if not history then
    history = match(call('INFO', 'replication'), 'master_replid:(%w+)')
  end
  return history
end

-- By default, Lua prints large numbers with an exponent.
local function int(number)
  return format('%d', number)
end

-- Ends the call: another program wrote this field. Checked before the first write.
local function poisoned(field)
  error({ err = 'WRONGTYPE The field ' .. field .. ' of the room holds what no gateway wrote' })
end

local function number_in(text, field)
  return tonumber(text or 0) or poisoned(field)
end

-- Does optional work. Its failure must not fail the step, whose writes are done.
local function tidy(task, ...)
  pcall(task, ...)
end

-- A tenth more than promised, because the expiry is refreshed only after a tenth has passed.
local function expiry_s(room)
  return math.ceil(room.room_ttl_s * 1.1)
end

-- How long meta, log and state live on, ms. They expire together, so a missing one was lost.
local function left_ms(room)
  return int(math.max(room.touched, room.now - room.room_ttl_s * 100) + expiry_s(room) * 1000 - room.now)
end

local function touch(room, rules)
  if room.now - room.touched >= room.room_ttl_s * 100 then
    room.touched = room.now
    try('HSET', room.meta, 'touched', room.at)
    for _, key in ipairs({ room.meta, room.log, room.state }) do
      try('PEXPIRE', key, left_ms(room))
    end
    try('EXPIRE', rules, int(expiry_s(room) + room.rules_ttl_s), 'GT')
  end
end

-- Sets fields and values given in turn, also more of them than fit on Lua's stack.
local function set_fields(key, fields)
  for from = 1, #fields, 1000 do
    call('HSET', key, unpack(fields, from, math.min(from + 999, #fields)))
  end
end

-- Begins a room without meta anew. A state that is left stays, with its versions and sums. The entries are deleted,
-- because it is unknown which of them were retracted.
local function begin_room(room, candidate)
  -- What can fail comes first.
  local present, cells = history_id(), call('HGETALL', room.state)
  -- A forgotten room may have left rules; know_rules finds out.
  room.ruled = '?'
  local version, sums = 0, {}
  for i = 1, #cells, 2 do
    version = math.max(version, tonumber(match(cells[i + 1], '^%d+') or 0))
    local total = match(cells[i + 1], '^%d+ {"total":(%d+)}$')
    for _, mark in ipairs(total and { 'c:', 's:' } or {}) do
      sums[#sums + 1], sums[#sums + 2] = mark .. cells[i], total
    end
  end
  call('DEL', room.log, room.meta)
  call('HSET', room.meta, 'epoch', candidate, 'history', present, 'offset', int(version), 'ruled', room.ruled)
  room.epoch, room.offset, room.published, room.ended, room.touched, room.chat = candidate, version, '0', nil, 0, nil
  room.retracted, room.bytes, room.bytes_gone, room.has_state = nil, 0, 0, #cells > 0
  if not room.has_state then
    call('EXPIRE', room.meta, unwritten_s)
    return
  end
  -- Counts as touched long ago, so the next write also touches the log, which it creates.
  room.touched = 1
  call('HSET', room.meta, 'total', int(version), 'touched', '1')
  set_fields(room.meta, sums)
  try('PEXPIRE', room.meta, left_ms(room))
  try('PEXPIRE', room.state, left_ms(room))
end

-- A room that ever had a part has a state, if only versions of removed parts. If the state is gone, the parts are lost,
-- except the sums of counters. No reader can continue from what it has then: a new epoch without lineage declares that.
local function hold_state(room)
  if call('HLEN', room.state) > 0 or not room.has_state then
    return
  end
  local all, cells, settled = call('HGETALL', room.meta), {}, {}
  for i = 1, #all, 2 do
    local counter = match(all[i], '^c:(.*)')
    if counter then
      cells[#cells + 1], cells[#cells + 2] = counter, int(room.offset) .. ' {"total":' .. all[i + 1] .. '}'
      settled[#settled + 1], settled[#settled + 2] = 's:' .. counter, all[i + 1]
    end
  end
  call('HDEL', room.meta, 'lineage')
  call('HSET', room.meta, 'epoch', room.candidate, 'history', history_id())
  room.epoch, room.has_state = room.candidate, #cells > 0
  if not room.has_state then
    call('HDEL', room.meta, 'total')
    return
  end
  set_fields(room.state, cells)
  set_fields(room.meta, settled)
  call('HSET', room.meta, 'total', int(room.offset))
  try('PEXPIRE', room.state, left_ms(room))
end

-- Another data set than that of the last entry may lack entries that others received. The new epoch declares that.
local function begin_epoch(room, candidate)
  local lineage = call('HGET', room.meta, 'lineage')
  local ancestor = room.epoch .. ':' .. int(room.offset)
  lineage = lineage and (lineage .. ' ' .. ancestor) or ancestor
  local _, spaces = string.gsub(lineage, ' ', '')
  for _ = lineage_max, spaces do
    lineage = string.gsub(lineage, '^%S+ ', '', 1)
  end
  call('HSET', room.meta, 'epoch', candidate, 'history', history_id(), 'lineage', lineage)
  room.epoch = candidate
end

-- Begins every function. Returns the server's time, ms.
local function begin()
  if not call then
    call, try, format, match = redis.call, redis.pcall, string.format, string.match
  end
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Gateways differ in these only while their settings change.
local sizes, lives, entries_max, bytes_max, room_ttl_s, rules_ttl_s

local function read_limits(size_text, life_text)
  if size_text ~= sizes or life_text ~= lives then
    sizes, lives = size_text, life_text
    entries_max, bytes_max = match(sizes, '^(%d+) (%d+)$')
    room_ttl_s, rules_ttl_s = match(lives, '^(%d+) (%d+)$')
    bytes_max, room_ttl_s, rules_ttl_s = tonumber(bytes_max), tonumber(room_ttl_s), tonumber(rules_ttl_s)
  end
end

local function open_room(keys, args)
  local log, meta_key, state = keys[1], keys[2], keys[3]
  local channel, candidate, size_text, log_ttl_ms, life_text = args[1], args[2], args[3], args[4], args[5]
  local now = begin()
  read_limits(size_text, life_text)
  local meta = call('HMGET', meta_key, 'epoch', 'history', 'offset', 'published', 'ended', 'touched', 'ruled', 'chat', 'retracted',
    'bytes', 'bytes_gone', 'total')
  local room = {
    log = log,
    meta = meta_key,
    state = state,
    channel = channel,
    entries_max = entries_max,
    bytes_max = bytes_max,
    log_ttl_ms = tonumber(log_ttl_ms),
    room_ttl_s = room_ttl_s,
    rules_ttl_s = rules_ttl_s,
    now = now,
    at = int(now),
    epoch = meta[1],
    offset = number_in(meta[3], 'offset'),
    -- The last offset that was published to all nodes, as text.
    published = number_in(meta[4], 'published') and meta[4] or '0',
    ended = meta[5],
    touched = tonumber(meta[6] or 0) or 0,
    -- Set with the first rule: a room without rules needs no lookup.
    ruled = meta[7],
    -- See chat.lua.
    chat = meta[8],
    -- See retract.lua. Set with the first retraction.
    retracted = meta[9],
    -- See trim_bytes.
    bytes = number_in(meta[10], 'bytes'),
    bytes_gone = number_in(meta[11], 'bytes_gone'),
    has_state = meta[12],
    candidate = candidate,
  }
  if not room.epoch then
    begin_room(room, candidate)
  elseif not match(room.epoch, '^%w+$') then
    poisoned('epoch')
  elseif meta[2] ~= history_id() then
    begin_epoch(room, candidate)
  end
  return room
end

-- Nil if no gateway wrote the entry.
local function entry_at(entry)
  return tonumber(match(entry[2][2], '^%d+ %d+ %w+ (%d+)'))
end

local function entry_offset(entry)
  return tonumber(match(entry[1], '^%d+'))
end

-- Entries beyond the room's last offset were not numbered by this log and are ignored.
local function entry_from(room, offset)
  return call('XRANGE', room.log, int(offset) .. '-0', int(room.offset) .. '-0', 'COUNT', 1)[1]
end

-- The oldest offset that may still be served; trims entries that are too old first. Redis trims a stream by count only
-- in whole macro nodes, so the count is enforced here.
local function first_of(room)
  local floor = math.max(room.offset - tonumber(room.entries_max) + 1, 1)
  local oldest = entry_from(room, floor)
  if not oldest then
    return room.offset + 1
  end
  local first = entry_offset(oldest)
  local horizon = room.now - room.log_ttl_ms
  if (entry_at(oldest) or 0) > horizon then
    return first
  end
  local low, high = first + 1, room.offset + 1
  while low < high do
    local middle = math.floor((low + high) / 2)
    local entry = entry_from(room, middle)
    if entry and (entry_at(entry) or room.now) <= horizon then
      low = middle + 1
    else
      high = middle
    end
  end
  call('XTRIM', room.log, 'MINID', int(low) .. '-0')
  return low
end

-- As text: epoch, offset, first, then the lineage as epoch:last, the newest last.
local function tail_of(room, first)
  local lineage = call('HGET', room.meta, 'lineage')
  local tail = room.epoch .. ' ' .. int(room.offset) .. ' ' .. int(first)
  return lineage and (tail .. ' ' .. lineage) or tail
end

-- Reads enforce the age bound exactly. A write only ensures that a room without readers does not keep what is too old:
-- now and then it trims a little more than was added since.
local function trim_some(room)
  if room.offset % 16 ~= 0 then
    return
  end
  -- The log may have been lost and created anew.
  try('PEXPIRE', room.log, left_ms(room))
  local horizon = room.now - room.log_ttl_ms
  local entries = call('XRANGE', room.log, '-', '+', 'COUNT', 1)
  if not entries[1] or (entry_at(entries[1]) or 0) > horizon then
    return
  end
  local keep
  for _, entry in ipairs(call('XRANGE', room.log, '-', '+', 'COUNT', 64)) do
    keep = entry[1]
    if (entry_at(entry) or 0) > horizon then
      break
    end
  end
  call('XTRIM', room.log, 'MINID', keep)
end

-- The approximate bytes of an entry beside its text.
local entry_overhead = 128
local bytes_read_at_once = 16

-- The bytes written to the room before an entry; 0 if the entry does not say.
local function bytes_before(entry)
  return tonumber(entry[2][4] or 0) or 0
end

-- Enforces LOG_BYTES_MAX. `bytes` is the sum ever written, and each entry carries the sum before it. So the oldest
-- entry shows how much is kept, however others were removed. `bytes_gone` is the sum before the oldest entry seen last,
-- at most what is gone: nothing is looked up while the bound cannot be exceeded. A trim removes a little more than it
-- must, so that not every write trims.
local function trim_bytes(room)
  if room.bytes - room.bytes_gone <= room.bytes_max then
    return
  end
  local last, from, wanted, oldest = int(room.offset) .. '-0', '-', nil, nil
  repeat
    local entries = call('XRANGE', room.log, from, last, 'COUNT', bytes_read_at_once)
    for _, entry in ipairs(entries) do
      local before = bytes_before(entry)
      wanted = wanted or (room.bytes - before > room.bytes_max and room.bytes - room.bytes_max * 31 / 32 or before)
      if before >= wanted or entry[1] == last then
        oldest, room.bytes_gone = entry[1], before
        break
      end
      from = '(' .. entry[1]
    end
  until oldest or #entries == 0
  call('XTRIM', room.log, 'MINID', oldest or last)
  call('HSET', room.meta, 'bytes_gone', int(room.bytes_gone))
end

-- Another program wrote to the stream beyond the last offset. Those entries were never delivered, so they are
-- deleted, and the stream accepts the next offset again.
local function drop_strangers(room)
  for _, entry in ipairs(call('XRANGE', room.log, '(' .. int(room.offset) .. '-0', '+')) do
    call('XDEL', room.log, entry[1])
  end
  call('XSETID', room.log, int(room.offset) .. '-0')
end

local function keep(room, offset, text)
  local before = int(room.bytes)
  local reply = try('XADD', room.log, 'MAXLEN', '~', room.entries_max, offset .. '-0', 'e', text, 'b', before)
  -- On success it is a string, which has no such field.
  if reply.err and (string.find(reply.err, 'equal or smaller', 1, true) or string.find(reply.err, 'exhausted', 1, true)) then
    drop_strangers(room)
    reply = try('XADD', room.log, 'MAXLEN', '~', room.entries_max, offset .. '-0', 'e', text, 'b', before)
  end
  if reply.err then
    error(reply)
  end
  room.bytes = room.bytes + entry_overhead + #text
end

-- Numbers, keeps and publishes one entry. `content` is the part of its text that does not depend on the room: kind,
-- lane, audience, and the body on the last line. `nodes` is nil for all nodes, or the only nodes to publish to. With
-- all nodes, `field` of the meta is set in the same command: to `value`, or without one to the entry's offset.
local function add(room, content, nodes, field, value)
  local offset = int(room.offset + 1)
  local text = offset .. ' ' .. room.published .. ' ' .. room.epoch .. ' ' .. room.at .. ' ' .. content
  keep(room, offset, text)
  room.offset = room.offset + 1
  room.last = offset
  if nodes then
    call('HSET', room.meta, 'offset', offset, 'bytes', int(room.bytes))
    for _, node in ipairs(nodes) do
      try('SPUBLISH', room.channel .. ':' .. node, text)
    end
  else
    room.published = offset
    if field then
      call('HSET', room.meta, 'offset', offset, 'published', offset, 'bytes', int(room.bytes), field, value or offset)
    else
      call('HSET', room.meta, 'offset', offset, 'published', offset, 'bytes', int(room.bytes))
    end
    try('SPUBLISH', room.channel, text)
  end
  tidy(trim_some, room)
  tidy(trim_bytes, room)
  return offset
end

local function set_part(room, part, cell)
  room.has_state = true
  if call('HSET', room.state, part, cell) == 1 then
    try('PEXPIRE', room.state, left_ms(room))
  end
end

-- Turns a counter's sum into state.
local function settle_counter(room, counter, total)
  hold_state(room)
  local value = '{"total":' .. int(total) .. '}'
  local offset = add(room, 'state must all\n{"part":"' .. counter .. '","value":' .. value .. '}', nil, 'total')
  set_part(room, counter, offset .. ' ' .. value)
  call('HSET', room.meta, 'c:' .. counter, int(total), 's:' .. counter, int(total), 't:' .. counter, room.at)
end

-- Retractions: which entries can be retracted, and the tombstones that are read in their place. An entry of a stream
-- cannot be changed, and deleting it would leave a hole, so fields of the meta name the tombstones. A key of their own
-- would nearly always be absent, and while a slot migrates, a call with an absent key has to wait for the end of the
-- migration.
--
-- KEYS and ARGV: those of the functions that use this.
--
-- The fields:
--   retracted    `<offset> <count>`: the newest retraction for all (0: none), and the number of retractions of any
--                kind. Absent in a room without any, which pays one more field in calls that it makes anyway.
--   r:<id>       of each entry that is a tombstone: `<epoch> <offset> <at>` of its `retract` entry

-- Trimmed tombstones are swept once per this many retractions.
local retracted_swept = 256
-- Fields read at a time; Lua's stack holds some thousands.
local retracted_asked = 500

local function sweep_retracted(room, count, first)
  if count % retracted_swept ~= 0 then
    return
  end
  for _, field in ipairs(call('HKEYS', room.meta)) do
    local offset = match(field, '^r:%w+%.(%d+)$')
    if offset and tonumber(offset) < first then
      call('HDEL', room.meta, field)
    end
  end
end

-- Kind, audience and, of a direct signal, the targets of the kept entry that an id names; nil if there is none.
local function entry_named(room, epoch, offset)
  local entry = offset <= room.offset and entry_from(room, offset)
  if not entry or entry_offset(entry) ~= offset then
    return
  end
  local own, kind, audience, rest = match(entry[2][2], '^%d+ %d+ (%w+) %d+ (%S+) %S+ (%S+)\n(.*)$')
  if own == epoch then
    return kind, audience, audience == 'users' and match(rest, '^[^\n]*') or nil
  end
end

-- Turns an entry into a tombstone and publishes that to the entry's audience. Returns false if there is no such entry,
-- or its kind cannot be retracted.
local function retract(room, where, nodes_key, body, epoch, offset, lasting)
  local field = 'r:' .. epoch .. '.' .. int(offset)
  local known = call('HGET', room.meta, field)
  local first = first_of(room)
  local kind, audience, targets = entry_named(room, epoch, offset)
  if not kind or offset < first or string.find(lasting, ' ' .. kind .. ' ', 1, true) then
    return false
  end
  if known then
    room.answer = known
    return true
  end
  local nodes
  if targets then
    nodes, room.connected = nodes_of(room.now, where, nodes_key, targets)
  end
  local newest, count = match(room.retracted or '', '^(%d+) (%d+)$')
  local head = 'retract must ' .. audience .. '\n' .. (targets and (targets .. '\n') or '')
  add(room, head .. body, nodes)
  count = tonumber(count or 0) + 1
  newest = audience == 'all' and room.last or newest or '0'
  local place = room.epoch .. ' ' .. room.last .. ' ' .. room.at
  call('HSET', room.meta, 'retracted', newest .. ' ' .. int(count), field, place)
  tidy(sweep_retracted, room, count, first)
  return true
end

-- Appends the texts of stream entries to an answer, with tombstones in place of retracted ones.
local function put_texts(room, entries, answer)
  local before = #answer
  for i, entry in ipairs(entries) do
    answer[before + i] = entry[2][2]
  end
  if not room.retracted then
    return
  end
  for from = 1, #entries, retracted_asked do
    local ids = {}
    for i = from, math.min(from + retracted_asked - 1, #entries) do
      local offset, epoch = match(answer[before + i], '^(%d+) %d+ (%w+) ')
      ids[#ids + 1] = 'r:' .. (epoch or '') .. '.' .. (offset or '')
    end
    for i, place in ipairs(call('HMGET', room.meta, unpack(ids))) do
      local at = before + from + i - 1
      local head, lane, audience, rest = match(answer[at], '^(%d+ %d+ %w+ %d+ %S+ )(%S+) (%S+)\n(.*)$')
      if place and head then
        local by = string.gsub(place, '^(%w+) (%d+) .*$', '%1.%2')
        local targets = audience == 'users' and match(rest, '^[^\n]*\n') or ''
        answer[at] = head .. 'tombstone ' .. (lane == 'sampled-out' and 'staff' or audience) .. '\n' .. targets
          .. '{"by":"' .. by .. '"}'
      end
    end
  end
end

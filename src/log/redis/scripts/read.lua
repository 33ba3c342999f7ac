-- Reads entries after a position, and the tail to judge the position by.
--
-- KEYS: 1 log  2 meta  3 state
-- ARGV: 1 to 5 as in shared.lua  6 epoch of the position, or '' for none  7 its offset  8 how many entries at most
-- Returns: the tail, the offset of the newest retraction for all (0: none), then the text of each entry.
-- Errors: those of Redis.

-- The offset after which `judge` in log/position.ts lets this position continue. Both must agree, or readings have
-- holes.
local function start_of(room, first, epoch, offset)
  local left
  if epoch == room.epoch then
    left = offset <= room.offset and room.offset or nil
  elseif epoch ~= '' then
    for old, last in string.gmatch(call('HGET', room.meta, 'lineage') or '', '(%w+):(%d+)') do
      if old == epoch then
        left = tonumber(last)
      end
    end
  end
  if not left then
    return room.offset
  end
  return math.max(math.min(offset, left), first - 1)
end

local function read(keys, args)
  local epoch, offset, limit = args[6], tonumber(args[7]), tonumber(args[8])
  local room = open_room(keys, args)
  local first = first_of(room)
  local start = start_of(room, first, epoch, offset)
  local answer = { tail_of(room, first), match(room.retracted or '0', '^%d+') }
  if start < room.offset and limit > 0 then
    local entries = call('XRANGE', room.log, int(start + 1) .. '-0', int(room.offset) .. '-0', 'COUNT', limit)
    put_texts(room, entries, answer)
  end
  return answer
end

redis.register_function({ function_name = name('read'), callback = read, flags = { 'allow-oom' } })

-- Turns the pending sum of a counter into state. Changes nothing when none is pending or when the room has ended.
--
-- KEYS: 1 log  2 meta  3 state
-- ARGV: 1 to 5 as in shared.lua  6 counter
-- Returns: 1 if an entry was written, else 0.
-- Errors: those of Redis; then nothing was written.

local function settle(keys, args)
  local room = open_room(keys, args)
  local known = call('HMGET', room.meta, 'c:' .. args[6], 's:' .. args[6])
  if room.ended or not known[1] or known[1] == known[2] then
    return 0
  end
  settle_counter(room, args[6], tonumber(known[1]))
  return 1
end

redis.register_function(name('settle'), settle)

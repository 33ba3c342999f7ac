-- Turns the pending sum of a counter into state, or declares sampled-out chat. Changes nothing if nothing is pending or
-- the room has ended.
--
-- KEYS: 1 log  2 meta  3 state
-- ARGV: 1 to 5 as in shared.lua  6 counter, or `chat`
-- Returns: how long until what is still pending may be settled, ms; 0 if nothing is.
-- Errors: those of Redis; then nothing was written.

local function settle_chat(room)
  local chat = chat_of(room)
  local wait_ms = declared_in(room, chat)
  if wait_ms == 0 then
    declare(room, chat)
  end
  return wait_ms or 0
end

local function settle(keys, args)
  local counter = args[6]
  local room = open_room(keys, args)
  if room.ended then
    return 0
  end
  if counter == 'chat' then
    return settle_chat(room)
  end
  local known = call('HMGET', room.meta, 'c:' .. counter, 's:' .. counter)
  if known[1] and known[1] ~= known[2] then
    settle_counter(room, counter, number_in(known[1], 'c:' .. counter))
  end
  return 0
end

redis.register_function(name('settle'), settle)

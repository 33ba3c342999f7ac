-- Every state part of a room.
--
-- KEYS: 1 log  2 meta  3 state
-- ARGV: 1 to 5 as in shared.lua
-- Returns: the tail, the version of the newest change, then part and cell in turn. A cell is `<version> <json>`, or
--   `<version>` alone for a part that was removed.
-- Errors: those of Redis.

local function read_state(keys, args)
  local room = open_room(keys, args)
  local answer = { tail_of(room, first_of(room)), call('HGET', room.meta, 'total') or '0' }
  for _, text in ipairs(call('HGETALL', room.state)) do
    answer[#answer + 1] = text
  end
  return answer
end

redis.register_function({ function_name = name('read_state'), callback = read_state, flags = { 'allow-oom' } })

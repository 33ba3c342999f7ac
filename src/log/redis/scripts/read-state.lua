-- Reads every state part of a room, or those that changed after a version that the reader has.
--
-- KEYS: 1 log  2 meta  3 state  4 rules
-- ARGV: 1 to 5 as in shared.lua  6 rank and user of the reader, in one word, or ''  7 epoch of the version, '' for
--   none, or '*' for the present one  8 the version; it counts as none if its epoch is not the present one
-- Returns: the tail, the version of the newest change, '1' if the user is banned ('0' else), '1' if the room has ended,
--   then part and cell in turn. A cell is `<version> <json>`, or `<version>` alone for a removed part.
-- Errors: those of Redis.

local function read_state(keys, args)
  local rules, reader, epoch, version = keys[4], args[6], args[7], args[8]
  local room = open_room(keys, args)
  know_rules(room, rules)
  hold_state(room)
  local banned, ended = banned_flag(room, rules, reader), room.ended and '1' or '0'
  local answer = { tail_of(room, first_of(room)), call('HGET', room.meta, 'total') or '0', banned, ended }
  local known = (epoch == room.epoch or epoch == '*') and tonumber(version) or -1
  if (tonumber(answer[2]) or 0) <= known then
    return answer
  end
  local cells = call('HGETALL', room.state)
  for i = 1, #cells, 2 do
    -- Text that is no cell is returned too: the caller logs it.
    if (tonumber(match(cells[i + 1], '^%d+')) or known + 1) > known then
      answer[#answer + 1] = cells[i]
      answer[#answer + 1] = cells[i + 1]
    end
  end
  return answer
end

redis.register_function({ function_name = name('read_state'), callback = read_state, flags = { 'allow-oom' } })

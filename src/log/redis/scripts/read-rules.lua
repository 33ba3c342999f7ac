-- Reads every rule of a room.
--
-- KEYS: 1 log  2 meta  3 state  4 rules
-- ARGV: 1 to 5 as in shared.lua
-- Returns: the server's time, ms, then field and value in turn, as rules.lua defines them; expired rules too.
-- Errors: those of Redis.

local function read_rules(keys, args)
  local rules = keys[4]
  local room = open_room(keys, args)
  know_rules(room, rules)
  if room.ruled then
    find_rules(room, rules, {})
  end
  local answer = { room.at }
  for _, text in ipairs(call('HGETALL', rules)) do
    answer[#answer + 1] = text
  end
  return answer
end

redis.register_function({ function_name = name('read_rules'), callback = read_rules, flags = { 'allow-oom' } })

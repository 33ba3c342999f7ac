-- Rules on users: bans and mutes, the roles that set them, and the users that they bind. The same hash holds the end of
-- the room, because it outlives the room too. The meta holds a copy of it all, so that the loss of one key reopens
-- nothing.
--
-- KEYS and ARGV: those of the functions that use this.
--
-- The fields:
--   ban:<user>, mute:<user>   `<until, ms; 0: for good> <rank of the role that set it> <since, ms> <body of its entry>`
--   end                       when the room ended, ms, or 0; present as long as the hash is whole

-- Expired rules are swept each time the hash has grown by this many, and if it is full.
local rules_swept = 256

-- The rank of a rule that is in force; nil if it is not, or no gateway wrote it.
local function rank_of(rule, now)
  local until_ms, rank = match(rule or '', '^(%d+) (%d) ')
  if until_ms == '0' or (until_ms and tonumber(until_ms) > now) then
    return tonumber(rank)
  end
end

-- A rule binds users of a lower rank than that of the role that set it.
local function is_bound(rule, rank, now)
  local own = rank_of(rule, now)
  return own ~= nil and rank < own
end

-- Keeps the rules for RULES_TTL_S after the room, and for at least `seconds`. A longer expiry stays.
local function keep_rules(room, rules, seconds)
  local expiry = int(math.max(expiry_s(room) + room.rules_ttl_s, seconds or 0))
  try('EXPIRE', rules, expiry, 'NX')
  try('EXPIRE', rules, expiry, 'GT')
end

local function rules_in(key)
  local all, found = call('HGETALL', key), {}
  for i = 1, #all, 2 do
    if match(all[i], '^ban:') or match(all[i], '^mute:') then
      found[#found + 1], found[#found + 2] = all[i], all[i + 1]
    end
  end
  return found
end

-- Copies to each of the two keys what only the other has.
local function restore_rules(room, rules)
  local kept, there = rules_in(room.meta), rules_in(rules)
  set_fields(room.meta, there)
  set_fields(rules, kept)
  call('HSET', rules, 'end', room.ended or '0')
  local longest_s = 0
  for i = 2, #kept, 2 do
    local until_ms = tonumber(match(kept[i], '^%d+') or 0)
    longest_s = math.max(longest_s, math.ceil((until_ms - room.now) / 1000))
  end
  keep_rules(room, rules, longest_s)
end

-- The values of these fields of the rules.
local function find_rules(room, rules, fields)
  fields[#fields + 1] = 'end'
  local found = call('HMGET', rules, unpack(fields))
  if not found[#fields] then
    restore_rules(room, rules)
    found = call('HMGET', rules, unpack(fields))
  end
  for i = 1, #fields - 1 do
    if found[i] and not match(found[i], '^%d+ %d ') then
      -- No gateway wrote this.
      found[i] = call('HGET', room.meta, fields[i])
    end
  end
  return found
end

-- A room that begins anew may have been forgotten. Then its rules and its end are in force, and it is kept like a room
-- that was written.
local function know_rules(room, rules)
  if room.ruled ~= '?' then
    return
  end
  if call('EXISTS', rules) == 0 then
    room.ruled = nil
    call('HDEL', room.meta, 'ruled')
    return
  end
  local ended = call('HGET', rules, 'end')
  room.ruled, room.ended = '1', ended ~= '0' and ended or nil
  set_fields(room.meta, rules_in(rules))
  call('HSET', room.meta, 'ruled', '1')
  if room.ended then
    call('HSET', room.meta, 'ended', room.ended)
  end
  touch(room, rules)
end

-- '1' if the user is banned, '0' else. `reader` is a rank and the user, or nothing.
local function banned_flag(room, rules, reader)
  local rank, user = match(reader or '', '^(%d)(.+)$')
  local is_banned = user and room.ruled and is_bound(find_rules(room, rules, { 'ban:' .. user })[1], tonumber(rank), room.now)
  return is_banned and '1' or '0'
end

local function sweep_rules(room, rules)
  local all = call('HGETALL', rules)
  for i = 1, #all, 2 do
    if all[i] ~= 'end' and not rank_of(all[i + 1], room.now) then
      call('HDEL', rules, all[i])
      call('HDEL', room.meta, all[i])
    end
  end
end

-- Why a role of this rank cannot set or lift a rule of the hash; nil if it can.
local function why_not_rule(room, rules, field, is_set, rank, rules_max)
  local known = find_rules(room, rules, { field })[1]
  if (rank_of(known, room.now) or 0) > rank then
    return 'not-this-role'
  end
  if not is_set or known then
    return
  end
  local count = call('HLEN', rules)
  if count >= rules_max or (count + 1) % rules_swept == 0 then
    sweep_rules(room, rules)
    count = call('HLEN', rules)
  end
  if count - call('HEXISTS', rules, 'end') >= rules_max then
    return 'rules-full'
  end
end

local function set_rule(room, rules, field, seconds, rank, body)
  local until_ms = seconds == 0 and '0' or int(room.now + seconds * 1000)
  local rule = until_ms .. ' ' .. int(rank) .. ' ' .. room.at .. ' ' .. body
  call('HSET', rules, field, rule)
  call('HSET', room.meta, field, rule)
  keep_rules(room, rules, seconds)
end

-- Applies one write to a room: checks, numbers, keeps and publishes it, or refuses it without a trace.
--
-- KEYS: 1 log  2 meta  3 state  4 seen (of this write's key)  5 where  6 nodes  7 rules  8 rate (if ARGV 10 is set)
-- ARGV: 1 to 5 as in shared.lua
--   6 user that writes   7 digest of the write   8 how long the answer is kept, ms
--   9 rank of the user's role, then 'm' if a mute refuses the write
--   10 ms per token, or ''   11 burst   12 cost   13 type of the change
--   14 content of the entry ('' for a count; its body for a retract)
--   then by type:
--   event   15 targets of a direct signal, separated by spaces, or ''
--           16 CHAT_PER_SECOND if the entry may be sampled out, else ''
--   put     15 part   16 value   17 required version, `any`, or ''   18 STATE_PARTS_MAX
--   remove  15 part   16 required version, `any`, or ''
--   count   15 counter   16 by   17 COUNT_MS
--   tally   15 the first lines of the receipt  16 its body  17 its recipient  18 counter  19 by  20 COUNT_MS
--   retract 15 epoch of the entry  16 its offset  17 kinds that cannot be retracted, each between spaces
--   rule    15 field of the rules hash   16 seconds (0: permanent), or '' to lift it   17 RULES_MAX
--   end     nothing
-- Returns one line:
--   kept <epoch> <offset> <at> <connected> <total> <pending 0 or 1>
--   again …                       the first answer, for a repeat
--   refused <code> <retry after ms> <version>
-- Errors: those of Redis; then nothing was written (see shared.lua).

-- The least time between two publications of a room's counters.
local count_publish_ms = 100
-- Changes that a room accepts after its end too.
local taken_after_end = { retract = true, rule = true }

local function refusal(code, retry_ms, version)
  return 'refused ' .. code .. ' ' .. int(retry_ms or 0) .. ' ' .. int(version or 0)
end

-- The generic cell rate algorithm. The key holds the theoretical arrival time and expires once that has passed. Returns
-- the new arrival time, and the ms to wait (0: within the rate).
local function take_tokens(room, known, args)
  local interval, burst, cost = tonumber(args[10]), tonumber(args[11]), tonumber(args[12])
  local arrival = math.max(tonumber(known or 0) or 0, room.now) + interval * cost
  local over = arrival - room.now - interval * burst
  return arrival, over > 0.01 and math.max(1, math.ceil(over)) or 0
end

local function version_of(cell)
  return cell and tonumber(match(cell, '^%d+')) or 0
end

local function is_live(cell)
  return cell and string.find(cell, ' ', 1, true) ~= nil
end

-- Whether a part has the version that a change requires. Version 0: there is no such part.
local function is_met(wanted, version)
  if wanted == 'any' then
    return version > 0
  end
  return wanted == '' or tonumber(wanted) == version
end

-- Forgets parts that were removed before the oldest entry: every reader knows of the removal.
local function sweep_removed(room)
  local first = first_of(room)
  local cells = call('HGETALL', room.state)
  for i = 1, #cells, 2 do
    if not is_live(cells[i + 1]) and version_of(cells[i + 1]) < first then
      call('HDEL', room.state, cells[i])
    end
  end
end

-- Each takes room, keys and args. It returns a refusal, or nil after leaving the answer's parts in the room.
local changes = {}

function changes.event(room, keys, args)
  local where, nodes_key = keys[5], keys[6]
  local content, targets, chat_per_second = args[14], args[15], args[16]
  if chat_per_second ~= '' then
    return add_chat(room, content, tonumber(chat_per_second))
  end
  local nodes
  if targets ~= '' then
    nodes, room.connected = nodes_of(room.now, where, nodes_key, targets)
  end
  add(room, content, nodes)
end

function changes.put(room, _, args)
  local content, part, value, wanted, parts_max = args[14], args[15], args[16], args[17], tonumber(args[18])
  hold_state(room)
  local cell = call('HGET', room.state, part)
  local version = is_live(cell) and version_of(cell) or 0
  if not is_met(wanted, version) then
    return refusal('version-conflict', 0, version)
  end
  if not cell and call('HLEN', room.state) >= parts_max then
    sweep_removed(room)
    if call('HLEN', room.state) >= parts_max then
      return refusal('state-full')
    end
  end
  set_part(room, part, add(room, content, nil, 'total') .. ' ' .. value)
end

function changes.remove(room, _, args)
  local content, part, wanted = args[14], args[15], args[16]
  hold_state(room)
  local cell = call('HGET', room.state, part)
  local version = is_live(cell) and version_of(cell) or 0
  if version == 0 and wanted ~= 'any' then
    return refusal('not-found')
  end
  if not is_met(wanted, version) then
    return refusal('version-conflict', 0, version)
  end
  set_part(room, part, add(room, content, nil, 'total'))
end

-- A counter's sum, when it last became state, and when any counter was last published. Read before the first write.
local function read_counter(room, counter)
  local known = call('HMGET', room.meta, 'c:' .. counter, 't:' .. counter, 'count_at')
  return {
    name = counter,
    sum = number_in(known[1], 'c:' .. counter),
    settled = tonumber(known[2] or 0) or 0,
    published_at = tonumber(known[3] or 0) or 0,
  }
end

local function count_up(room, counter, by, count_ms)
  room.total = counter.sum + tonumber(by)
  if room.now - counter.settled >= tonumber(count_ms) then
    settle_counter(room, counter.name, room.total)
    return
  end
  room.pending = true
  call('HSET', room.meta, 'c:' .. counter.name, int(room.total))
  if room.now - counter.published_at >= count_publish_ms then
    try('HSET', room.meta, 'count_at', room.at)
    try('SPUBLISH', room.channel, '+' .. counter.name .. ' ' .. int(room.total) .. ' ' .. room.epoch)
  end
end

function changes.count(room, _, args)
  local counter, by, count_ms = args[15], args[16], args[17]
  count_up(room, read_counter(room, counter), by, count_ms)
end

function changes.tally(room, keys, args)
  local where, nodes_key = keys[5], keys[6]
  local content, receipt_head, receipt_body, recipient = args[14], args[15], args[16], args[17]
  local counter_name, by, count_ms = args[18], args[19], args[20]
  hold_state(room)
  local counter = read_counter(room, counter_name)
  local nodes, connected = nodes_of(room.now, where, nodes_key, recipient)
  room.connected = connected
  add(room, content)
  room.answer = room.epoch .. ' ' .. room.last .. ' ' .. room.at
  local of = '{"of":"' .. room.epoch .. '.' .. room.last .. '",'
  add(room, receipt_head .. of .. string.sub(receipt_body, 2), nodes)
  count_up(room, counter, by, count_ms)
end

function changes.retract(room, keys, args)
  local body, epoch, offset, lasting = args[14], args[15], tonumber(args[16]), args[17]
  if not retract(room, keys[5], keys[6], body, epoch, offset, lasting) then
    return refusal('not-found')
  end
end

function changes.rule(room, keys, args)
  local rules, rank = keys[7], tonumber(match(args[9], '^%d'))
  local content, field, seconds, rules_max = args[14], args[15], tonumber(args[16]), tonumber(args[17])
  local code = why_not_rule(room, rules, field, seconds ~= nil, rank, rules_max)
  if code then
    return refusal(code)
  end
  -- No rule has an empty name: this changes nothing, but fails if a later command would.
  call('HDEL', rules, '')
  add(room, content)
  if not room.ruled then
    call('HSET', room.meta, 'ruled', '1')
  end
  if seconds then
    set_rule(room, rules, field, seconds, rank, match(content, '\n(.*)$'))
  else
    call('HDEL', rules, field)
    call('HDEL', room.meta, field)
  end
end

-- Counters whose sum is not state yet. Nothing may follow the end, so it would never become state.
local function unsettled(room)
  local counters, sums, settled = {}, {}, {}
  local all = call('HGETALL', room.meta)
  for i = 1, #all, 2 do
    local mark, counter = match(all[i], '^([cs]):(.*)')
    if mark == 'c' and tonumber(all[i + 1]) then
      counters[#counters + 1] = counter
      sums[counter] = all[i + 1]
    elseif mark == 's' then
      settled[counter] = all[i + 1]
    end
  end
  local pending = {}
  for _, counter in ipairs(counters) do
    if sums[counter] ~= settled[counter] then
      pending[#pending + 1] = counter
    end
  end
  return pending, sums
end

changes['end'] = function(room, keys, args)
  local rules, content = keys[7], args[14]
  find_rules(room, rules, {})
  hold_state(room)
  local pending, sums = unsettled(room)
  for _, counter in ipairs(pending) do
    settle_counter(room, counter, tonumber(sums[counter]))
  end
  declare_before_end(room)
  add(room, content)
  call('HSET', room.meta, 'ended', room.at)
  call('HSET', rules, 'end', room.at)
  keep_rules(room, rules)
end

local function check_rules(room, rules, args)
  local user, bound, change = args[6], args[9], args[13]
  if room.ended and not taken_after_end[change] then
    return refusal('room-ended')
  end
  if not room.ruled then
    return
  end
  local rank, is_mutable = match(bound, '^(%d)(m?)')
  local found = find_rules(room, rules, { 'ban:' .. user, 'mute:' .. user })
  if is_bound(found[1], tonumber(rank), room.now) then
    return refusal('banned')
  end
  if is_mutable == 'm' and is_bound(found[2], tonumber(rank), room.now) then
    return refusal('muted')
  end
end

local function append(keys, args)
  local seen_key, rules, rate_key = keys[4], keys[7], keys[8]
  local digest, remembered_ms, has_rate, change = args[7] .. '\n', args[8], args[10] ~= '', args[13]
  local room = open_room(keys, args)
  know_rules(room, rules)
  local seen, rate
  if not has_rate then
    seen = call('GET', seen_key)
  else
    -- One call instead of two: a call costs about as much as all the Lua between two calls.
    local known = call('MGET', seen_key, rate_key)
    seen, rate = known[1], known[2]
  end
  if seen then
    local is_same = string.sub(seen, 1, #digest) == digest
    return is_same and ('again ' .. string.sub(seen, #digest + 1)) or refusal('key-reused')
  end
  local no = check_rules(room, rules, args)
  if no then
    return no
  end
  local arrival, wait_ms
  if has_rate then
    arrival, wait_ms = take_tokens(room, rate, args)
    if wait_ms > 0 then
      return refusal('rate-limited', wait_ms)
    end
  end
  no = changes[change](room, keys, args)
  if no then
    return no
  end
  -- The entry that identifies the write: `room.answer` if it is not the last one.
  local place = room.answer or (room.epoch .. ' ' .. (room.last or int(room.offset)) .. ' ' .. room.at)
  local answer = place .. ' ' .. (room.connected or '0') .. ' ' .. (room.total and int(room.total) or '0')
    .. (room.pending and ' 1' or ' 0')
  try('SET', seen_key, digest .. answer, 'PX', remembered_ms)
  if arrival then
    try('SET', rate_key, format('%.3f', arrival), 'PX', int(math.ceil(arrival - room.now)))
  end
  touch(room, rules)
  return 'kept ' .. answer
end

redis.register_function(name('append'), append)

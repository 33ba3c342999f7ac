-- How many watch a room, over all nodes: what nodes report, what becomes of it over time, and what everyone is told.
-- memory/viewer-count.ts does the same for the embedded log; the rules stand in room-log.ts, at `report`.
--
-- KEYS and ARGV: those of the functions that use this.
--
-- The hash `audience` holds `@<node>`, which is `<end of the report's validity> <viewers>`, and `state`, JSON. Moments in
-- it are rows of three: at, viewers, users.
--   told    what was published last
--   last    as of the last report
--   rise    since when more is known than was told, and the least since
--   most    the most that there was, by steps of time, the oldest first
--   awake   when reports came in again after a time without any: until then nobody can be said to be silent
--   sweep   of the directory: the cursor, when the pass began, when its last step was

local grace_ms, step_ms = 10000, 1000
-- How much of the directory one step looks at, and the least time between two steps.
local sweep_at_once, sweep_pause_ms = 1000, 50

-- JSON can hold numbers that are infinite when they are read, and those cannot be written again.
local function finite(value)
  local number = tonumber(value)
  return number and number - number == 0 and number or nil
end

local function row_of(value)
  local is_row = type(value) == 'table' and #value == 3
  for i = 1, 3 do
    is_row = is_row and type(value[i]) == 'number' and finite(value[i])
  end
  return is_row and value or nil
end

-- What cannot be read is as if nobody had reported yet.
local function read_state(text)
  local is_read, state = pcall(cjson.decode, text or '{}')
  state = is_read and type(state) == 'table' and state or {}
  local most = {}
  for _, row in ipairs(type(state.most) == 'table' and state.most or {}) do
    most[#most + 1] = row_of(row)
  end
  local sweep = type(state.sweep) == 'table' and state.sweep or nil
  return {
    told = row_of(state.told),
    last = row_of(state.last),
    rise = row_of(state.rise),
    most = most,
    awake = finite(state.awake),
    sweep = sweep and match(tostring(sweep[1]), '^%d+$') and finite(sweep[2]) and finite(sweep[3]) and sweep or nil,
  }
end

local function is_more(a, b)
  return a[2] > b[2] or a[3] > b[3]
end

-- Notes how many there are from a moment on. What was before lasted until then.
local function note(state, moment)
  local most, last = state.most, state.last
  local tail = most[#most]
  if tail and moment[1] < tail[1] + step_ms then
    tail[2], tail[3] = math.max(tail[2], moment[2]), math.max(tail[3], moment[3])
  else
    most[#most + 1] = { moment[1], math.max(last[2], moment[2]), math.max(last[3], moment[3]) }
  end
  state.last = moment
end

-- The most that there was within the grace.
local function most_of(state, now)
  while state.most[1] and state.most[1][1] + step_ms + grace_ms <= now do
    table.remove(state.most, 1)
  end
  local viewers, users = state.last[2], state.last[3]
  for _, row in ipairs(state.most) do
    viewers, users = math.max(viewers, row[2]), math.max(users, row[3])
  end
  return viewers, users
end

-- How long until less may be told; nil where no less is known.
local function falls_in(state, now)
  local told, soonest = state.told, nil
  for field = 2, 3 do
    if told and told[field] > state.last[field] then
      local ends = now
      for _, row in ipairs(state.most) do
        if row[field] >= told[field] then
          ends = row[1] + step_ms + grace_ms
        end
      end
      soonest = math.min(soonest or ends, ends)
    end
  end
  return soonest and math.max(soonest - now, 1)
end

-- The viewers of the other nodes, how many of those have any, and the fields of nodes that fell silent: these are left
-- out, since when they did.
local function count_others(state, counts, node, now)
  local others, peopled, own, lapsed, silent_at = 0, 0, 0, {}, nil
  for i = 1, #counts, 2 do
    local name = match(counts[i], '^@(.+)$')
    local ends, viewers = match(counts[i + 1], '^(%d+) (%d+)$')
    if name and ends and tonumber(ends) > now then
      if name == node then
        own = tonumber(viewers)
      else
        others = others + tonumber(viewers)
        peopled = peopled + (viewers ~= '0' and 1 or 0)
      end
    elseif name then
      lapsed[#lapsed + 1] = counts[i]
      silent_at = math.max(silent_at or 0, tonumber(ends or now))
    end
  end
  if silent_at then
    note(state, { math.max(silent_at, state.awake), others + own, state.last[3] })
  end
  return others, peopled, lapsed
end

-- Sets what is told: the least since more is known, the most since less is, at most once per VIEWER_COUNT_MS. Answers whether
-- that is news, and how long until more may be told, nil where nothing is pending.
local function decide(state, is_sure, audience_ms, now)
  local base, sum = state.told or { 0, 0, 0 }, state.last
  local rise = is_more(sum, base) and (state.rise or { now, sum[2], sum[3] }) or nil
  state.rise = rise and { rise[1], math.min(rise[2], sum[2]), math.min(rise[3], sum[3]) }
  local left_ms = rise and not is_sure and rise[1] + audience_ms - now or 0
  local known = is_sure and sum or rise and left_ms <= 0 and state.rise or base
  local viewers, users = most_of(state, now)
  local next = { now, math.min(math.max(base[2], known[2]), viewers), math.min(math.max(base[3], known[3]), users) }
  local rate_ms = state.told and state.told[1] + audience_ms - now or 0
  local is_news = next[2] ~= base[2] or next[3] ~= base[3]
  if is_news and rate_ms <= 0 then
    state.told = next
    state.rise = is_more(sum, next) and { now, sum[2], sum[3] } or nil
    return true, state.rise and audience_ms or falls_in(state, now)
  end
  local wait_ms = is_news and rate_ms or falls_in(state, now)
  return false, left_ms > 0 and math.min(wait_ms or left_ms, left_ms) or wait_ms
end

-- As a table to look into: the nodes whose users are still counted. Then those that are not, with the moment since when,
-- and how long until the next of them is not, nil where all are well.
local function sort_nodes(state, leases, now)
  local is_held, dead, due_ms = {}, {}, nil
  for i = 1, #leases, 2 do
    local ends = tonumber(leases[i + 1]) or 0
    local since = math.max(ends, state.awake) + grace_ms
    is_held[leases[i]] = since > now
    if leases[i] == '' then
      -- No node: see directory.lua.
    elseif since <= now then
      dead[#dead + 1] = { leases[i], since }
    elseif ends <= now then
      due_ms = math.min(due_ms or since - now, since - now)
    end
  end
  return is_held, dead, due_ms
end

local function is_ghost(nodes, is_held)
  for node in string.gmatch(nodes, '[^ ]+') do
    if is_held[node] then
      return false
    end
  end
  return true
end

-- Takes out of one page of the directory who is on dead nodes only; answers the next cursor, and how many those were.
local function sweep_page(where, cursor, is_held)
  local page = call('HSCAN', where, cursor, 'COUNT', sweep_at_once)
  local ghosts, gone = {}, 0
  for i = 1, #page[2], 2 do
    if page[2][i] ~= '' and is_ghost(page[2][i + 1], is_held) then
      ghosts[#ghosts + 1] = page[2][i]
    end
  end
  for from = 1, #ghosts, sweep_at_once do
    gone = gone + call('HDEL', where, unpack(ghosts, from, math.min(from + sweep_at_once - 1, #ghosts)))
  end
  return page[1], gone
end

-- One step through the directory, if there is a dead node in it. Who is taken out was not there for as long as can still
-- matter. Answers how long until another step is due, nil where none is.
local function sweep_ghosts(state, where, nodes_key, leases, now)
  local is_held, dead, due_ms = sort_nodes(state, leases, now)
  local sweep = #dead > 0 and (state.sweep or { '0', now, 0 }) or nil
  state.sweep = sweep
  -- Whoever steps goes on stepping; the others need not come for it.
  if not sweep or (now - sweep[3] < sweep_pause_ms and sweep[3] <= now) then
    return due_ms
  end
  local cursor, gone = sweep_page(where, sweep[1], is_held)
  state.last[3] = state.last[3] - gone
  for _, row in ipairs(state.most) do
    row[3] = row[3] - gone
  end
  sweep[1], sweep[3] = cursor, now
  if cursor ~= '0' then
    return sweep_pause_ms
  end
  for _, node in ipairs(dead) do
    if node[2] <= sweep[2] then
      call('HDEL', nodes_key, node[1])
    end
  end
  state.sweep = nil
  return due_ms
end

-- Everything is read here, so that a call that fails for a key's type has left no trace.
local function read_viewer_count(where, nodes_key, audience)
  call('HLEN', where)
  return {
    counts = call('HGETALL', audience),
    state = call('HGET', audience, 'state'),
    leases = call('HGETALL', nodes_key),
    told = call('HGET', nodes_key, ''),
  }
end

-- Takes a node's report, and publishes what everyone is to be told. Answers that as `<viewers> <users>`, empty where
-- nothing was ever told, and how long until a report may bring something, ms, 0 where nothing is pending.
local function take_report(report, read)
  local now, state = report.now, read_state(read.state)
  -- The clock was set back: what was before it cannot be put in order.
  if state.last and state.last[1] > now then
    state.most, state.rise, state.last[1], state.awake = {}, nil, now, now
    state.told = state.told and { now, state.told[2], state.told[3] }
  end
  if not state.last or not state.awake or now - state.last[1] > report.lease_ms then
    state.awake = now
  end
  local viewers, users = match(read.told or '', '^(%d+)%.(%d+)$')
  if not read.state and viewers then
    -- The hash was lost. What was told stands until the other nodes have reported again.
    state.told = { now, tonumber(viewers), tonumber(users) }
    state.last, state.most = { unpack(state.told) }, { { unpack(state.told) } }
  end
  state.last = state.last or { now, 0, 0 }
  local others, peopled, lapsed = count_others(state, read.counts, report.node, now)
  local sweep_ms = sweep_ghosts(state, report.where, report.nodes, read.leases, now)
  local named = call('HLEN', report.where) - call('HEXISTS', report.where, '')
  note(state, { now, others + report.viewers, named })
  -- Where all are on one node, nobody can have come from another.
  local is_sure = peopled + (report.viewers > 0 and 1 or 0) <= 1
  local is_news, wait_ms = decide(state, is_sure, report.audience_ms, now)
  if #lapsed > 0 then
    call('HDEL', report.audience, unpack(lapsed))
  end
  local own = int(now + report.lease_ms) .. ' ' .. int(report.viewers)
  call('HSET', report.audience, '@' .. report.node, own, 'state', cjson.encode(state))
  try('PEXPIRE', report.audience, int(report.lease_ms * 2))
  local told = state.told and int(state.told[2]) .. ' ' .. int(state.told[3]) or ''
  if is_news then
    if read.told then
      try('HSET', report.nodes, '', int(state.told[2]) .. '.' .. int(state.told[3]))
    end
    try('SPUBLISH', report.channel, '~' .. told)
  end
  local again_ms = math.min(sweep_ms or math.huge, wait_ms or math.huge)
  return { told, again_ms == math.huge and '0' or int(again_ms) }
end

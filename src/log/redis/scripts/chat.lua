-- Chat above CHAT_PER_SECOND: which entries are sampled out, and the entries that declare them. One field of the meta,
-- `chat`, holds the state, so a room within its rate pays one more field in calls that it makes anyway.
--
-- KEYS and ARGV: those of the functions that use this.
--
-- The field is `<arrival>` or `<arrival> <due> <undeclared> <from>`:
--   arrival      theoretical arrival time of the generic cell rate algorithm, microseconds: integers add up exactly
--   due          no declaration is made before this time, ms
--   undeclared   how many sampled-out entries no `gap` has declared yet
--   from         the position before the first of them

local declare_ms = 1000

-- The clock may have been set back. Then the rate waits no longer than its usual maximum, and a declaration is due.
local function chat_of(room)
  local text = room.chat or '0'
  local arrival, due, undeclared, from = tonumber(text), 0, 0, ''
  if not arrival then
    arrival, due, undeclared, from = match(text, '^(%d+) (%d+) (%d+) (.*)$')
    arrival, due, undeclared = tonumber(arrival or 0), tonumber(due or 0), tonumber(undeclared or 0)
  end
  local most = (room.now + 1000) * 1000
  return {
    arrival = arrival > most and most or arrival,
    due = due > room.now + declare_ms and 0 or due,
    undeclared = undeclared,
    from = from,
  }
end

local function chat_text(room, chat)
  if chat.undeclared == 0 and chat.due <= room.now then
    return int(chat.arrival)
  end
  return int(chat.arrival) .. ' ' .. int(chat.due) .. ' ' .. int(chat.undeclared) .. ' ' .. chat.from
end

-- The arrival time after one more entry; nil if that exceeds the rate. One second's worth may come at once. Limit 0: no
-- rate.
local function arrival_with(room, arrival, limit)
  if limit == 0 then
    return arrival
  end
  local interval = (1000000 - 1000000 % limit) / limit
  local now = room.now * 1000
  local later = (arrival > now and arrival or now) + interval
  if later - now <= interval * limit then
    return later
  end
end

-- How long until undeclared entries may be declared, ms: 0 if they may be now, nil if there are none.
local function declared_in(room, chat)
  if chat.undeclared > 0 then
    return chat.due > room.now and chat.due - room.now or 0
  end
end

local function declare(room, chat)
  local body = '{"from":"' .. chat.from .. '","missed":' .. int(chat.undeclared) .. ',"lane":"chat","cause":"sampled"}'
  chat.due, chat.undeclared = room.now + declare_ms, 0
  add(room, 'gap must all\n' .. body, nil, 'chat', chat_text(room, chat))
end

-- Adds an entry of lane chat, sampled out if it exceeds the rate.
local function add_chat(room, content, limit)
  if limit == 0 and not room.chat then
    add(room, content)
    return
  end
  -- The fast path of nearly every chat: nothing to declare, and within the rate.
  local known = tonumber(room.chat or 0)
  local with_one = known and arrival_with(room, known, limit)
  if with_one then
    add(room, content, nil, 'chat', int(with_one))
    return
  end
  local chat = chat_of(room)
  if declared_in(room, chat) == 0 then
    declare(room, chat)
  end
  with_one = arrival_with(room, chat.arrival, limit)
  if with_one then
    chat.arrival = with_one
  else
    if chat.undeclared == 0 then
      chat.from = room.epoch .. '.' .. int(room.offset)
      chat.due = chat.due > room.now and chat.due or room.now + declare_ms
    end
    chat.undeclared = chat.undeclared + 1
    -- The first word is the kind and contains no space, so the first match is the lane.
    content = string.gsub(content, ' chat ', ' sampled-out ', 1)
  end
  room.pending = chat.undeclared > 0
  add(room, content, nil, 'chat', chat_text(room, chat))
end

-- Nothing may follow the end, so undeclared entries would never be declared.
local function declare_before_end(room)
  local chat = chat_of(room)
  if chat.undeclared > 0 then
    declare(room, chat)
  end
end

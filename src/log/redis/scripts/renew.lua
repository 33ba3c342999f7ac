-- Keeps a node's records in the room's directory valid and the room from being forgotten, tells the tail, and takes a
-- report by the way.
--
-- KEYS: 1 log  2 meta  3 state  4 where  5 nodes  6 audience  7 rules
-- ARGV: 1 to 5 as in shared.lua  6 node  7 length of the lease, ms  8 streams  9 VIEWER_COUNT_MS  10 epoch of the last entry
--   that the node was given, or ''  11 its offset
-- Returns: the tail, '1' if the lease had run out or was gone, or the directory was lost ('0' else): the node's users
--   must enter again; then what report.lua returns.
-- Errors: those of Redis.

local function renew(keys, args)
  local room = open_room(keys, args)
  know_rules(room, keys[7])
  if room.ruled or room.ended then
    find_rules(room, keys[7], {})
  end
  hold_state(room)
  -- The node has what this room does not: the log came back older, and the fence has not seen it.
  if args[10] == room.epoch and tonumber(args[11]) > room.offset then
    begin_epoch(room, args[2])
  end
  local tail = tail_of(room, first_of(room))
  if room.touched == 0 then
    try('EXPIRE', room.meta, unwritten_s)
  else
    touch(room, keys[7])
  end
  local lease_ms = tonumber(args[7])
  local read = read_viewer_count(keys[4], keys[5], keys[6])
  local is_covered = hold_directory(room.now, keys[4], keys[5], lease_ms)
  local ends = tonumber(call('HGET', keys[5], args[6]) or 0) or 0
  local reported = take_report({
    now = room.now,
    channel = room.channel,
    node = args[6],
    lease_ms = lease_ms,
    viewers = tonumber(args[8]),
    audience_ms = tonumber(args[9]),
    where = keys[4],
    nodes = keys[5],
    audience = keys[6],
  }, read)
  -- The last that can fail: whoever is not told that the lease had run out must find it so the next time.
  call('HSET', keys[5], args[6], int(room.now + lease_ms))
  try('PEXPIRE', keys[4], int(lease_ms * 2))
  try('PEXPIRE', keys[5], int(lease_ms * 2))
  return { tail, lapsed_flag(ends <= room.now, is_covered), reported[1], reported[2] }
end

redis.register_function({ function_name = name('renew'), callback = renew, flags = { 'allow-oom' } })

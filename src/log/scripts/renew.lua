-- Keeps a node's records in the room's directory valid, and tells the tail.
--
-- KEYS: 1 log  2 meta  3 state  4 where  5 nodes
-- ARGV: 1 to 5 as in shared.lua  6 node  7 length of the lease, ms
-- Returns: the tail, and '1' if the lease had run out or was gone ('0' else): the node's users must enter again.
-- Errors: those of Redis.

local function renew(keys, args)
  local room = open_room(keys, args)
  if room.touched == 0 then
    call('EXPIRE', room.meta, unwritten_s)
  end
  local lease_ms = tonumber(args[7])
  local is_lost = true
  local leases = call('HGETALL', keys[5])
  for i = 1, #leases, 2 do
    local ends = tonumber(leases[i + 1])
    if leases[i] == args[6] then
      is_lost = ends <= room.now
    elseif ends + lease_ms <= room.now then
      call('HDEL', keys[5], leases[i])
    end
  end
  call('HSET', keys[5], args[6], int(room.now + lease_ms))
  call('PEXPIRE', keys[4], int(lease_ms * 2))
  call('PEXPIRE', keys[5], int(lease_ms * 2))
  return { tail_of(room, first_of(room)), is_lost and '1' or '0' }
end

redis.register_function({ function_name = name('renew'), callback = renew, flags = { 'allow-oom' } })

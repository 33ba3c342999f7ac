-- Tries every command that the functions use, with the rights of the calling user. Removes what it writes.
--
-- KEYS: 1 log  2 meta  3 to 9 one of each other kind of key, all of a room that no client can name
-- ARGV: 1 the room's channel  2 a node's channel
-- Returns: a line for each refused command: the command, its channel if any, and the error of Redis.
-- Errors: those of Redis. If one begins with NOPERM, the user may not call functions, or not use such keys.

local function probe(keys, args)
  local log, meta, room, node = keys[1], keys[2], args[1], args[2]
  local tries = {
    { 'TIME' },
    { 'INFO', 'replication' },
    { 'XADD', log, '*', 'e', '1' },
    { 'EXPIRE', log, 60 },
    { 'XRANGE', log, '-', '+', 'COUNT', 1 },
    { 'XDEL', log, '1-0' },
    { 'XTRIM', log, 'MAXLEN', 0 },
    { 'XSETID', log, '1-0' },
    { 'DEL', log },
    { 'HSET', meta, '1', '1' },
    { 'PEXPIRE', meta, 60000 },
    { 'HGET', meta, '1' },
    { 'HMGET', meta, '1' },
    { 'HGETALL', meta },
    { 'HKEYS', meta },
    { 'HLEN', meta },
    { 'HEXISTS', meta, '1' },
    { 'EXISTS', meta },
    { 'HSCAN', meta, '0' },
    { 'HDEL', meta, '1' },
    { 'SET', meta, '1', 'PX', 1000 },
    { 'GET', meta },
    { 'MGET', meta },
    { 'DEL', meta },
    { 'SPUBLISH', room, '' },
    { 'SPUBLISH', node, '' },
  }
  local answer = {}
  for _, command in ipairs(tries) do
    local reply = redis.pcall(unpack(command))
    if type(reply) == 'table' and reply.err then
      local name = command[1] == 'SPUBLISH' and 'SPUBLISH ' .. command[2] or command[1]
      answer[#answer + 1] = name .. ': ' .. reply.err
    end
  end
  return answer
end

redis.register_function(name('probe'), probe)

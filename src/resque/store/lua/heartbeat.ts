/**
 * The script that the heartbeat thread sends by itself. KEYS: leases of processes, process. ARGV: prefix, id, ms.
 * Returns 1, or 0 when the process is not registered any more. A process that has such a thread is judged by its lease
 * alone: without the name of its connections nobody takes an open connection for a sign of life.
 */
export const HEARTBEAT = `
if redis.call('EXISTS', KEYS[2]) == 0 then return 0 end
redis.call('HDEL', ARGV[1] .. 'ah:full', '')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(ARGV[3])), ARGV[2])
redis.call('HSET', KEYS[2], 'connection', '')
return 1
`;

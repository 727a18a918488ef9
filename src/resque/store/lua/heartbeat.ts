/**
 * The script of the heartbeat thread. KEYS: leases of processes, process. ARGV: prefix, id, ms.
 * Returns 1, or 0 when the process is no longer registered. A process with such a thread is judged only by its
 * lease: without a connection name, an open connection does not count as a sign of life.
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

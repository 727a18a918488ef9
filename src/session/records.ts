/** Stored sessions in redis: one hash per session, so that concurrent writes of different values keep all of them. */
import { api } from "../api";
import { A, ARG, B, C, D, defineOperation, defineTimed } from "../redis/script";
import { runAtomically } from "../redis/step";

/** How long sessions live, in ms. */
export interface Lifetimes {
  /** Without an action that uses the session. */
  ttl: number;
  /** Since it was created or regenerated. */
  maxLifetime: number;
}

/** JSON texts by field; null removes a field. */
export type Changes = ReadonlyMap<string, string | null>;

const KEY_PREFIX = "actionhero:session:";

/** When the session was created, in ms; the fields of values have a prefix, so that none has this name. */
const CREATED = "created";

/** The only field under an id that was replaced. */
const MOVED = "moved";

/** How long an id is known to be replaced, in ms: as long as requests that were sent with it may be on their way. */
const MOVED_MS = 30_000;

// KEYS: hash. ARGV: ttl, longest lifetime. Returns the fields and values, 0 when there is no such session, or -1 when it was
// moved.
// One step, because a session that ends between reading and renewal would live on as an empty one.
const OPEN = defineTimed(`
local created = redis.call('HGET', KEYS[1], '${CREATED}')
if not created then return -redis.call('EXISTS', KEYS[1]) end
local left = created + ARGV[2] - time
if left <= 0 then
  redis.call('DEL', KEYS[1])
  return 0
end
redis.call('PEXPIRE', KEYS[1], math.min(tonumber(ARGV[1]), left))
return redis.call('HGETALL', KEYS[1])`);

// KEYS: hash. ARGV: 'new' | 'known', ttl, longest lifetime, index of the last field, then field and JSON ('': remove) of
// each change. Returns 1, or 0 when a known session is gone: it has been destroyed, and stays destroyed.
const WRITE = defineOperation(`
local created = redis.call('HGET', KEYS[1], '${CREATED}')
if not created then
  if ${A} ~= 'new' then return 0 end
  created = time
  redis.call('HSET', KEYS[1], '${CREATED}', created)
end
for i = ${ARG + 4}, ${ARG + 3} + 2 * ${D}, 2 do
  if ARGV[i + 1] == '' then
    redis.call('HDEL', KEYS[1], ARGV[i])
  else
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
local left = math.max(created + ${C} - time, 1)
redis.call('PEXPIRE', KEYS[1], math.min(tonumber(${B}), left))
return 1`);

// KEYS: hash, new hash. ARGV: lifetime in ms. Returns 1, or 0 when there is no such session.
// One step, because a value that is written between reading and removal would be lost.
const MOVE = defineOperation(`
if redis.call('HEXISTS', KEYS[1], '${CREATED}') == 0 then return 0 end
redis.call('RENAME', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[2], '${CREATED}', time)
redis.call('PEXPIRE', KEYS[2], ${A})
redis.call('HSET', KEYS[1], '${MOVED}', 1)
redis.call('PEXPIRE', KEYS[1], ${MOVED_MS})
return 1`);

// KEYS: hash. ARGV: field. Returns its JSON, or 0 without one. Of those who ask at the same time one gets it.
const TAKE = defineOperation(`
local text = redis.call('HGET', KEYS[1], ${A})
if not text then return 0 end
redis.call('HDEL', KEYS[1], ${A})
return text`);

// KEYS: hash. Returns how many were removed. It goes in the order of the steps, so that none writes half of a session.
const REMOVE = defineOperation(`
if redis.call('HEXISTS', KEYS[1], '${CREATED}') == 0 then return 0 end
return redis.call('DEL', KEYS[1])`);

/**
 * Read a session, which lives for another `ttl`.
 * @returns its fields; undefined if the session does not exist; "moved" if it got another id a short time ago
 */
export async function openRecord(
  id: string,
  lifetimes: Lifetimes,
): Promise<Map<string, string> | "moved" | undefined> {
  const { client } = api.redis.clients;
  const key = KEY_PREFIX + id;
  const { ttl, maxLifetime } = lifetimes;
  const reply = await runAtomically<0 | -1 | string[] | Record<string, string>>(
    client,
    {
      script: OPEN,
      keys: [key],
      args: [ttl, maxLifetime],
      plain: async () => {
        const fields = await client.hgetall(key);
        if (fields[CREATED] === undefined)
          return fields[MOVED] === undefined ? 0 : -1;
        const left = leftOf(fields[CREATED], maxLifetime);
        if (left <= 0) {
          await client.del(key);
          return 0;
        }
        await client.pexpire(key, Math.min(ttl, left));
        return fields;
      },
    },
  );
  if (reply === 0) return undefined;
  if (reply === -1) return "moved";
  const fields = new Map(
    Array.isArray(reply) ? pairsOf(reply) : Object.entries(reply),
  );
  fields.delete(CREATED);
  return fields;
}

/** @returns false when a session that is not new is gone: nothing was written */
export async function writeRecord(
  id: string,
  { isNew, changes }: { isNew: boolean; changes: Changes },
  { ttl, maxLifetime }: Lifetimes,
): Promise<boolean> {
  const { client } = api.redis.clients;
  const key = KEY_PREFIX + id;
  const pairs = [...changes].flatMap(([field, text]) => [field, text ?? ""]);
  const written = await runAtomically<number>(client, {
    script: WRITE,
    keys: [key],
    args: [isNew ? "new" : "known", ttl, maxLifetime, changes.size, ...pairs],
    plain: async () => {
      let created = await client.hget(key, CREATED);
      if (typeof created !== "string") {
        if (!isNew) return 0;
        created = String(Date.now());
        await client.hset(key, CREATED, created);
      }
      for (const [field, text] of changes) {
        if (text === null) await client.hdel(key, field);
        else await client.hset(key, field, text);
      }
      const left = Math.max(leftOf(created, maxLifetime), 1);
      await client.pexpire(key, Math.min(ttl, left));
      return 1;
    },
  });
  return written === 1;
}

/**
 * Keep a session under another id, with a new lifetime. The old id is known to be replaced for a while.
 * @returns false when it is gone
 */
export async function moveRecord(
  from: string,
  to: string,
  { ttl, maxLifetime }: Lifetimes,
): Promise<boolean> {
  const { client } = api.redis.clients;
  const [key, newKey] = [KEY_PREFIX + from, KEY_PREFIX + to];
  const lifetimeMs = Math.min(ttl, maxLifetime);
  const moved = await runAtomically<number>(client, {
    script: MOVE,
    keys: [key, newKey],
    args: [lifetimeMs],
    // a Redis Cluster cannot rename from one slot to another
    plain: async () => {
      const fields = await client.hgetall(key);
      if (fields[CREATED] === undefined) return 0;
      await client.hset(newKey, { ...fields, [CREATED]: Date.now() });
      await client.pexpire(newKey, lifetimeMs);
      await client.del(key);
      await client.hset(key, MOVED, 1);
      await client.pexpire(key, MOVED_MS);
      return 1;
    },
  });
  return moved === 1;
}

/** Read a field and remove it. @returns undefined when it is missing, or another process has taken it */
export async function takeField(
  id: string,
  field: string,
): Promise<string | undefined> {
  const { client } = api.redis.clients;
  const key = KEY_PREFIX + id;
  const text = await runAtomically<string | 0>(client, {
    script: TAKE,
    keys: [key],
    args: [field],
    plain: async () => {
      const found = await client.hget(key, field);
      if (typeof found !== "string") return 0;
      // on a Redis Cluster others may be between the two commands
      return (await client.hdel(key, field)) === 1 ? found : 0;
    },
  });
  return text === 0 ? undefined : text;
}

/** @returns false when there was none */
export async function removeRecord(id: string): Promise<boolean> {
  const { client } = api.redis.clients;
  const key = KEY_PREFIX + id;
  const removed = await runAtomically(client, {
    script: REMOVE,
    keys: [key],
    args: [],
    plain: async () =>
      (await client.hexists(key, CREATED)) ? client.del(key) : 0,
  });
  return removed === 1;
}

function leftOf(created: string, maxLifetime: number): number {
  return Number(created) + maxLifetime - Date.now();
}

function pairsOf(list: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let i = 0; i < list.length; i += 2) pairs.push([list[i]!, list[i + 1]!]);
  return pairs;
}

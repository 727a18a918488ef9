/** `connection.store`: the stored session of one client. */
import { createHash, randomBytes } from "node:crypto";
import { openCookie, sealCookie } from "../cookie/cookies";
import { HttpError } from "../errors";
import { api } from "../api";
import { A, ARG, B, C, D, defineOperation, defineTimed } from "../redis/script";
import { runAtomically } from "../redis/atomic";

/**
 * The values that a project keeps in sessions, by name. Declare them:
 * `declare module "actionhero" { interface StoredValues { userId: string } }`
 */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type -- projects add to it
export interface StoredValues {}

/** The values that are read once, such as a notice for the next page. Declared in the same way. */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type -- projects add to it
export interface FlashValues {}

type StoredName = Extract<keyof StoredValues, string>;
type FlashName = Extract<keyof FlashValues, string>;

/** The limits of sessions. */
export interface SessionLimits extends Lifetimes {
  /** All names and values together, in bytes of JSON. */
  maxBytes: number;
}

/** Sends a new token to the client; undefined removes it. */
type Deliver = (token: string | undefined) => unknown;

const SECRET_BYTES = 32;

/** The name that tokens are signed for, on all transports. */
const TOKEN = "actionhero session";

const valueField = (name: string): string => `v:${name}`;
const flashField = (name: string): string => `f:${name}`;

/** This process's copy of a stored session. */
class Held {
  /** JSON texts, as they were read or written. */
  fields = new Map<string, string>();
  /** Not written yet; null: removed. */
  changes = new Map<string, string | null>();
  /** Made here, and not written yet. */
  isNew = false;
  /**
   * The client sent an id that was replaced shortly before, because its request was already under way. A new session
   * would replace the moved one in the browser.
   */
  isLate = false;

  /** @param secret the secret of the client; undefined while the session is empty */
  constructor(public secret?: string) {}

  get(field: string): string | undefined {
    const changed = this.changes.get(field);
    if (changed !== undefined) return changed ?? undefined;
    return this.fields.get(field);
  }

  /** These changes were written, or are given up; others may have come since. */
  settle(changes: Changes, isWritten: boolean): void {
    for (const [field, text] of changes) {
      if (this.changes.get(field) === text) this.changes.delete(field);
      if (!isWritten) continue;
      if (text === null) this.fields.delete(field);
      else this.fields.set(field, text);
    }
  }

  /** The fields with the changes that are not written yet. */
  all(): Map<string, string> {
    const all = new Map(this.fields);
    for (const [field, text] of this.changes) {
      if (text === null) all.delete(field);
      else all.set(field, text);
    }
    return all;
  }
}

export class Session {
  private held = new Held();
  /** The secret that the client brought the last time. */
  private asked: string | undefined = undefined;
  /** Reads and writes of one connection, one after the other. */
  private last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly limits: SessionLimits,
    private readonly deliver: Deliver,
  ) {}

  /**
   * Identifies the session on the server. It is not a secret: the session cannot be used with it alone. It changes
   * with `regenerate()`. Undefined while nothing is kept.
   */
  get id(): string | undefined {
    const { secret } = this.held;
    return secret === undefined ? undefined : idOf(secret);
  }

  /**
   * The signed secret that the client must send to use the session; undefined while the session is empty. Cookies
   * contain it automatically; clients of other transports get it from an action.
   */
  get token(): string | undefined {
    const { secret } = this.held;
    return secret === undefined ? undefined : seal(secret);
  }

  /** Whether something has to be written. */
  get isChanged(): boolean {
    return this.held.changes.size > 0;
  }

  /** A copy of a value: to change it, `set` it again. */
  get<Name extends StoredName>(name: Name): StoredValues[Name] | undefined {
    return parse(this.held.get(valueField(name))) as
      StoredValues[Name] | undefined;
  }

  /**
   * Keep a value; it is written when the action has ended.
   * @throws TypeError for a value that is not JSON
   * @throws HttpError 413 when the session would have more than `session.maxBytes`
   */
  set<Name extends StoredName>(name: Name, value: StoredValues[Name]): void {
    this.change(valueField(name), value);
  }

  delete(name: StoredName): void {
    this.remove(valueField(name));
  }

  /** Keep a value until it is read. */
  setFlash<Name extends FlashName>(name: Name, value: FlashValues[Name]): void {
    this.change(flashField(name), value);
  }

  /** Read and remove a flash value. Only one of several concurrent requests gets it. */
  async takeFlash<Name extends FlashName>(
    name: Name,
  ): Promise<FlashValues[Name] | undefined> {
    let text: string | undefined;
    await this.inTurn(async () => {
      text = await this.take(flashField(name));
    });
    return parse(text) as FlashValues[Name] | undefined;
  }

  /**
   * Write the changes now; otherwise they are written after the action. Only changed values are written, so
   * concurrent changes of other requests are kept.
   */
  save(): Promise<void> {
    return this.inTurn(() => this.write());
  }

  /**
   * Continue under a new random id, at sign-in, to prevent session fixation. The old id is removed. Requests that are sent
   * with it meanwhile find an empty session, and what they set is lost, unless they call this function.
   * @throws Error when the response to an HTTP request has begun
   */
  regenerate(): Promise<void> {
    return this.inTurn(async () => {
      const { held } = this;
      const { secret } = held;
      if (held.isLate) return this.beginAnew(held);
      if (secret === undefined || held.isNew) return; // no client has it
      const next = newSecret();
      await this.deliver(seal(next));
      const moved = await this.move(secret, next);
      held.secret = next;
      if (moved) return;
      held.isNew = true;
      held.fields.clear(); // what was destroyed does not come back
    });
  }

  /**
   * End the session: at sign-out. What is set afterwards begins another one.
   * @throws Error when the response to an HTTP request has begun
   */
  destroy(): Promise<void> {
    return this.inTurn(async () => {
      const { secret, isNew } = this.held;
      this.held = new Held();
      if (secret === undefined || isNew) return;
      await removeRecord(idOf(secret)); // first: a response that has begun must not keep it alive
      await this.deliver(undefined);
    });
  }

  /**
   * Switch to the session of the client's token, or read the current one again.
   * @param isShared whether another action of the connection is running
   * @throws HttpError 409 when that action would find itself in another session
   */
  open(token: string | undefined, isShared: boolean): Promise<void> {
    const secret = token === undefined ? undefined : unseal(token);
    return this.inTurn(async () => {
      if (secret === undefined || secret === this.held.secret)
        return this.read(this.held);
      if (isShared && secret !== this.asked)
        throw new HttpError(
          409,
          "the connection has actions running with another session",
        );
      if (isShared && this.held.secret !== undefined)
        return this.read(this.held);
      const held = new Held(secret || undefined);
      this.asked = secret;
      if (!isShared) {
        this.held = held; // also if redis does not respond: the next message of this session reads it again
        return this.read(held);
      }
      await this.read(held);
      // an action that runs may have begun a session meanwhile
      if (this.held.secret === undefined) this.held = held;
    });
  }

  /** Start a new session after all: the late request may be a repeated sign-in whose first response was lost. */
  private beginAnew(held: Held): void {
    held.isLate = false;
    if (held.changes.size === 0) return;
    held.secret = newSecret();
    held.isNew = true;
  }

  /** The client keeps its old token when the record cannot be moved. */
  private async move(secret: string, next: string): Promise<boolean> {
    try {
      return await moveRecord(idOf(secret), idOf(next), this.limits);
    } catch (error) {
      await this.deliver(seal(secret));
      throw error;
    }
  }

  private async read(held: Held): Promise<void> {
    const { secret, isNew } = held;
    held.isLate = false;
    if (secret === undefined || isNew) return;
    const found = await openRecord(idOf(secret), this.limits);
    held.isLate = found === "moved";
    const fields = found === "moved" ? undefined : found;
    if (fields === undefined) {
      // clients never choose the id of a session, and what was destroyed does not come back
      held.secret = undefined;
      held.changes.clear();
    }
    held.fields = fields ?? new Map<string, string>();
  }

  private async write(): Promise<void> {
    const { held } = this;
    const { secret, isNew } = held;
    const changes = new Map(held.changes);
    if (held.isLate) return held.settle(changes, false);
    if (changes.size === 0 || secret === undefined) return;
    const id = idOf(secret);
    let isWritten = false;
    try {
      const record = { isNew, changes };
      isWritten = await writeRecord(id, record, this.limits);
      if (isNew) await this.deliverNew(secret);
    } catch (error) {
      isWritten = false;
      throw error;
    } finally {
      held.settle(changes, isWritten); // a failed action tells its client that nothing was saved
    }
    if (isWritten) held.isNew = false;
    else if (this.held === held) this.held = new Held();
  }

  /** Clients never get the token of a session that was not stored; they would wait for redis with each request. */
  private async deliverNew(secret: string): Promise<void> {
    try {
      await this.deliver(seal(secret));
    } catch (error) {
      await removeRecord(idOf(secret)); // the response has begun
      throw error;
    }
  }

  private async take(field: string): Promise<string | undefined> {
    const { secret, isNew, fields, changes } = this.held;
    const text = this.held.get(field);
    const isStored = fields.delete(field) && !isNew;
    const isWritten = !changes.delete(field);
    if (text === undefined || secret === undefined || !isStored) return text;
    const taken = await takeField(idOf(secret), field);
    return isWritten ? taken : text; // else it was set by this very action
  }

  private change(field: string, value: unknown): void {
    const text = JSON.stringify(value) as string | undefined;
    if (text === undefined)
      throw new TypeError(
        `a session cannot keep ${typeof value}: only what JSON can hold`,
      );
    const { held } = this;
    const all = held.all().set(field, text);
    const { maxBytes } = this.limits;
    if (sizeOf(all) > maxBytes)
      throw new HttpError(
        413,
        `a session cannot keep more than ${maxBytes} bytes (config.session.maxBytes)`,
      );
    if (held.secret === undefined && !held.isLate) {
      held.secret = newSecret();
      held.isNew = true;
    }
    held.changes.set(field, text);
  }

  private remove(field: string): void {
    if (this.held.get(field) !== undefined) this.held.changes.set(field, null);
  }

  private inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.last.then(work);
    this.last = done.catch(() => undefined); // its caller gets the error
    return done;
  }
}

/** Redis stores only the digest, with which the session cannot be used. */
export function idOf(secret: string): string {
  return createHash("sha256").update(secret).digest("base64url");
}

function seal(secret: string): string {
  return sealCookie(TOKEN, secret, { signed: true });
}

/** @returns "" for a token that no secret of ours has signed: there is no session of that name */
function unseal(token: string): string {
  return openCookie({ [TOKEN]: token }, TOKEN, { signed: true }) ?? "";
}

function newSecret(): string {
  return randomBytes(SECRET_BYTES).toString("base64url");
}

function parse(text: string | undefined): unknown {
  return text === undefined ? undefined : JSON.parse(text);
}

function sizeOf(fields: ReadonlyMap<string, string>): number {
  let bytes = 0;
  for (const [field, text] of fields)
    bytes += Buffer.byteLength(field) + Buffer.byteLength(text);
  return bytes;
}

// --- Stored sessions in redis: one hash per session, so that concurrent writes of different values keep all of them.

/** How long sessions live, in ms. */
interface Lifetimes {
  /** How long a session lives without an action that uses it, in ms. */
  ttl: number;
  /** Since it was created or regenerated. */
  maxLifetime: number;
}

/** JSON texts by field; null removes a field. */
type Changes = ReadonlyMap<string, string | null>;

const KEY_PREFIX = "actionhero:session:";

/** When the session was created, in ms; the fields of values have a prefix, so that none has this name. */
const CREATED = "created";

/** The only field under an id that was replaced. */
const MOVED = "moved";

/** How long an id is known to be replaced, in ms: as long as requests that were sent with it may be on their way. */
const MOVED_MS = 30_000;

// KEYS: hash. ARGV: ttl, longest lifetime. Returns the fields and values, 0 when there is no such session, or -1 when it was
// moved.
// A script, because a session that ends between reading and renewal would live on as an empty one.
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
// A script, because a value that is written between reading and removal would be lost.
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
async function openRecord(
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
async function writeRecord(
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
async function moveRecord(
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
async function takeField(
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

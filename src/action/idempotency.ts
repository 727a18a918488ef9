/** `idempotent` actions: a repeated call with the same key gets the response of the first. */
import { settings } from "../config/settings";
import { AsyncResource } from "node:async_hooks";
import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { setTimeout as pause } from "node:timers/promises";
import type { Connection } from "../connection/connection";
import { type ErrorCode, HttpError, toError } from "../errors";
import { UploadedFile } from "../input/file";
import { log } from "../log/log";
import { isPlainObject } from "../utils/objects";
import { promiseOf, timerMs, withTimeout } from "../utils/promises";
import type { ActionProcessor } from "./actionProcessor";
import { requestOf, callerOf } from "./caller";
import { api, IN_LINE } from "../api";
import { A, B, defineOperation, defineTimed } from "../redis/script";
import { runAtomically } from "../redis/atomic";
import { operationTimeout } from "../redis/clients";
import { shutdownTimeLeft } from "../config/shutdown";

/** Settings for the stored responses of an `idempotent` action. */
interface IdempotencyOptions {
  /** How long they are stored, in ms (default 24 hours). */
  ttl?: number;
  /** The longest stored response, in bytes of JSON (default 1 MiB). */
  maxSize?: number;
}

/** `idempotent` of an action. */
export type Idempotency = boolean | IdempotencyOptions;

const DEFAULT_TTL_MS = 24 * 60 * 60 * 1000;
const DEFAULT_MAX_BYTES = 1024 * 1024;

/** How long a repeated call waits for the first one, and its polling interval, in ms. */
const WAIT_MS = 30_000;
const FIRST_LOOK_MS = 20;
const MAX_LOOK_MS = 500;

/** Visible ASCII: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/ */
const KEY = /^[\x21-\x7e]{1,255}$/;

/** The param for clients without headers. */
const KEY_PARAM = "idempotencyKey";

/**
 * Params that are not part of the content that repeated calls are compared by: they say which call it is, or who calls. The
 * name of the param with a session is a setting.
 */
const OTHER_PARAMS = [
  "action",
  "apiVersion",
  "callback",
  "messageId",
  "accessToken",
  KEY_PARAM,
];

/** Never sent to another request. */
const COOKIE = "set-cookie";

/** The stored record of a call. */
interface Kept {
  /** The return value of the action. */
  returned: unknown;
  /** The `data.response` that it has set. */
  response: unknown;
  /** Web: the status and the headers that it set. */
  status?: number;
  headers?: [string, unknown][];
  /** The call has succeeded, but there was no room for its response. */
  isLost?: true;
}

/**
 * Run an action, unless a call with the same key has done so.
 * @param sent the params as they came
 * @param run returns what the action returns
 * @returns the same, perhaps of the first call
 * @throws HttpError 400 for a key that cannot be used, 409 while another call with the key runs for too long, 410 when that call
 * has succeeded and its response is lost, and 422 for a key that was used with other params
 */
export async function runOnce(
  data: ActionProcessor,
  sent: object,
  run: () => unknown,
): Promise<unknown> {
  const key = keyOf(data.connection, sent);
  if (key === undefined) return run();
  const found = await claimOrWait(data, key);
  if (!(found instanceof Claim)) return replay(data, found);
  if (data.signal.aborted) {
    // the caller no longer waits, and nothing has been done yet
    await settle(data, found.drop());
    throw data.signal.reason as Error;
  }
  const before: Before = {
    response: data.response as unknown,
    headers: webHeaders(data.connection),
  };
  let returned: unknown;
  try {
    returned = await run();
  } catch (error) {
    await settle(data, found.drop());
    throw error;
  }
  const { ttl = DEFAULT_TTL_MS } = optionsOf(data);
  const end = () => {
    const kept = keptOf(data, returned, before);
    return kept === undefined ? found.drop() : found.keep(kept, ttl);
  };
  await settle(data, inTurn(end));
  return returned;
}

/** The header over HTTP, the param elsewhere; what the server runs itself has none. */
function keyOf(connection: Connection, sent: object): string | undefined {
  const { type } = connection;
  if (type === IN_LINE) return undefined;
  const key: unknown =
    type === "web"
      ? requestOf(connection)?.headers?.["idempotency-key"]
      : (sent as Record<string, unknown>)[KEY_PARAM];
  if (key === undefined || key === null) return undefined;
  if (typeof key !== "string" || !KEY.test(key))
    throw new HttpError(
      400,
      "an idempotency key has 1 to 255 visible ASCII characters",
    );
  return key;
}

async function claimOrWait(
  data: ActionProcessor,
  key: string,
): Promise<Claim | string> {
  const caller = callerOf(data);
  if (caller === undefined)
    throw new HttpError(
      400,
      "an idempotency key needs a caller that the server knows",
    );
  const { name, version } = data.actionTemplate as {
    name: string;
    version: unknown;
  };
  const scope = digest(JSON.stringify([name, String(version), caller, key]));
  const content = digest(await describe(contentOf(data.params)));
  const until = performance.now() + WAIT_MS;
  for (
    let lookMs = FIRST_LOOK_MS;
    ;
    lookMs = Math.min(2 * lookMs, MAX_LOOK_MS)
  ) {
    const found = await claim(scope, content);
    if (found instanceof Claim) return found;
    if (found.digest !== content)
      throw new HttpError(422, "this idempotency key belongs to other params");
    const { response } = found;
    const text =
      typeof response === "function"
        ? await withTimeout(
            Math.max(1, until - performance.now()),
            response(),
            "AH_REDIS_TIMEOUT",
            () => "the response of the first call cannot be read",
          )
        : response;
    if (text !== undefined) return text;
    if (performance.now() > until)
      throw new HttpError(409, "a call with this idempotency key is running", {
        headers: { "Retry-After": "1" },
      });
    await pause(lookMs, undefined, { signal: data.signal });
  }
}

/** The call has run, so its client gets the response, even if redis gets the record later. */
async function settle(data: ActionProcessor, done: Promise<void>) {
  try {
    await done;
  } catch (error) {
    const { message } = toError(error);
    log(
      `the response of an idempotent call is not stored yet, and will be sent again: ${message}`,
      "warning",
      { action: data.action },
    );
  }
}

/** The state at the beginning of the action. */
interface Before {
  response: unknown;
  /** Web only. */
  headers: ReadonlyMap<string, unknown> | undefined;
}

/** The text to store; undefined for an incomplete response, or one that cannot be stored. */
function keptOf(
  data: ActionProcessor,
  returned: unknown,
  before: Before,
): string | undefined {
  const { toRender, connection } = data;
  // of an action that went on after its timeout, `data` and the status are those of the error
  const isLate = isTimeout(data.signal.reason);
  const response: unknown = isLate ? before.response : data.response;
  const values = [response, returned];
  if (toRender !== true || values.some(hasFailed)) return undefined;
  if (values.some((value) => value instanceof Uint8Array)) return undefined;
  const kept: Kept = { returned, response };
  if (before.headers && !isLate) {
    kept.status = (connection.rawConnection as WebParts).responseHttpCode;
    kept.headers = [...webHeaders(connection)!].filter(
      ([name, value]) => name !== COOKIE && before.headers!.get(name) !== value,
    );
  }
  const text = jsonOf(kept);
  const { maxSize = DEFAULT_MAX_BYTES } = optionsOf(data);
  return text !== undefined && Buffer.byteLength(text) <= maxSize
    ? text
    : undefined;
}

/** Undefined for what JSON cannot hold: circles, BigInt. */
function jsonOf(kept: Kept): string | undefined {
  try {
    return JSON.stringify(kept);
  } catch {
    return undefined;
  }
}

function isTimeout(reason: unknown): boolean {
  const code: ErrorCode = "AH_ACTION_TIMEOUT";
  return (reason as { code?: unknown } | undefined)?.code === code;
}

function hasFailed(response: unknown): boolean {
  if (response instanceof Error) return true;
  return Boolean((response as { error?: unknown } | null | undefined)?.error);
}

async function replay(data: ActionProcessor, text: string): Promise<unknown> {
  const kept = JSON.parse(text) as Kept;
  const { returned, response, status, headers } = kept;
  const { connection } = data;
  if (kept.isLost)
    throw new HttpError(
      410,
      "the call with this idempotency key has succeeded, but its response was not stored",
    );
  data.response = response;
  if (status !== undefined) await connection.setStatusCode?.(status);
  for (const [name, value] of headers ?? [])
    await connection.setHeader?.(name, value);
  await connection.setHeader?.("Idempotency-Replayed", "true");
  return returned;
}

/** The parts of a response that the HTTP server keeps before it has begun. */
interface WebParts {
  responseHttpCode?: number;
  responseHeaders?: [string, unknown][];
  res?: { getHeaders(): Record<string, unknown> };
}

/** By lower-case name; undefined for clients without headers. */
function webHeaders({
  rawConnection,
}: Connection): Map<string, unknown> | undefined {
  const { res, responseHeaders } = (rawConnection ?? {}) as WebParts;
  if (!Array.isArray(responseHeaders)) return undefined;
  const headers = new Map(Object.entries(res?.getHeaders() ?? {}));
  for (const [name, value] of responseHeaders)
    headers.set(String(name).toLowerCase(), value);
  return headers;
}

function optionsOf({ actionTemplate }: ActionProcessor): IdempotencyOptions {
  const { idempotent } = actionTemplate as { idempotent?: Idempotency };
  return typeof idempotent === "object" ? idempotent : {};
}

function contentOf(params: object): object {
  const { param } = settings().session;
  return Object.fromEntries(
    Object.entries(params).filter(
      ([name]) => !OTHER_PARAMS.includes(name) && name !== param,
    ),
  );
}

/** A text that is equal for equal content, in any order of its keys; files count by their content. */
async function describe(content: object): Promise<string> {
  const digests = new Map<UploadedFile, string>();
  const text = stableJson(content, digests);
  if (digests.size === 0) return text;
  for (const file of digests.keys()) {
    const hash = createHash("sha256");
    await pipeline(createReadStream(file.filepath), hash);
    digests.set(file, hash.digest("hex"));
  }
  return stableJson(content, digests);
}

/** @param digests of the files; one that is missing is added, empty */
function stableJson(
  content: unknown,
  digests: Map<UploadedFile, string>,
): string {
  return JSON.stringify(content, function (this: object, key, value: unknown) {
    const original = (this as Record<string, unknown>)[key];
    if (original instanceof UploadedFile) {
      const { originalFilename, mimetype } = original;
      const known = digests.get(original) ?? "";
      digests.set(original, known);
      return [originalFilename, mimetype, known];
    }
    if (!isPlainObject(value)) return value;
    const entries = Object.entries(value);
    return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

// --- The records in redis, shared by all nodes: a running call, or its response.

/** How often a process renews the claims of its calls, and repeats what redis did not get, in ms. */
const RENEW_MS = 3_000;

/** After this time without a renewal, in ms, another process takes a claim over: its own one is taken for dead. */
const SILENCE_MS = 15_000;

/**
 * The longest time between two checks of a claim that counts as silence, in ms. An outage of redis prevents all checks and
 * renewals, and must not look like the death of a process.
 */
const MAX_GAP_MS = 2_000;

/** How long redis stores the record of a call after its last renewal, in ms: longer than an outage. */
const RECORD_MS = 3_600_000;

const KEY_PREFIX = "actionhero:idempotency:";

/** Longer responses are read one after the other, in bytes: together they would keep the connection to redis busy. */
const LONG_BYTES = 16_384;

// KEYS: hash with `owner`, `digest`, `response` when the call has ended, and while it runs `lookedAt` and `silence`: how long
// others have checked it without a renewal between, in ms. ARGV: owner, digest. Returns {digest, response or '', its bytes}
// of the record that is there, without a long response; else 1: the caller has claimed the key. A script, because two copies
// of a call must not both find nothing.
const CLAIM = defineOperation(`
local function claim()
  redis.call('HSET', KEYS[1], 'owner', ${A}, 'digest', ${B})
  redis.call('PEXPIRE', KEYS[1], ${RECORD_MS})
  return 1
end
local digest = redis.call('HGET', KEYS[1], 'digest')
if not digest then return claim() end
local bytes = redis.call('HSTRLEN', KEYS[1], 'response')
if bytes > ${LONG_BYTES} then return {digest, '', bytes} end
if bytes > 0 then return {digest, redis.call('HGET', KEYS[1], 'response'), bytes} end
if digest ~= ${B} then return {digest, '', 0} end
local known = redis.call('HMGET', KEYS[1], 'lookedAt', 'silence')
local gap = math.max(0, time - tonumber(known[1] or time))
local silence = tonumber(known[2] or 0) + math.min(gap, ${MAX_GAP_MS})
-- a full redis refuses a first write that needs memory
redis.call('HDEL', KEYS[1], 'lookedAt', 'silence')
if silence >= ${SILENCE_MS} then return claim() end
redis.call('HSET', KEYS[1], 'lookedAt', string.format('%d', time), 'silence', silence)
return {digest, '', 0}`);

// KEYS: the same. ARGV: owner, digest, 'renew' | 'keep' | 'drop', ms, response. Returns 1, or 0 when the claim is another's. A
// record that redis has lost is written again.
const SETTLE = defineTimed(`
local owner = redis.call('HGET', KEYS[1], 'owner')
if owner and owner ~= ARGV[1] then return 0 end
if ARGV[3] == 'drop' then
  redis.call('DEL', KEYS[1])
  return 1
end
if ARGV[3] == 'renew' and redis.call('HEXISTS', KEYS[1], 'response') == 1 then return 1 end
redis.call('HDEL', KEYS[1], 'lookedAt', 'silence')
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'digest', ARGV[2])
if ARGV[3] == 'keep' then redis.call('HSET', KEYS[1], 'response', ARGV[5]) end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1`);

/** An earlier call with the same key. */
export interface KnownCall {
  /** The digest of its params. */
  digest: string;
  /** Undefined while it runs; a function reads a long one. */
  response: string | LongResponse | undefined;
}

/** @returns undefined when it has expired meanwhile */
export type LongResponse = () => Promise<string | undefined>;

/** The record of a call that redis stores. */
interface CallState {
  how: "renew" | "keep" | "drop";
  /** How long the record lives from now on. */
  ms: number;
  response: string;
}

const RUNNING: CallState = { how: "renew", ms: RECORD_MS, response: "" };

/** The responses that redis has not confirmed, and which this process therefore holds, in bytes. A test may lower the limits. */
export const waitingResponses = {
  bytes: 0,
  /** From this size on, further calls wait before the text of their response is made. */
  maxAtOnce: 16 * 1024 * 1024,
  maxBytes: 64 * 1024 * 1024,
};

/** The ends of calls that wait, the longest wait first. */
const turns = new Set<() => void>();

/** End a call, at once or when redis has confirmed others, but at the latest after `redis.operationTimeout`. */
function inTurn(end: () => Promise<void>): Promise<void> {
  if (waitingResponses.bytes < waitingResponses.maxAtOnce) return end();
  return new Promise((resolve, reject) => {
    const go = AsyncResource.bind(() => {
      turns.delete(go);
      clearTimeout(timer);
      promiseOf(end).then(resolve, reject);
    });
    const timer = setTimeout(go, timerMs(operationTimeout()));
    turns.add(go);
  });
}

/** Each end counts its text before the next one begins. */
function takeTurns(): void {
  for (const go of turns) {
    if (waitingResponses.bytes >= waitingResponses.maxAtOnce) return;
    go();
  }
}

/** Stored in place of a response beyond the maximum: the call must not run again. */
const LOST = JSON.stringify({ isLost: true } satisfies Partial<Kept>);

/** The claims of this process whose calls run, or whose end redis does not know yet. */
const claims = new Set<Claim>();

/**
 * A key that this process has claimed: the call may run. The claim is renewed until redis knows how the call ended, however
 * long redis is away.
 */
export class Claim {
  private state = RUNNING;
  private endedAt = Infinity;
  private pending = 0;
  /** Its share of `waitingResponses`. */
  private bytes = 0;
  private readonly timer = setInterval(() => this.repeat(), RENEW_MS).unref();

  constructor(
    private readonly key: string,
    private readonly owner: string,
    /** Digest of the call's params. */
    private readonly params: string,
  ) {
    claims.add(this);
  }

  /**
   * The call has ended: keep its response.
   * @throws Error if redis did not get it; it is sent again until it did
   */
  keep(response: string, ttlMs: number): Promise<void> {
    return this.end({ how: "keep", ms: ttlMs, response: this.count(response) });
  }

  /**
   * The call has failed, or its response cannot be kept: the next one with the key runs.
   * @throws Error as `keep`
   */
  drop(): Promise<void> {
    return this.end({ how: "drop", ms: 0, response: "" });
  }

  /** Send the end of the call once more, and then leave the claim to its time. */
  async close(): Promise<void> {
    if (this.state !== RUNNING)
      await this.tell().catch((error: unknown) => logUnstored(error));
    this.release();
  }

  private end(state: CallState): Promise<void> {
    this.state = state;
    this.endedAt = performance.now();
    return this.tell();
  }

  private repeat(): void {
    if (performance.now() - this.endedAt > RECORD_MS) this.release();
    else if (this.pending === 0) this.tell().catch(() => undefined);
  }

  private async tell(): Promise<void> {
    const { state } = this;
    this.pending++;
    try {
      const isOwn = (await this.settle(state)) === 1;
      if (!isOwn && state.how === "keep")
        logUnstored(new Error("its key was claimed again meanwhile"));
      if (!isOwn || state !== RUNNING) this.release();
    } catch (error) {
      if (!claims.has(this)) this.release(); // another has the key: nothing is sent again
      throw error;
    } finally {
      this.pending--;
    }
  }

  /** @returns what is stored: without room for the response, that it is lost */
  private count(response: string): string {
    const bytes = Buffer.byteLength(response);
    if (waitingResponses.bytes + bytes > waitingResponses.maxBytes) {
      logUnstored(new Error("too many wait for redis"));
      return LOST;
    }
    this.bytes = bytes;
    waitingResponses.bytes += bytes;
    return response;
  }

  private release(): void {
    clearInterval(this.timer);
    claims.delete(this);
    waitingResponses.bytes -= this.bytes;
    this.bytes = 0;
    takeTurns();
  }

  private settle({ how, ms, response }: CallState): Promise<number> {
    const { client } = api.redis.clients;
    const { key, owner, params } = this;
    return runAtomically<number>(client, {
      script: SETTLE,
      keys: [key],
      args: [owner, params, how, ms, response],
      plain: async () => {
        const current = await client.hget(key, "owner");
        if (typeof current === "string" && current !== owner) return 0;
        if (how === "drop") {
          await client.del(key);
          return 1;
        }
        const ended = how === "keep" ? { response } : {};
        await client.hset(key, { owner, digest: params, ...ended });
        await client.pexpire(key, ms);
        return 1;
      },
    });
  }
}

/** At a stop: the calls have ended, and redis gets what it does not know yet. */
export async function closeClaims(): Promise<void> {
  for (const go of turns) go();
  await withTimeout(
    shutdownTimeLeft(),
    Promise.all([...claims].map((claimed) => claimed.close())),
    "AH_REDIS_TIMEOUT",
    () => "redis did not get the responses of idempotent calls",
  ).catch((error: unknown) => logUnstored(error));
}

function logUnstored(error: unknown): void {
  const { message } = toError(error);
  log(`the response of an idempotent call is not stored: ${message}`, "error");
}

/** Claim a key, or find out who has it. */
export async function claim(
  scope: string,
  fingerprint: string,
): Promise<Claim | KnownCall> {
  const { client } = api.redis.clients;
  const key = KEY_PREFIX + scope;
  const owner = randomBytes(12).toString("hex");
  const reply = await runAtomically<1 | [string, string, number]>(client, {
    script: CLAIM,
    keys: [key],
    args: [owner, fingerprint],
    plain: async () => {
      const [known, response] = await client.hmget(key, "digest", "response");
      if (typeof known === "string") return [known, response ?? "", 0];
      await client.hset(key, { owner, digest: fingerprint });
      await client.pexpire(key, RECORD_MS);
      return 1;
    },
  });
  if (reply === 1) return new Claim(key, owner, fingerprint);
  const [known, response, bytes] = reply;
  if (bytes > LONG_BYTES)
    return { digest: known, response: () => readLong(key) };
  return { digest: known, response: response || undefined };
}

/** Pending reads of long responses, by key; concurrent requests for the same response share a read. */
const pendingReads = new Map<string, Promise<string | undefined>>();
let lastRead: Promise<unknown> = Promise.resolve();

function readLong(key: string): Promise<string | undefined> {
  let read = pendingReads.get(key);
  if (read === undefined) {
    read = lastRead
      .then(() => api.redis.clients.client.hget(key, "response"))
      .then((text) => text ?? undefined)
      .finally(() => pendingReads.delete(key));
    pendingReads.set(key, read);
    lastRead = read.catch(() => undefined); // who asked gets the error
  }
  return read;
}

/** Records of calls with an idempotency key, shared by all nodes in redis: a running call, or its response. */
import { randomBytes } from "node:crypto";
import { api } from "../api";
import { A, B, C, defineOperation, defineTimed } from "../redis/script";
import { runAtomically } from "../redis/step";

/**
 * The lifetime of a claim, in ms: live processes renew theirs, and the claim of a dead one blocks its key this long.
 */
const CLAIM_MS = 15_000;
const RENEW_MS = 5_000;

const KEY_PREFIX = "actionhero:idempotency:";

/** Longer responses are read one after the other, in bytes: together they would keep the connection to redis busy. */
const LONG_BYTES = 16_384;

// KEYS: hash with `digest`, `owner` while the call runs, `response` when it has ended. ARGV: owner, digest, ms of the claim.
// Returns {digest, response or '', its bytes} of the record that is there, without a long response; else 1: the caller has
// claimed the key. One step, because two copies of a call must not both find nothing.
const CLAIM = defineOperation(`
local digest = redis.call('HGET', KEYS[1], 'digest')
if digest then
  local bytes = redis.call('HSTRLEN', KEYS[1], 'response')
  if bytes > ${LONG_BYTES} then return {digest, '', bytes} end
  return {digest, redis.call('HGET', KEYS[1], 'response') or '', bytes}
end
redis.call('HSET', KEYS[1], 'owner', ${A}, 'digest', ${B})
redis.call('PEXPIRE', KEYS[1], ${C})
return 1`);

// KEYS: the same. ARGV: owner, 'renew' | 'keep' | 'drop', ms, response. Returns 1, or 0 when the claim is another's.
const SETTLE = defineTimed(`
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
if ARGV[2] == 'drop' then
  redis.call('DEL', KEYS[1])
  return 1
end
if ARGV[2] == 'keep' then
  redis.call('HDEL', KEYS[1], 'owner')
  redis.call('HSET', KEYS[1], 'response', ARGV[4])
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1`);

/** An earlier call with the same key. */
export interface KnownCall {
  /** Of its params. */
  digest: string;
  /** Undefined while it runs; a function reads a long one. */
  response: string | LongResponse | undefined;
}

/** @returns undefined when it has expired meanwhile */
export type LongResponse = () => Promise<string | undefined>;

/** A key that this process has claimed: the call may run. */
export class Claim {
  private readonly timer = setInterval(() => {
    // a claim that cannot be renewed ends by itself; the next renewal may succeed before
    this.settle("renew", CLAIM_MS).catch(() => undefined);
  }, RENEW_MS).unref();

  constructor(
    private readonly key: string,
    private readonly owner: string,
  ) {}

  /** The call has ended: keep its response for so many ms. */
  async keep(response: string, ttlMs: number): Promise<void> {
    clearInterval(this.timer);
    await this.settle("keep", ttlMs, response);
  }

  /** The call has failed, or its response cannot be kept: the next one with the key runs. */
  async drop(): Promise<void> {
    clearInterval(this.timer);
    await this.settle("drop", 0);
  }

  private settle(
    how: "renew" | "keep" | "drop",
    ms: number,
    response = "",
  ): Promise<number> {
    const { client } = api.redis.clients;
    const { key, owner } = this;
    return runAtomically<number>(client, {
      script: SETTLE,
      keys: [key],
      args: [owner, how, ms, response],
      plain: async () => {
        if ((await client.hget(key, "owner")) !== owner) return 0;
        if (how === "drop") return client.del(key);
        if (how === "keep") {
          await client.hdel(key, "owner");
          await client.hset(key, "response", response);
        }
        await client.pexpire(key, ms);
        return 1;
      },
    });
  }
}

/** Claim a key, or find out who has it. */
export async function claim(
  scope: string,
  digest: string,
): Promise<Claim | KnownCall> {
  const { client } = api.redis.clients;
  const key = KEY_PREFIX + scope;
  const owner = randomBytes(12).toString("hex");
  const reply = await runAtomically<1 | [string, string, number]>(client, {
    script: CLAIM,
    keys: [key],
    args: [owner, digest, CLAIM_MS],
    plain: async () => {
      const [known, response] = await client.hmget(key, "digest", "response");
      if (typeof known === "string") return [known, response ?? "", 0];
      await client.hset(key, { owner, digest });
      await client.pexpire(key, CLAIM_MS);
      return 1;
    },
  });
  if (reply === 1) return new Claim(key, owner);
  const [known, response, bytes] = reply;
  if (bytes > LONG_BYTES)
    return { digest: known, response: () => readLong(key) };
  return { digest: known, response: response || undefined };
}

/** Pending reads of long responses, by key; concurrent requests for the same response share a read. */
const reads = new Map<string, Promise<string | undefined>>();
let lastRead: Promise<unknown> = Promise.resolve();

function readLong(key: string): Promise<string | undefined> {
  let read = reads.get(key);
  if (read === undefined) {
    read = lastRead
      .then(() => api.redis.clients.client.hget(key, "response"))
      .then((text) => text ?? undefined)
      .finally(() => reads.delete(key));
    reads.set(key, read);
    lastRead = read.catch(() => undefined); // who asked gets the error
  }
  return read;
}

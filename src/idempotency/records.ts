/** What is known of a call with an idempotency key: that it runs, or its response. Shared by all nodes, in redis. */
import { randomBytes } from "node:crypto";
import { api } from "../api";
import {
  A,
  B,
  C,
  defineOperation,
  defineTimed,
} from "../redis/operationScript";
import { runStep } from "../redis/step";

/** How long the claim of a process that has died keeps others waiting, in ms; others renew theirs. */
const CLAIM_MS = 15_000;
const RENEW_MS = 5_000;

const KEY_PREFIX = "actionhero:idempotency:";

// KEYS: hash with `digest`, `owner` while the call runs, `response` when it has ended. ARGV: owner, digest, ms of the claim.
// Returns {digest, response or ''} of the record that is there, else 1: the caller has claimed the key.
// One step, because two copies of a call must not both find nothing.
const CLAIM = defineOperation(`
local known = redis.call('HMGET', KEYS[1], 'digest', 'response')
if known[1] then return {known[1], known[2] or ''} end
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

/** A call that somebody has made with the key before. */
export interface KnownCall {
  /** Of its params. */
  digest: string;
  /** Undefined while it runs. */
  response: string | undefined;
}

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
    return runStep<number>(client, {
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
  const reply = await runStep<1 | [string, string]>(client, {
    script: CLAIM,
    keys: [key],
    args: [owner, digest, CLAIM_MS],
    plain: async () => {
      const [known, response] = await client.hmget(key, "digest", "response");
      if (typeof known === "string") return [known, response ?? ""];
      await client.hset(key, { owner, digest });
      await client.pexpire(key, CLAIM_MS);
      return 1;
    },
  });
  if (reply === 1) return new Claim(key, owner);
  return { digest: reply[0], response: reply[1] || undefined };
}

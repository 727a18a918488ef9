/**
 * The redis store behind the simulated network: each process has a client whose commands travel through simulated time, and
 * run at a real redis-server when they arrive. The scripts read the simulated clock.
 */
import type { ChainableCommander, Redis } from "ioredis";
import { defineScript } from "../../../src/redis/script";
import {
  scriptsFor,
  type Scripts,
  RedisStore,
} from "../../../src/resque/store/redisStore";
import { HEARTBEAT } from "../../../src/resque/heartbeat";
import { MAX_WORKERS } from "../../../src/resque/store/lua/exchange";
import type { ExchangeCall, QueueStore } from "../../../src/resque/store/store";
import type { Backend, OpenBackend, StoreState, Witness } from "./backend";
import { TIMEOUT_MS, type Network } from "./network";
import type { SimProcess, World } from "./world";

const PREFIX = "resque:";
/** Names the connections of all simulated processes, under another name than the engine asks for: their leases decide. */
const CONNECTION = "simulated";
/**
 * A key whose end the simulated clock decides about must not end by the real one, in ms: it is longer than a run takes, and not so long
 * that a scheduler takes it for an end that was set before the clock was set back.
 */
const NEVER_MS = 170_000;
/** The client gives a blocking call up so much later than redis, in ms. */
const BLOCK_GRACE_MS = 500;

/** The time of all scripts, and the end of keys. */
const CLOCK = `
local function now() return tonumber(redis.call('GET', 'simulated:now')) end
local function expire(key, ms)
  if redis.call('PEXPIRE', key, ${NEVER_MS}) == 1 then
    redis.call('ZADD', 'simulated:ends', string.format('%.0f', now() + ms), key)
  end
end
`;

const SIMULATED_HEARTBEAT = `
local function simulated()
  local ms = tonumber(redis.call('GET', 'simulated:now'))
  return {math.floor(ms / 1000), ms % 1000 * 1000}
end
${HEARTBEAT.replace("redis.call('TIME')", "simulated()")}`;

/** Before each command. ARGV: the time. Keys whose time is over end; one that was written anew without an end has none. */
const SET_TIME = defineScript(`
redis.call('SET', 'simulated:now', ARGV[1])
for _, key in ipairs(redis.call('ZRANGEBYSCORE', 'simulated:ends', '-inf', ARGV[1])) do
  if redis.call('PTTL', key) > 0 then redis.call('DEL', key) end
  redis.call('ZREM', 'simulated:ends', key)
end
`);

/** KEYS: lists. ARGV: number of lists of each blocked client. Returns list and item of each, or false. */
const TAKE_TOKENS = defineScript(`
local result, at = {}, 1
for i = 1, #ARGV do
  result[i] = false
  for k = at, at + ARGV[i] - 1 do
    if not result[i] then
      local item = redis.call('LPOP', KEYS[k])
      if item then result[i] = {KEYS[k], item} end
    end
  end
  at = at + ARGV[i]
end
return result
`);

/** ARGV: hash of the last reply. Returns the hash and everything that is there; only the hash when it is the same. */
const SNAPSHOT = defineScript(`
local ns = '${PREFIX}'
local lists, delayed, waiting, workers, processes = {}, {}, {}, {}, {}
for _, queue in ipairs(redis.call('SMEMBERS', ns .. 'queues')) do
  lists[#lists + 1] = {queue, redis.call('LRANGE', ns .. 'queue:' .. queue, 0, -1)}
end
for _, second in ipairs(redis.call('ZRANGE', ns .. 'delayed_queue_schedule', 0, -1)) do
  delayed[#delayed + 1] = redis.call('LRANGE', ns .. 'delayed:' .. second, 0, -1)
end
for _, class in ipairs(redis.call('SMEMBERS', ns .. 'ah:limits')) do
  waiting[#waiting + 1] = redis.call('LRANGE', ns .. 'ah:parked:' .. class, 0, -1)
end
for _, member in ipairs(redis.call('SMEMBERS', ns .. 'workers')) do
  local owner, record = redis.call('GET', ns .. 'ah:owner:' .. member), redis.call('GET', ns .. 'worker:' .. member)
  workers[#workers + 1] = {member, owner or '', record or ''}
end
for _, id in ipairs(redis.call('ZRANGE', ns .. 'ah:procs', 0, -1)) do
  local call, alone = unpack(redis.call('HMGET', ns .. 'ah:proc:' .. id, 'call', 'alone'))
  if alone and redis.call('EXISTS', ns .. 'worker:' .. alone) == 0 then alone = false end
  processes[#processes + 1] = {id, call, alone or ''}
end
local waitingCount = 0
for _, count in ipairs(redis.call('HVALS', ns .. 'ah:waiting')) do waitingCount = waitingCount + count end
local state = {lists, delayed, waiting, workers, processes, redis.call('LRANGE', ns .. 'failed', 0, -1),
  tonumber(redis.call('GET', ns .. 'stat:processed') or '0'), tonumber(redis.call('GET', ns .. 'stat:failed') or '0'),
  redis.call('ZCARD', ns .. 'ah:due'), waitingCount}
local hash = redis.sha1hex(cmsgpack.pack(state))
if hash == ARGV[1] then return {hash} end
return {hash, state}
`);

type Snapshot = [
  lists: [queue: string, jobs: string[]][],
  delayed: string[][],
  waiting: string[][],
  workers: [member: string, owner: string, record: string][],
  processes: [id: string, call: string, alone: string][],
  failed: string[],
  processed: number,
  failedCount: number,
  dueCount: number,
  waitingCount: number,
];

/** Clients of servers that know the scripts. */
const prepared = new WeakSet<Redis>();

interface Blocked {
  process: SimProcess;
  keys: string[];
  serve: (token: [string, string] | null) => void;
}

/**
 * @param redis a client of a server without other users; its data is deleted
 * @param change changes the text of a script, to plant a fault
 */
export function redisBackend(
  redis: Redis,
  change?: (name: string, lua: string) => string,
): OpenBackend {
  return async (world, network, witness) => {
    const backend = new RedisBackend(world, network, witness, redis);
    await backend.open(change);
    return backend;
  };
}

class RedisBackend implements Backend {
  readonly store: RedisStore;
  readonly state = new RedisState();
  private readonly scripts: Scripts = scriptsFor(CLOCK);
  /** Scripts by the hash that clients send, when they are others than those. */
  private readonly replaced = new Map<string, string>();
  private readonly blocked = new Set<Blocked>();
  private readonly calls = new Map<string, ExchangeCall>();

  constructor(
    private readonly world: World,
    private readonly network: Network,
    private readonly witness: Witness,
    private readonly redis: Redis,
  ) {
    this.store = new RedisStore(redis, { prefix: PREFIX, clock: CLOCK });
  }

  async open(change?: (name: string, lua: string) => string): Promise<void> {
    const { redis, scripts } = this;
    await redis.flushall();
    if (!prepared.has(redis)) {
      prepared.add(redis);
      const own = [SET_TIME, TAKE_TOKENS, SNAPSHOT];
      for (const { lua } of [...own, ...Object.values(scripts)])
        await redis.script("LOAD", lua);
    }
    for (const [name, { lua, sha }] of Object.entries(scripts)) {
      const other = change?.(name, lua) ?? lua;
      if (other !== lua)
        this.replaced.set(sha, (await redis.script("LOAD", other)) as string);
    }
    await this.run((pipeline) => pipeline.ping());
  }

  connect(process: SimProcess): QueueStore {
    const store = new RedisStore(this.clientOf(process), {
      prefix: PREFIX,
      clock: CLOCK,
      connectionName: CONNECTION,
      operationTimeoutMs: TIMEOUT_MS,
      environment: process.environment,
    });
    const exchange = store.exchange.bind(store);
    store.exchange = (call) => {
      this.calls.set(`${call.process} ${call.number}`, call);
      return exchange(call);
    };
    return store;
  }

  async heartbeat(process: string, ms: number): Promise<boolean> {
    const keys = [`${PREFIX}ah:procs`, `${PREFIX}ah:proc:${process}`];
    const args = [...keys, PREFIX, process, ms];
    const reply = await this.run((pipeline) =>
      pipeline.eval(SIMULATED_HEARTBEAT, keys.length, ...args),
    );
    return reply === 1;
  }

  async flush(): Promise<void> {
    await this.run((pipeline) => {
      pipeline.flushall();
      pipeline.set("simulated:now", this.world.now);
    });
  }

  /** What the store uses of ioredis. */
  private clientOf(process: SimProcess): Redis {
    const send = (name: string, work: (pipeline: ChainableCommander) => void) =>
      this.network.send(process, name, () => this.run(work));
    const client = {
      options: { commandTimeout: TIMEOUT_MS },
      status: "ready",
      on: () => client,
      duplicate: () => client,
      disconnect: () => undefined,
      evalsha: (sha: string, keys: string, ...args: string[]) =>
        this.network.send(process, this.nameOf(sha), () => {
          this.seeExchange(sha, args);
          const known = this.replaced.get(sha) ?? sha;
          return this.run((pipeline) => pipeline.evalsha(known, keys, ...args));
        }),
      client: () => Promise.resolve(`id=1 name=${CONNECTION} \n`),
      hget: (key: string, field: string) =>
        send("hget", (pipeline) => pipeline.hget(key, field)),
      smembers: (key: string) =>
        send("smembers", (pipeline) => pipeline.smembers(key)),
      sismember: (key: string, member: string) =>
        send("sismember", (pipeline) => pipeline.sismember(key, member)),
      rpush: (key: string, item: string) =>
        send("rpush", (pipeline) => pipeline.rpush(key, item)),
      mget: (...keys: string[]) =>
        send("mget", (pipeline) => pipeline.mget(...keys)),
      blpop: (keys: string[], seconds: number) =>
        this.block(process, keys, seconds * 1000),
    };
    return client as unknown as Redis;
  }

  private nameOf(sha: string): string {
    for (const [name, script] of Object.entries(this.scripts))
      if (script.sha === sha) return name;
    return "a script";
  }

  private seeExchange(sha: string, args: readonly unknown[]): void {
    if (sha !== this.scripts.EXCHANGE.sha) return;
    const process = String(args[0]).slice(`${PREFIX}ah:proc:`.length);
    const number = Math.floor(Number(args[2]) / MAX_WORKERS);
    const call = this.calls.get(`${process} ${number}`);
    if (call) this.witness.reported(call);
  }

  /** Run a command at the server, at the simulated time. @throws Error of the command */
  private async run(
    work: (pipeline: ChainableCommander) => void,
  ): Promise<unknown> {
    const { redis, world, state } = this;
    const pipeline = redis.pipeline();
    pipeline.evalsha(SET_TIME.sha, 0, world.now);
    work(pipeline);
    const blocked = this.living();
    const lists = blocked.flatMap(({ keys }) => keys);
    const counts = blocked.map(({ keys }) => keys.length);
    if (blocked.length > 0)
      pipeline.evalsha(TAKE_TOKENS.sha, lists.length, ...lists, ...counts);
    pipeline.evalsha(SNAPSHOT.sha, 0, state.stamp);
    const replies = (await pipeline.exec())!;
    const snapshot = replies[replies.length - 1];
    if (snapshot[0]) throw snapshot[0];
    state.update(...(snapshot[1] as [string, Snapshot | undefined]));
    this.witness.changed();
    if (blocked.length > 0)
      this.serve(blocked, replies[replies.length - 2][1] as unknown[]);
    const [error, reply] = replies[1];
    if (error) throw error;
    return reply;
  }

  // --------------------------------------------------------------- wake-ups

  /** A blocked call is not repeated, and its reply may get lost with the token. */
  private block(
    process: SimProcess,
    keys: string[],
    ms: number,
  ): Promise<[string, string] | null> {
    const { world, network } = this;
    return new Promise((resolve, reject) => {
      const blocked: Blocked = {
        process,
        keys,
        serve: (token) => {
          this.blocked.delete(blocked);
          if (!network.reaches(process)) return;
          if (world.random.chance(network.faults.lostReplies)) return;
          world.schedule(network.delay(), () => resolve(token), process);
        },
      };
      world.schedule(network.delay(), () => {
        if (!network.reaches(process)) return undefined;
        this.blocked.add(blocked);
        world.schedule(ms, () => {
          if (this.blocked.has(blocked)) blocked.serve(null);
        });
        return this.run((pipeline) => pipeline.ping());
      });
      world.schedule(
        ms + BLOCK_GRACE_MS,
        () => reject(new Error("Connection is closed.")),
        process,
      );
    });
  }

  private living(): Blocked[] {
    for (const blocked of this.blocked)
      if (blocked.process.isDead) this.blocked.delete(blocked);
    return [...this.blocked];
  }

  private serve(blocked: readonly Blocked[], tokens: readonly unknown[]): void {
    blocked.forEach((one, index) => {
      const token = tokens[index];
      if (token) one.serve(token as [string, string]);
    });
  }
}

class RedisState implements StoreState {
  stamp = "";
  processed = 0;
  failed = 0;
  failedEntries: readonly string[] = [];
  private snapshot?: Snapshot;
  private calls = new Map<string, number>();
  private workers = new Map<string, { owner: string; raw?: string }>();

  update(stamp: string, snapshot: Snapshot | undefined): void {
    if (!snapshot) return;
    this.stamp = stamp;
    this.snapshot = snapshot;
    this.failedEntries = snapshot[5];
    this.processed = snapshot[6];
    this.failed = snapshot[7];
    this.calls = new Map(snapshot[4].map(([id, call]) => [id, Number(call)]));
    this.workers = new Map(
      snapshot[3].map(([member, owner, record]) => [
        member,
        { owner, raw: record === "" ? undefined : record },
      ]),
    );
  }

  lastCall(process: string): number | undefined {
    return this.calls.get(process);
  }

  worker(member: string): { owner: string; raw?: string } | undefined {
    return this.workers.get(member);
  }

  forEachJob(visit: (raw: string, place: string) => void): void {
    if (!this.snapshot) return;
    const [lists, delayed, waiting, , , failed] = this.snapshot;
    for (const [queue, raws] of lists)
      for (const raw of raws) visit(raw, queue);
    for (const raw of delayed.flat()) visit(raw, "delayed");
    for (const entry of waiting.flat()) visit(entry, "waiting");
    for (const [member, { raw }] of this.workers) if (raw) visit(raw, member);
    for (const entry of failed) visit(entry, "failed");
  }

  inconsistency(): string | undefined {
    if (!this.snapshot) return undefined;
    const [, delayed, waiting] = this.snapshot;
    const [dueCount, waitingCount] = this.snapshot.slice(8);
    if (delayed.flat().length !== dueCount)
      return `${delayed.flat().length} jobs are delayed, ${String(dueCount)} have a time`;
    if (waiting.flat().length !== waitingCount)
      return `${waiting.flat().length} jobs wait for a slot, ${String(waitingCount)} are counted`;
    const alone = this.snapshot[4].filter(([, , worker]) => worker !== "");
    if (alone.length > 1)
      return `jobs run alone in ${alone.map(([id]) => id).join(" and ")}`;
    return undefined;
  }
}

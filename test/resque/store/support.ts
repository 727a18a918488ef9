/** Both stores with a clock that the test moves. */
import { once } from "node:events";
import { Redis, type Cluster } from "ioredis";
import { MemoryStore } from "../../../src/resque/store/memoryStore";
import { RedisStore } from "../../../src/resque/store/redisStore";
import {
  NO_OUTCOME,
  workerIdentity,
  type ExchangeSlot,
  type Outcome,
  type QueuedJob,
  type QueueStore,
  type WorkerIdentity,
} from "../../../src/resque/store/store";
import { RedisCluster } from "../../support/redisCluster";
import { hasRedis, RedisServer } from "../../support/redisServer";
import { leaveOut } from "../../support/leftOut";

export interface StoreUnderTest {
  readonly store: QueueStore;
  /** Before every key. */
  readonly prefix: string;
  /** Let time go by. */
  advance(ms: number): Promise<void>;
  /** Processes that have no connection any more. */
  readonly dead: Set<string>;
}

interface Harness extends StoreUnderTest {
  open(): Promise<void>;
  empty(): Promise<void>;
  close(): Promise<void>;
}

/** Lua of a clock that the key `<prefix>test:skew` moves; keys end by it. */
export function movableClock(prefix: string): string {
  return `
local function now()
  local time = redis.call('TIME')
  local ms = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(redis.call('GET', '${prefix}test:skew') or '0')
  local over = redis.call('ZRANGEBYSCORE', '${prefix}test:ends', '-inf', string.format('%.0f', ms))
  for _, key in ipairs(over) do
    redis.call('DEL', key)
    redis.call('ZREM', '${prefix}test:ends', key)
  end
  return ms
end
local function expire(key, ms)
  if redis.call('EXISTS', key) == 0 then return end
  redis.call('ZADD', '${prefix}test:ends', string.format('%.0f', now() + ms), key)
end
`;
}

class MemoryHarness implements Harness {
  store!: MemoryStore;
  readonly prefix = "resque:";
  readonly dead = new Set<string>();
  private time = 0;

  open(): Promise<void> {
    return this.empty();
  }

  empty(): Promise<void> {
    this.time = Date.now();
    this.dead.clear();
    this.store = new MemoryStore({
      clock: () => this.time,
      prefix: this.prefix,
      isConnected: (name) => !this.dead.has(name),
    });
    return Promise.resolve();
  }

  advance(ms: number): Promise<void> {
    this.time += ms;
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

abstract class RedisBacked implements Harness {
  store!: RedisStore;
  readonly dead = new Set<string>();
  abstract readonly prefix: string;
  protected client!: Redis;
  private skew = 0;

  abstract open(): Promise<void>;
  abstract empty(): Promise<void>;
  abstract close(): Promise<void>;

  async advance(ms: number): Promise<void> {
    this.skew += ms;
    await this.client.set(`${this.prefix}test:skew`, this.skew);
    await this.store.now(); // ends keys whose time is over
  }

  protected connect(client: Redis): void {
    const { prefix } = this;
    this.client = client;
    this.skew = 0;
    this.store?.close();
    this.store = new RedisStore(client, {
      prefix,
      clock: movableClock(prefix),
      connectionName: "test",
    });
  }
}

class RedisHarness extends RedisBacked {
  readonly prefix = "resque:";
  private readonly server = new RedisServer();

  async open(): Promise<void> {
    await this.server.start();
    const client = new Redis({ port: this.server.port });
    await client.client("SETNAME", "test");
    this.connect(client);
  }

  async empty(): Promise<void> {
    await this.client.flushall();
    this.connect(this.client);
  }

  async close(): Promise<void> {
    this.store.close();
    this.client.disconnect();
    await this.server.stop();
  }
}

class ClusterHarness extends RedisBacked {
  readonly prefix = "{resque}:";
  private readonly cluster = new RedisCluster();
  private clusterClient!: Cluster;

  async open(): Promise<void> {
    await this.cluster.start();
    this.clusterClient = this.cluster.client();
    await once(this.clusterClient, "ready");
    for (const node of this.clusterClient.nodes("master"))
      await node.client("SETNAME", "test");
    this.connect(this.clusterClient as unknown as Redis);
  }

  async empty(): Promise<void> {
    await Promise.all(
      this.clusterClient.nodes("master").map((node) => node.flushall()),
    );
    this.connect(this.client);
  }

  async close(): Promise<void> {
    this.store.close();
    this.client.disconnect();
    await this.cluster.stop();
  }
}

/** Describe what every store promises, once per store; each test begins with an empty one. */
export function describeOnEachStore(
  title: string,
  body: (context: StoreUnderTest) => void,
): void {
  describe(`${title} (embedded)`, () => runOn(new MemoryHarness(), body));
  if (hasRedis) {
    describe(`${title} (redis)`, () => runOn(new RedisHarness(), body));
    describe(`${title} (cluster)`, () => runOn(new ClusterHarness(), body));
    return;
  }
  leaveOut(`${title} on a real redis`, "redis-server");
}

function runOn(harness: Harness, body: (context: StoreUnderTest) => void) {
  beforeAll(() => harness.open(), 60_000);
  beforeEach(() => harness.empty());
  afterAll(() => harness.close());
  body(harness);
}

/** A registered process with workers, as the engine uses a store. */
export class Actor {
  number = 0;
  /** The queue of `*` that had the last turn. */
  after?: string;

  constructor(
    readonly store: QueueStore,
    readonly id: string,
    readonly queues: string[] = ["*"],
    readonly node?: string,
  ) {}

  static async start(
    store: QueueStore,
    id: string,
    queues?: string[],
    node?: string,
  ): Promise<Actor> {
    await store.register(id, 30_000, `connection ${id}`);
    return new Actor(store, id, queues, node);
  }

  async worker(name = `${this.id}:1`): Promise<WorkerIdentity> {
    const worker = workerIdentity(name, this.queues.join(","));
    expect(await this.store.join(this.id, worker, 30_000)).toBe("joined");
    return worker;
  }

  exchange(slots: ExchangeSlot[], number = ++this.number) {
    const { id: process, queues, node, after } = this;
    return this.store.exchange({ process, number, queues, node, after, slots });
  }

  /** Fetch the next job of one worker. */
  async next(
    worker: WorkerIdentity,
    outcome: Outcome = NO_OUTCOME,
  ): Promise<QueuedJob | undefined> {
    const reply = await this.exchange([{ worker, outcome, want: true }]);
    if (reply === "fenced") throw new Error("fenced");
    return reply.jobs[0];
  }

  /** Report the last job of one worker. */
  async report(worker: WorkerIdentity, outcome: Outcome): Promise<void> {
    const reply = await this.exchange([{ worker, outcome, want: false }]);
    if (reply === "fenced") throw new Error("fenced");
  }
}

export const SUCCESS: Outcome = { kind: "success" };

/** The text of a job as the engine writes it. */
export function jobText(queue: string, name: string, ...args: unknown[]) {
  return JSON.stringify({ class: name, queue, args });
}

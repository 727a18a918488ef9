/** Runs one suite on the embedded engine and, when there is one, on a real redis-server. */
import { once } from "node:events";
import type { Redis } from "ioredis";
import { hasRedis, RedisServer } from "./redisServer";
import { leaveOut } from "./leftOut";

/** What a suite knows about the engine it runs on. */
export interface Engine {
  readonly name: EngineName;
  /** True for the in-process engine. */
  readonly embedded: boolean;
  /** The real server; undefined on the embedded engine. */
  readonly server?: RedisServer;
  /** A client of the suite's own, on the data that the code under test uses; closed when the suite ends. */
  client(): Redis;
  /** Remove all data. */
  flush(): Promise<void>;
  /**
   * Tests that are there on one engine only. A test that one engine lacks without this fails the whole run
   * (engineCounts.js).
   *
   * @param reason why the other engine cannot run them
   */
  only(name: EngineName, reason: string, body: () => void): void;
}

export type EngineName = "embedded" | "redis";

const REDIS_VARIABLES = [
  "REDIS_URL",
  "REDIS_HOST",
  "REDIS_PORT",
  "REDIS_DB",
  "REDIS_PASSWORD",
  "REDIS_SSL",
];

/**
 * Describe `title` once per engine. The configuration points at the engine from before the body's own `beforeAll`
 * until after its last `afterAll`; every suite starts with an empty engine.
 */
export function describeOnEachEngine(
  title: string,
  body: (engine: Engine) => void,
): void {
  describe(`${title} (embedded)`, () => runOn(new EmbeddedEngine(), body));
  if (hasRedis) {
    describe(`${title} (redis)`, () => runOn(new RealEngine(), body));
    return;
  }
  leaveOut(`${title} on a real redis`, "redis-server");
}

function runOn(engine: SuiteEngine, body: (engine: Engine) => void): void {
  const saved: Record<string, string | undefined> = {};

  beforeAll(async () => {
    for (const name of REDIS_VARIABLES) {
      saved[name] = process.env[name];
      delete process.env[name];
    }
    await engine.open();
    rebuild();
    await engine.flush();
  });

  body(engine);

  afterAll(async () => {
    await engine.close();
    for (const name of REDIS_VARIABLES) {
      if (saved[name] === undefined) delete process.env[name];
      else process.env[name] = saved[name];
    }
    rebuild();
  });
}

/** Loaded late: reading the configuration is what the suite's own imports decide. */
function rebuild(): void {
  const module =
    require("../../src/config/config") as typeof import("../../src/config/config");
  module.rebuildConfig();
}

interface SuiteEngine extends Engine {
  open(): Promise<void>;
  close(): Promise<void>;
}

abstract class ClientHolder {
  abstract readonly name: EngineName;
  private held?: Redis;

  only(name: EngineName, reason: string, body: () => void): void {
    if (this.name === name) describe(`only on ${name}, ${reason}`, body);
  }

  client(): Redis {
    this.held ??= this.connect();
    return this.held;
  }

  async flush(): Promise<void> {
    await this.client().flushall();
  }

  close(): Promise<void> {
    // twice would leave a timer of two seconds
    if (this.held?.status !== "end") this.held?.disconnect();
    this.held = undefined;
    return Promise.resolve();
  }

  protected abstract connect(): Redis;
}

class EmbeddedEngine extends ClientHolder implements SuiteEngine {
  readonly name = "embedded";
  readonly embedded = true;

  open(): Promise<void> {
    return Promise.resolve();
  }

  protected connect(): Redis {
    return configuredClient();
  }
}

class RealEngine extends ClientHolder implements SuiteEngine {
  readonly name = "redis";
  readonly embedded = false;
  readonly server = new RedisServer();

  async open(): Promise<void> {
    await this.server.start();
    process.env.REDIS_URL = this.server.url;
  }

  override async close(): Promise<void> {
    await this.leave();
    await super.close();
    await this.server.stop();
    delete process.env.REDIS_URL;
  }

  /** Before the server goes: a client that it cuts off holds the process for two more seconds. */
  private async leave(): Promise<void> {
    const client = this.client();
    if (client.status !== "ready") return;
    const ended = once(client, "end");
    client.disconnect();
    await ended;
  }

  protected connect(): Redis {
    return configuredClient();
  }
}

function configuredClient(): Redis {
  const { config } =
    require("../../src/config/config") as typeof import("../../src/config/config");
  const { konstructor, args } = config.redis.client as unknown as {
    konstructor: new (...args: unknown[]) => Redis;
    args: unknown[];
  };
  return new konstructor(...args);
}

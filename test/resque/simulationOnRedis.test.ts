/** The same histories on a real redis-server, whose scripts read the simulated clock. */
import { Redis } from "ioredis";
import { scriptsFor } from "../../src/resque/store/lua";
import { describeOnRedis, RedisServer } from "../support/redisServer";
import { PLANTED_SCRIPTS } from "./simulation/planted";
import { redisBackend } from "./simulation/redisBackend";
import {
  expectNoViolation,
  findViolation,
  FIRST,
  REDIS_LIMIT_MS,
  REDIS_SEEDS,
} from "./simulation/seeds";
import { QUEUES, simulate } from "./simulation/simulation";

/** Names of the scripts that a fault is planted in. */
function changedScripts(change: (name: string, lua: string) => string) {
  return Object.entries(scriptsFor())
    .filter(([name, { lua }]) => change(name, lua) !== lua)
    .map(([name]) => name);
}

/** Within so many seeds a planted fault is found. */
const ENOUGH = 200;

describeOnRedis("simulated processes on a real redis", () => {
  const server = new RedisServer();
  let redis: Redis;
  beforeAll(async () => {
    await server.start();
    redis = new Redis({ port: server.port, host: "127.0.0.1" });
  });
  afterAll(async () => {
    redis.disconnect();
    await server.stop();
  });

  const run = (seed: number) => simulate(seed, redisBackend(redis, QUEUES));

  test("every job ends once, whatever happens", async () => {
    await expectNoViolation(FIRST, REDIS_SEEDS, REDIS_LIMIT_MS, run);
  }, 3_600_000);

  test("a seed decides everything", async () => {
    const first = await run(7);
    expect((await run(7)).history).toEqual(first.history);
  });

  test.each(PLANTED_SCRIPTS)(
    "a planted fault is found: $name",
    async ({ change }) => {
      expect(changedScripts(change)).not.toEqual([]);
      const { found } = await findViolation(1, ENOUGH, (seed) =>
        simulate(seed, redisBackend(redis, QUEUES, change)),
      );
      expect(found?.violation).toBeDefined();
    },
    600_000,
  );
});

/** The same histories on a real redis-server, whose scripts read the simulated clock. */
import { scriptsFor } from "../../src/resque/store/redisStore";
import { describeOnRedis, RedisServer } from "../support/redisServer";
import { PLANTED_SCRIPTS } from "./simulation/planted";
import {
  FIRST,
  REDIS_LIMIT_MS,
  REDIS_SEEDS,
  Simulator,
} from "./simulation/simulator";

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
  const simulator = new Simulator();
  beforeAll(() => server.start());
  afterAll(async () => {
    await simulator.stop();
    await server.stop();
  });

  test("every job ends once, whatever happens", async () => {
    await simulator.expectNoViolation({
      first: FIRST,
      count: REDIS_SEEDS,
      limitMs: REDIS_LIMIT_MS,
      redisPort: server.port,
    });
  }, 3_600_000);

  test("a seed decides everything", async () => {
    const request = { first: 7, count: 1, redisPort: server.port };
    const { last } = await simulator.run(request);
    expect(last!.history.length).toBeGreaterThan(10);
    const again = await simulator.run(request);
    expect(again.last!.history).toEqual(last!.history);
  });

  test.each(PLANTED_SCRIPTS)(
    "a planted fault is found: $name",
    async ({ name, change }) => {
      expect(changedScripts(change)).not.toEqual([]);
      const { last } = await simulator.run({
        first: 1,
        count: ENOUGH,
        redisPort: server.port,
        plantedScript: name,
      });
      expect(last!.violation).toBeDefined();
    },
    600_000,
  );
});

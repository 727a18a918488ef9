/** Random histories of processes that fail, in simulated time: no job is lost, none runs twice at once. */
import { PLANTED } from "./simulation/planted";
import { FIRST, LIMIT_MS, SEEDS, Simulator } from "./simulation/simulator";

/** Within so many seeds a planted fault is found. */
const ENOUGH = 1_000;

describe("simulated processes on a simulated network", () => {
  const simulators = [new Simulator(), new Simulator()];
  const [simulator] = simulators;
  afterAll(() => Promise.all(simulators.map((one) => one.stop())));

  test("every job ends once, whatever happens", async () => {
    const share = Math.ceil(SEEDS / simulators.length);
    await Promise.all(
      simulators.map((one, index) =>
        one.expectNoViolation({
          first: FIRST + index * share,
          count: Math.min(share, SEEDS - index * share),
          limitMs: LIMIT_MS,
        }),
      ),
    );
  }, 3_600_000);

  test("a seed decides everything", async () => {
    const { last } = await simulator.run({ first: 7, count: 1 });
    const again = await simulator.run({ first: 7, count: 1 });
    expect(last!.history.length).toBeGreaterThan(10);
    expect(again.last!.history).toEqual(last!.history);
  });

  test.each(PLANTED.map(({ name, first = 1 }) => ({ planted: name, first })))(
    "a planted fault is found: $planted",
    async ({ planted, first }) => {
      const request = { first, count: ENOUGH, planted };
      const { last } = await simulator.run(request);
      expect(last!.violation).toBeDefined();
    },
    120_000,
  );
});

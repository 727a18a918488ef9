/** Random histories of processes that fail, in simulated time: no job is lost, none runs twice at once. */
import { PLANTED } from "./simulation/planted";
import { simulate, type Result } from "./simulation/simulation";

/** `SIMULATION_SEEDS=1000000 npx jest test/resque/simulation` is the long form; SIMULATION_FIRST repeats one seed. */
const SEEDS = Number(process.env.SIMULATION_SEEDS ?? 10_000);
const FIRST = Number(process.env.SIMULATION_FIRST ?? 1);
/** Within so many seeds a planted fault is found. */
const ENOUGH = 1_000;

/** @returns the first seed that breaks a rule */
async function findViolation(
  seeds: number,
  run: (seed: number) => Promise<Result>,
): Promise<Result | undefined> {
  for (let seed = FIRST; seed < FIRST + seeds; seed++) {
    const result = await run(seed);
    if (result.violation !== undefined) return result;
  }
  return undefined;
}

describe("simulated processes on a simulated network", () => {
  test("every job ends once, whatever happens", async () => {
    const failed = await findViolation(SEEDS, (seed) => simulate(seed));
    if (failed)
      throw new Error(`seed ${failed.seed}:\n${failed.history.join("\n")}`);
  }, 3_600_000);

  test("a seed decides everything", async () => {
    const first = await simulate(7);
    expect((await simulate(7)).history).toEqual(first.history);
  });

  test.each(PLANTED)(
    "a planted fault is found: $name",
    async ({ plant, changeStore }) => {
      const takeBack = plant();
      try {
        const found = await findViolation(ENOUGH, (seed) =>
          simulate(seed, changeStore),
        );
        expect(found?.violation).toBeDefined();
      } finally {
        takeBack();
      }
    },
    120_000,
  );
});

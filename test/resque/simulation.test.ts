/** Random histories of processes that fail, in simulated time: no job is lost, none runs twice at once. */
import { memoryBackend } from "./simulation/memoryBackend";
import { PLANTED } from "./simulation/planted";
import {
  expectNoViolation,
  findViolation,
  FIRST,
  LIMIT_MS,
  SEEDS,
} from "./simulation/seeds";
import { simulate } from "./simulation/simulation";

/** Within so many seeds a planted fault is found. */
const ENOUGH = 1_000;

describe("simulated processes on a simulated network", () => {
  test("every job ends once, whatever happens", async () => {
    await expectNoViolation(FIRST, Math.ceil(SEEDS / 2), LIMIT_MS);
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
        const { found } = await findViolation(1, ENOUGH, (seed) =>
          simulate(seed, memoryBackend(changeStore)),
        );
        expect(found?.violation).toBeDefined();
      } finally {
        takeBack();
      }
    },
    120_000,
  );
});

/** The other half of the seeds, so that two workers of jest share them. */
import { expectNoViolation, FIRST, LIMIT_MS, SEEDS } from "./simulation/seeds";

test("every job ends once, whatever happens", async () => {
  const half = Math.ceil(SEEDS / 2);
  await expectNoViolation(FIRST + half, SEEDS - half, LIMIT_MS);
}, 3_600_000);

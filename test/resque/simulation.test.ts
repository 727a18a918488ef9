/** Random histories of processes that fail, in simulated time: no job is lost, none runs twice at once. */
import { simulate, type Result } from "./simulation/simulation";

const SEEDS = Number(process.env.SIMULATION_SEEDS ?? 10_000);
const FIRST = Number(process.env.SIMULATION_FIRST ?? 1);

describe("simulated processes on a simulated network", () => {
  test("every job ends once, whatever happens", async () => {
    let failed: Result | undefined;
    for (let seed = FIRST; seed < FIRST + SEEDS && !failed; seed++) {
      const result = await simulate(seed);
      if (result.violation) failed = result;
    }
    if (failed)
      throw new Error(`seed ${failed.seed}:\n${failed.history.join("\n")}`);
  }, 600_000);
});

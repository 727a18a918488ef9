/** Runs many seeds of the simulation. */
import { simulate, type Result } from "./simulation";

/**
 * How many seeds all suites run together: `SIMULATION_SEEDS=1000000 npx jest test/resque/simulation` is the long form.
 * `SIMULATION_FIRST=123 SIMULATION_SEEDS=1` repeats one.
 */
export const SEEDS = Number(process.env.SIMULATION_SEEDS ?? 1_000);
export const FIRST = Number(process.env.SIMULATION_FIRST ?? 1);

/** @returns the first seed that breaks a rule */
export async function findViolation(
  first: number,
  count: number,
  run: (seed: number) => Promise<Result> = simulate,
): Promise<Result | undefined> {
  for (let seed = first; seed < first + count; seed++) {
    const result = await run(seed);
    if (result.violation !== undefined) return result;
  }
  return undefined;
}

/** @throws Error with the history of the first seed that breaks a rule */
export async function expectNoViolation(
  first: number,
  count: number,
): Promise<void> {
  const failed = await findViolation(first, count, (seed) => simulate(seed));
  if (failed)
    throw new Error(`seed ${failed.seed}:\n${failed.history.join("\n")}`);
}

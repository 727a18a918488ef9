/** Runs many seeds of the simulation. */
import { simulate, type Result } from "./simulation";

/**
 * How many seeds all suites run together: `SIMULATION_SEEDS=1000000 npx jest test/resque/simulation` is the long form.
 * `SIMULATION_FIRST=123 SIMULATION_SEEDS=1` repeats one.
 */
export const SEEDS = Number(process.env.SIMULATION_SEEDS ?? 1_000);
/** How many of them run on redis, too; unless it is said how many, no longer than `REDIS_LIMIT_MS`. */
export const REDIS_SEEDS = Number(process.env.SIMULATION_REDIS_SEEDS ?? 200);
export const REDIS_LIMIT_MS =
  process.env.SIMULATION_REDIS_SEEDS === undefined ? 40_000 : Infinity;
export const FIRST = Number(process.env.SIMULATION_FIRST ?? 1);

/**
 * @param limitMs begin no further seed after so long
 * @returns the first seed that breaks a rule
 */
export async function findViolation(
  first: number,
  count: number,
  run: (seed: number) => Promise<Result>,
  limitMs = Infinity,
): Promise<Result | undefined> {
  const deadline = performance.now() + limitMs;
  for (let seed = first; seed < first + count; seed++) {
    if (performance.now() > deadline) return undefined;
    const result = await run(seed);
    if (result.violation !== undefined) return result;
  }
  return undefined;
}

/** @throws Error with the history of the first seed that breaks a rule */
export async function expectNoViolation(
  first: number,
  count: number,
  run: (seed: number) => Promise<Result> = (seed) => simulate(seed),
  limitMs = Infinity,
): Promise<void> {
  const failed = await findViolation(first, count, run, limitMs);
  if (failed)
    throw new Error(`seed ${failed.seed}:\n${failed.history.join("\n")}`);
}

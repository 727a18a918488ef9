/** Runs many seeds of the simulation. */
import { simulate, type Result } from "./simulation";

const { SIMULATION_SEEDS, SIMULATION_REDIS_SEEDS, SIMULATION_FIRST } =
  process.env;

/**
 * How many seeds all suites run together: `SIMULATION_SEEDS=1000000 npx jest test/resque/simulation` is the long form.
 * `SIMULATION_FIRST=123 SIMULATION_SEEDS=1` repeats one.
 */
export const SEEDS = Number(SIMULATION_SEEDS ?? 10_000);
/** How many of them run on redis, too. */
export const REDIS_SEEDS = Number(SIMULATION_REDIS_SEEDS ?? 200);
export const FIRST = Number(SIMULATION_FIRST ?? 1);

/** A slow machine runs fewer, unless it was said how many: no further seed begins after so long, in ms. */
export const LIMIT_MS = SIMULATION_SEEDS === undefined ? 30_000 : Infinity;
export const REDIS_LIMIT_MS =
  SIMULATION_REDIS_SEEDS === undefined ? 40_000 : Infinity;

type Run = (seed: number) => Promise<Result>;

/**
 * @param limitMs begin no further seed after so long
 * @returns the first seed that breaks a rule, and how many were run
 */
export async function findViolation(
  first: number,
  count: number,
  run: Run,
  limitMs = Infinity,
): Promise<{ found?: Result; ran: number }> {
  const deadline = performance.now() + limitMs;
  for (let ran = 0; ran < count; ran++) {
    if (performance.now() > deadline) return { ran };
    const result = await run(first + ran);
    if (result.violation !== undefined) return { found: result, ran: ran + 1 };
  }
  return { ran: count };
}

/** @throws Error with the history of the first seed that breaks a rule */
export async function expectNoViolation(
  first: number,
  count: number,
  limitMs: number,
  run: Run = (seed) => simulate(seed),
): Promise<void> {
  const { found, ran } = await findViolation(first, count, run, limitMs);
  if (found)
    throw new Error(`seed ${found.seed}:\n${found.history.join("\n")}`);
  if (ran < count)
    process.stderr.write(
      `simulation: ${ran} of ${count} seeds in ${limitMs} ms\n`,
    );
}

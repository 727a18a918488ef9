import { performance } from "node:perf_hooks";

/**
 * How busy the event loop is.
 * @param iterations hops to measure (default 10,000)
 * @returns ten times the mean milliseconds of one `process.nextTick` hop, to 3 decimals; the scale is version 29's
 * (`utils.eventLoopDelay`). `MultiWorker` does not use it: it measures how late its own timer fires
 */
export async function eventLoopDelay(iterations = 10000): Promise<number> {
  let total = 0;
  for (let i = 0; i < iterations; i++) total += await measureHop();
  return Math.round((total / iterations) * 10000) / 1000;
}

function measureHop(): Promise<number> {
  return new Promise((resolve) => {
    const start = performance.now();
    process.nextTick(() => resolve(performance.now() - start));
  });
}

/** The process of a `Simulator`: it runs the seeds that it is asked for. */
import "./nodeId";
import { Redis } from "ioredis";
import { memoryBackend } from "./memoryBackend";
import { PLANTED, PLANTED_SCRIPTS, type PlantedFault } from "./planted";
import { redisBackend } from "./redisBackend";
import { simulate, type Result } from "./simulation";
import type { Report, Request } from "./simulator";

let redis: Redis | undefined;

async function answer(request: Request): Promise<Report> {
  const planted = PLANTED.find(({ name }) => name === request.planted);
  const takeBack = planted?.plant();
  try {
    return await runSeeds(request, runOf(request, planted));
  } finally {
    takeBack?.();
  }
}

function runOf(
  { redisPort, plantedScript }: Request,
  planted?: PlantedFault,
): (seed: number) => Promise<Result> {
  if (redisPort === undefined)
    return (seed) =>
      simulate(seed, memoryBackend(planted?.changeStore), planted?.shares);
  redis ??= new Redis({ port: redisPort, host: "127.0.0.1" });
  const script = PLANTED_SCRIPTS.find(({ name }) => name === plantedScript);
  const backend = redisBackend(redis, script?.change);
  return (seed) => simulate(seed, backend);
}

async function runSeeds(
  { first, count, limitMs }: Request,
  run: (seed: number) => Promise<Result>,
): Promise<Report> {
  const deadline = performance.now() + (limitMs ?? Infinity);
  let last: Result | undefined;
  for (let ran = 0; ran < count; ran++) {
    if (performance.now() > deadline) return { ran, last };
    last = await run(first + ran);
    if (last.violation !== undefined) return { ran: ran + 1, last };
  }
  return { ran: count, last };
}

process.on("message", (request: Request) => {
  answer(request).then(
    (report) => process.send!(report),
    (error: Error) => process.send!({ ran: 0, error: String(error.stack) }),
  );
});
// the test is gone
process.on("disconnect", () => process.exit());

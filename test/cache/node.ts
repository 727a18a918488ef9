/** A process of its own that uses the cache as it is told over IPC; see twoNodes.test.ts. */
import { cache, Process } from "../../src";
import { sleep } from "../../src/utils/sleep";

export type Order =
  | { do: "contend"; key: string; wins: number }
  | { do: "wrap"; key: string; callers: number }
  | { do: "hold"; key: string };

/** Take and free the lock `wins` times; nobody else may be seen inside. */
async function contend(key: string, wins: number) {
  const redis = cache.client();
  let clashes = 0;
  for (let won = 0; won < wins;) {
    if (!(await cache.lock(key))) {
      await sleep(0);
      continue;
    }
    if ((await redis.incr("inside")) !== 1) clashes++;
    if ((await redis.decr("inside")) !== 0) clashes++;
    if (!(await cache.unlock(key))) clashes++;
    won++;
  }
  return { clashes, wins };
}

async function wrap(key: string, callers: number) {
  const redis = cache.client();
  const produce = async () => {
    await redis.incr("produced");
    await sleep(50);
    return "value";
  };
  const options = { expireTimeMS: 60_000 };
  const all = Array.from({ length: callers }, () =>
    cache.wrap(key, options, produce),
  );
  return { values: [...new Set(await Promise.all(all))] };
}

async function obey(order: Order): Promise<object> {
  if (order.do === "contend") return contend(order.key, order.wins);
  if (order.do === "wrap") return wrap(order.key, order.callers);
  return { held: await cache.lock(order.key, 1_000) };
}

async function main() {
  await new Process().initialize();
  process.on("message", (order: Order) => {
    void obey(order).then(
      (answer) => process.send!(answer),
      (error: unknown) => process.send!({ error: String(error) }),
    );
  });
  process.on("disconnect", () => process.exit(0));
  process.send!({ ready: true });
}

void main();

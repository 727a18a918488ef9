/** Ports for what must know its port before it listens. */
import { once } from "events";
import * as net from "net";

/**
 * Below the ports that systems hand out by themselves: no outgoing connection takes one of these between the choice and
 * the listening, nor while a server is away (a client that goes on trying would even reach itself there).
 */
const FIRST = 20_000;
/** Each worker of jest has so many of its own. */
const COUNT = 1_000;
const MOST_WORKERS = 12;

const worker = Number(process.env.JEST_WORKER_ID ?? 1) % MOST_WORKERS;
/** Runs side by side on one machine begin at different ones. */
let next = Math.floor(Math.random() * COUNT);

/** A port that is free at this moment. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < COUNT; tries++) {
    const port = FIRST + worker * COUNT + (next++ % COUNT);
    if (await isFree(port)) return port;
  }
  throw new Error("no free port");
}

async function isFree(port: number): Promise<boolean> {
  const server = net.createServer();
  const listening = once(server.listen(port), "listening");
  const isFree = await listening.then(
    () => true,
    () => false,
  );
  if (!isFree) return false;
  server.close();
  await once(server, "close");
  return true;
}

/**
 * Renews the lease of this process from a thread of its own, over a plain socket, so that a blocked event loop does not
 * lose it. The thread costs about 10 MB of memory.
 */
import { isCluster } from "../redis/engine";
import type { Redis } from "ioredis";
import type * as net from "node:net";
import type * as tls from "node:tls";
import type * as threads from "node:worker_threads";

export interface Heartbeat {
  /** The registration to renew from now on. */
  follow(process: string): void;
  /** Records that the event loop of this process runs. */
  alive(): void;
  /** Until when the lease is certainly valid, as known to the thread, in ms of `performance.now()`. */
  leaseUntil(): number;
  stop(): void;
}

export interface HeartbeatOptions {
  prefix: string;
  leaseMs: number;
  /** An event loop that is blocked for longer loses the lease, in ms. */
  stuckMs: number;
}

/** The connection options for the thread, which can be cloned to a thread. */
interface Target {
  host?: string;
  port?: number;
  path?: string;
  tls?: tls.ConnectionOptions;
  username?: string;
  password?: string;
  db?: number;
}

interface ThreadData extends HeartbeatOptions {
  script: string;
  /** Both in ns of `process.hrtime`: end of the lease, last sign of the event loop. */
  shared: BigInt64Array;
}

type Message = { id: string } | { target: Target };

const LEASE = 0;
const SIGN = 1;

/** @returns undefined where a thread is not possible, as on a Redis Cluster or with TLS options that are functions */
export function startHeartbeat(
  redis: Redis,
  options: HeartbeatOptions,
): Heartbeat | undefined {
  if (isCluster(redis)) return undefined;
  const shared = new BigInt64Array(new SharedArrayBuffer(16));
  Atomics.store(shared, SIGN, process.hrtime.bigint());
  const workerData: ThreadData = { ...options, script: HEARTBEAT, shared };
  // `__name` is what some compilers call in functions
  const source = `const __name = (x) => x; (${beat.toString()})(require("node:net"), require("node:tls"), require("node:worker_threads"));`;
  // without redis, nothing needs it
  const { Worker } = require("node:worker_threads") as typeof threads;
  let thread: threads.Worker;
  const aim = () => {
    thread.postMessage({ target: targetOf(redis) } satisfies Message);
  };
  try {
    thread = new Worker(source, {
      eval: true,
      workerData,
      execArgv: [],
      env: {},
    });
    aim();
  } catch {
    return undefined;
  }
  thread.unref();
  thread.on("error", () => undefined); // the event loop renews the lease as well
  redis.on("ready", aim); // after a failover, redis may have another address
  return {
    follow(id) {
      Atomics.store(shared, LEASE, 0n);
      thread.postMessage({ id } satisfies Message);
    },
    alive() {
      Atomics.store(shared, SIGN, process.hrtime.bigint());
    },
    leaseUntil() {
      const leftNs = Atomics.load(shared, LEASE) - process.hrtime.bigint();
      return performance.now() + Number(leftNs) / 1e6;
    },
    stop() {
      redis.off("ready", aim);
      void thread.terminate();
    },
  };
}

/** The address that the client is connected to: behind a Sentinel, it differs from the options. */
function targetOf(redis: Redis): Target {
  const { options } = redis;
  const { username, password, db, path, tls: secure } = options;
  const { stream } = redis as { stream?: Partial<net.Socket> };
  return {
    host: stream?.remoteAddress ?? options.host,
    port: stream?.remotePort ?? options.port,
    path,
    tls: secure && { servername: options.host, ...secure },
    username,
    password,
    db,
  };
}

/** Runs in the thread, as text: it uses nothing but its arguments. */
/* istanbul ignore next */
function beat(
  netModule: typeof net,
  tlsModule: typeof tls,
  { parentPort, workerData }: typeof threads,
): void {
  const { shared, script, prefix, leaseMs, stuckMs } = workerData as ThreadData;
  let target: Target | undefined;
  let id = "";
  let socket: net.Socket | undefined;
  let replies: ((reply: string) => void)[] = [];

  parentPort!.on("message", (message: Message) => {
    if ("id" in message) id = message.id;
    else {
      target = message.target;
      socket?.destroy();
      socket = undefined;
    }
    renew();
  });
  setInterval(renew, leaseMs / 3);

  function renew(): void {
    if (!target || id === "" || replies.length > 8) return;
    const now = process.hrtime.bigint();
    const silentNs = now - Atomics.load(shared, 1);
    if (silentNs > BigInt(stuckMs) * 1_000_000n) return;
    socket ??= connect(target);
    const renewed = id;
    const keys = [`${prefix}ah:procs`, `${prefix}ah:proc:${id}`];
    const args = [prefix, id, String(leaseMs)];
    send(["EVAL", script, "2", ...keys, ...args], (reply) => {
      if (reply.includes("READONLY")) socket?.destroy(); // the master has moved
      if (reply !== ":1" || renewed !== id) return;
      Atomics.store(shared, 0, now + BigInt(leaseMs) * 1_000_000n);
    });
  }

  function connect({ tls: secure, ...to }: Target): net.Socket {
    const where = to.path
      ? { path: to.path }
      : { host: to.host, port: to.port! };
    const opened = secure
      ? tlsModule.connect({ ...secure, ...where })
      : netModule.connect(where);
    socket = opened;
    replies = [];
    let text = "";
    opened.setNoDelay(true);
    opened.setTimeout(leaseMs, () => opened.destroy());
    opened.on("error", () => undefined); // followed by "close"
    opened.on("close", () => {
      if (socket === opened) socket = undefined;
    });
    opened.on("data", (data: Buffer) => {
      text += data.toString("latin1");
      const lines = text.split("\r\n");
      text = lines.pop()!;
      if (text.length > 4096) opened.destroy(); // no reply of redis
      for (const line of lines) replies.shift()?.(line);
    });
    if (to.password) {
      const user = to.username ? [to.username] : [];
      send(["AUTH", ...user, to.password]);
    }
    if (to.db) send(["SELECT", String(to.db)]);
    return opened;
  }

  function send(words: string[], done = (_reply: string) => undefined as void) {
    const parts = words.map(
      (word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`,
    );
    socket!.write(`*${words.length}\r\n${parts.join("")}`);
    replies.push(done);
  }
}

export const HEARTBEAT = `
if redis.call('EXISTS', KEYS[2]) == 0 and not redis.call('ZSCORE', KEYS[1], ARGV[2]) then return 0 end
redis.call('HDEL', ARGV[1] .. 'ah:full', '')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(ARGV[3])), ARGV[2])
redis.call('HSET', KEYS[2], 'connection', '')
return 1
`;

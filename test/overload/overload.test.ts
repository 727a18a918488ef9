/** `general.overload` over each transport: what is refused, what goes on, and when it is over. */
import { EventEmitter, once } from "node:events";
import * as http from "node:http";
import * as net from "node:net";
import { setFlagsFromString, getHeapStatistics } from "node:v8";
import { runInNewContext } from "node:vm";
import {
  closeAll,
  SocketPeer,
  socketPort,
  startSocketApp,
} from "../support/socketApp";
import { LogLines } from "../support/logLines";
import { until } from "../support/until";
import { addActions, ask } from "../support/webApp";
import { connectWebsocket, webPort } from "../support/websocketClient";
import { action, api, config, type Process } from "../../src/index";
import { createOverload } from "../../src/overload/overload";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

const TEXT = "the server is overloaded, try again later";

let app: Process;
const gates = new EventEmitter().setMaxListeners(0);
let held = 0;

const web = (path: string, options = {}) => ask(webPort(), path, options);

/** Limits from now on. */
function limit(limits: object | null): void {
  config.general.overload = limits;
  api.overload?.stop();
  api.overload = createOverload();
  api.overload?.watch();
}

/** Begin an action that runs until `release`. */
async function hold(): Promise<{ answer: Promise<any> }> {
  const before = held;
  const answer = web("/api/hold");
  await until(() => held > before);
  return { answer };
}

async function release(): Promise<void> {
  gates.emit("release");
  await until(() => held === 0);
}

/** Stand still, as a loop over too much data does. */
function block(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

beforeAll(async () => {
  config.health.enabled = true;
  config.general.overload = { maxInFlight: 1 };
  app = await startSocketApp();
  addActions({
    hello: { run: () => ({ hello: "world" }) },
    hold: {
      run: async () => {
        held++;
        await once(gates, "release");
        const inner = await action.run("hello");
        held--;
        return { inner };
      },
    },
  });
});
afterEach(async () => {
  await release();
  limit({ maxInFlight: 1 });
});
afterAll(async () => {
  await closeAll();
  await app.stop();
  expect(api.overload!.isOverloaded).toBe(false);
});

describe("with maxInFlight", () => {
  test("a request too many gets 503 with Retry-After, and what runs goes on with its in-line actions", async () => {
    const { answer } = await hold();
    const refused = await web("/api/hello");
    expect(refused.status).toBe(503);
    expect(refused.json).toEqual({ error: TEXT, code: "AH_OVERLOADED" });
    expect(refused.headers["retry-after"]).toBe("1");
    expect((await web("/index.html")).status).toBe(503);

    gates.emit("release");
    const { status, json } = await answer;
    expect(status).toBe(200);
    expect(json.inner.hello).toBe("world");
    expect((await web("/api/hello")).status).toBe(200);
  });

  test("a request is refused before its body is there", async () => {
    await hold();
    const req = http.request({
      port: webPort(),
      path: "/api/hello",
      method: "POST",
      headers: { "content-length": 1_000_000 },
    });
    req.on("error", () => undefined); // it may be cut when it has its answer
    req.write("a=1");
    const [res] = (await once(req, "response")) as [http.IncomingMessage];
    expect(res.statusCode).toBe(503);
    req.destroy();
  });

  test("the health checks are reachable during an overload", async () => {
    await hold();
    expect((await web("/healthz")).status).toBe(200);
    expect((await web("/readyz")).status).toBe(200);
  });

  test("a websocket that is open gets errors, a new one is closed with 1013", async () => {
    const client = await connectWebsocket();
    await hold();
    const replies = [
      await client.action("hello"),
      await client.request({ event: "detailsView" }),
      await client.request({ event: "file", file: "simple.html" }),
    ];
    for (const reply of replies) expect(reply.error).toContain(TEXT);
    const late = await connectWebsocket({ welcome: false });
    expect(await late.closed).toEqual({ code: 1013, reason: TEXT });

    await release();
    expect((await client.action("hello")).hello).toBe("world");
    client.close();
  });

  test("a TCP client gets error lines, a new one gets one and is closed, and everybody may leave", async () => {
    const peer = await SocketPeer.connect(socketPort());
    await peer.next();
    await hold();
    for (const line of ["hello", "detailsView", '{"file":"simple.html"}'])
      expect(await peer.ask(line)).toMatchObject({ error: TEXT });
    const late = await SocketPeer.connect(socketPort());
    expect(await late.next()).toEqual({ error: TEXT, context: "api" });
    await late.ended;
    peer.send("quit");
    await peer.ended;
  });

  test("refusals are logged by one line for many", async () => {
    limit({ maxInFlight: 1 });
    const lines = new LogLines("info");
    await hold();
    for (let i = 0; i < 5; i++) await web("/api/hello");
    lines.stop();
    expect(lines.at("warning", /refusing new work/)).toEqual([
      "refusing new work: general.overload.maxInFlight is reached",
    ]);
  });

  test("a flood is answered, each request by the action or by 503, and is forgotten at once", async () => {
    limit({ maxInFlight: 2 });
    addActions({ brief: { run: () => new Promise(setImmediate) } });
    const agent = new http.Agent({ keepAlive: true, maxSockets: 20 });
    const answers = await Promise.all(
      Array.from({ length: 200 }, () => web("/api/brief", { agent })),
    );
    const statuses = answers.map(({ status }) => status);
    expect(new Set(statuses)).toEqual(new Set([200, 503]));
    expect((await web("/api/hello")).status).toBe(200);
    agent.destroy();
  });

  test("config.errors.overloaded words the error of an action", async () => {
    config.errors.overloaded = ({ action }: any) => `no ${action} now`;
    const client = await connectWebsocket();
    await hold();
    const reply = await client.action("hello");
    expect(reply.error).toBe("no hello now");
    client.close();
  });
});

test("with maxEventLoopDelay, what has waited for a blocked event loop is refused, and then all is normal", async () => {
  limit({ maxEventLoopDelay: 200 });
  const socket = net.connect(webPort(), "127.0.0.1");
  await once(socket, "connect");
  await web("/api/hello"); // the server knows of the socket
  const answer = once(socket, "data");
  socket.write("GET /api/hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
  block(500);
  expect(String((await answer)[0])).toMatch(/^HTTP\/1\.1 503 /);
  socket.destroy();
  await until(async () => (await web("/api/hello")).status === 200);
});

test("with maxHeapUsed, work is refused while that much is really in use, and garbage does not count", async () => {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  const MB = 1024 * 1024;
  const used = () => getHeapStatistics().used_heap_size;
  const maxHeapUsed = used() + 40 * MB;
  limit({ maxHeapUsed });
  const kept: unknown[] = [];
  await until(() => {
    // what earlier suites have left is collected meanwhile
    if (used() < maxHeapUsed + 40 * MB)
      kept.push(new Array((10 * MB) / 8).fill(1.5));
    return api.overload!.isOverloaded;
  });
  expect((await web("/api/hello")).status).toBe(503);
  kept.length = 0;
  await until(async () => (await web("/api/hello")).status === 200);
});

test("maxHeapUsed up to 1 is a fraction of the old generation", async () => {
  const MB = 1024 * 1024;
  const statistics = { ...getHeapStatistics(), heap_size_limit: 304 * MB }; // with --max-old-space-size=256
  const measure = jest.spyOn(
    jest.requireActual<typeof import("node:v8")>("node:v8"),
    "getHeapStatistics",
  );
  measure.mockReturnValue({ ...statistics, used_heap_size: 240 * MB });
  limit({ maxHeapUsed: 0.9 });
  await until(() => api.overload!.isOverloaded);
  measure.mockReturnValue({ ...statistics, used_heap_size: 220 * MB });
  await until(() => !api.overload!.isOverloaded);
  // there was a collection a moment ago, and the next may come too late
  measure.mockReturnValue({ ...statistics, used_heap_size: 254 * MB });
  await until(() => api.overload!.isOverloaded);
  measure.mockRestore();
  await until(() => !api.overload!.isOverloaded);
});

test("what blocks the event loop before the boot is complete refuses nobody", async () => {
  config.general.overload = { maxEventLoopDelay: 50 };
  api.overload?.stop();
  api.overload = createOverload();
  block(200);
  await new Promise((resolve) => setTimeout(resolve, 50)); // a timer that ran already would find the delay
  api.overload!.watch();
  expect(api.overload!.isOverloaded).toBe(false);
});

test.each([
  { maxInFlight: 0 },
  { maxInFlight: "many" },
  { maxEventLoopDelay: -1 },
  { maxHeapUsed: NaN },
])("%j is no limit", (limits) => {
  config.general.overload = limits as never;
  expect(createOverload).toThrow(
    expect.objectContaining({ code: "AH_CONFIG" }),
  );
});

test("without limits nothing is refused", () => {
  limit(null);
  expect(api.overload).toBeUndefined();
});

/** `/healthz` and `/readyz`: what they say in each state of the process, and what they cost. */
import * as http from "node:http";
import * as net from "node:net";
import type { AddressInfo } from "node:net";
import { api, config, health, Process } from "../../src/index";
import { ask } from "../support/ask";
import { freePort } from "../support/freePort";
import { LogLines } from "../support/logLines";
import { until } from "../support/until";
import { addActions, startWebApp, type WebApp } from "../support/webApp";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

let app: WebApp;

const ready = () => app.ask("/readyz");
const live = () => app.ask("/healthz");

describe("on the web server's port", () => {
  beforeAll(async () => {
    config.health.enabled = true;
    config.health.cacheFor = 0;
    app = await startWebApp();
    addActions({ work: { run: () => ({ done: true }) } });
  });
  afterAll(async () => {
    await app.stop();
    config.health = { ...config.health, enabled: false, cacheFor: 1000 };
  });
  afterEach(() => {
    for (const name of ["mine", "other"]) health.removeCheck(name);
  });

  test("a process that runs is alive and ready", async () => {
    const answers = [await live(), await ready()];
    for (const { status, headers } of answers) {
      expect(status).toBe(200);
      expect(headers["content-type"]).toContain("application/json");
      expect(headers["cache-control"]).toBe("no-store");
      expect(headers["set-cookie"]).toBeUndefined();
    }
    expect(answers[0].json).toEqual({ status: "alive" });
    expect(answers[1].json).toEqual({
      status: "ready",
      checks: {
        redis: { status: "ok", ms: expect.any(Number), critical: true },
      },
    });
  });

  test("HEAD has the same head, a query does not matter, other methods and paths are not for it", async () => {
    const head = await app.ask("/readyz?a=1", { method: "HEAD" });
    expect([head.status, head.text]).toEqual([200, ""]);
    expect(Number(head.headers["content-length"])).toBeGreaterThan(10);
    const post = await app.ask("/readyz", { method: "POST", body: "a=1" });
    expect(post.text).not.toContain("ready");
    expect((await app.ask("/readyz/")).status).toBe(404);
  });

  test("a preflight request is refused, as pages of other sites cannot read the responses", async () => {
    config.web.cors = { origins: ["https://site.com"] };
    for (const path of ["/healthz", "/readyz"]) {
      const { status, headers } = await app.ask(path, {
        method: "OPTIONS",
        headers: {
          Origin: "https://site.com",
          "Access-Control-Request-Method": "GET",
        },
      });
      expect([status, headers.allow]).toEqual([405, "GET, HEAD"]);
      expect(headers["access-control-allow-methods"]).toBeUndefined();
    }
  });

  test.each<[string, () => unknown]>([
    [
      "throws",
      () => {
        throw new Error("the disk is full");
      },
    ],
    ["rejects", () => Promise.reject(new Error("the disk is full"))],
    ["returns false", () => false],
    ["never ends", () => new Promise(() => undefined)],
  ])(
    "a check that %s makes the process not ready, and is not told to clients",
    async (_what, check) => {
      health.addCheck("mine", check, { timeout: 20 });
      const { status, headers, json, text } = await ready();
      expect(status).toBe(503);
      expect(headers["retry-after"]).toBe("1");
      expect(json.status).toBe("failing");
      expect(json.checks.mine).toMatchObject({
        status: "failed",
        critical: true,
      });
      expect(json.checks.redis.status).toBe("ok");
      expect(text).not.toContain("disk");
      expect((await live()).status).toBe(200);
    },
  );

  test("a check that is not critical is shown, and the process stays ready", async () => {
    health.addCheck("mine", () => false, { critical: false });
    const { status, json } = await ready();
    expect(status).toBe(200);
    expect(json.checks.mine).toMatchObject({
      status: "failed",
      critical: false,
    });
  });

  test("health.timeout bounds a check that names no time of its own", async () => {
    config.health.timeout = 20;
    health.addCheck("mine", () => new Promise(() => undefined));
    expect((await ready()).json.checks.mine.status).toBe("failed");
  });

  test("the log has one line when a check begins to fail, and one when it passes again", async () => {
    let isFailing = true;
    health.addCheck("mine", () => !isFailing);
    const lines = new LogLines();
    await ready();
    await ready();
    isFailing = false;
    await ready();
    await ready();
    lines.stop();
    expect(lines.matching(/health check/)).toEqual([
      "the health check `mine` fails: Error: it returned false",
      "the health check `mine` passes again",
    ]);
  });

  test("a server that is not ready also when only the redis of its queue is away", async () => {
    const set = jest
      .spyOn(api.redis.clients.tasks, "set")
      .mockRejectedValue(new Error("Connection is closed."));
    try {
      expect((await ready()).json.checks.redis.status).toBe("failed");
    } finally {
      set.mockRestore();
    }
  });

  test("however many ask, checks run once in health.cacheFor", async () => {
    let runs = 0;
    config.health.cacheFor = 600_000;
    health.addCheck("mine", () => void runs++);
    await Promise.all(Array.from({ length: 20 }, ready));
    await ready();
    expect(runs).toBe(1);
    health.addCheck("other", () => true); // is not missing for ten minutes
    expect(Object.keys((await ready()).json.checks)).toContain("other");
    expect(runs).toBe(2);
  });

  test("an event loop that stood still is not alive, and is again a second later", async () => {
    const end = performance.now() + 1_500;
    while (performance.now() < end); // blocks
    const { status, json } = await live();
    expect([status, json.status]).toEqual([503, "blocked"]);
    await until(async () => (await live()).status === 200);
  });

  test("hosts that are not allowed do not matter to it", async () => {
    config.web.allowedRequestHosts = ["https://site.com"];
    expect((await live()).status).toBe(200);
  });

  test("a process whose stop is delayed is not ready at once, also within cacheFor, and serves on", async () => {
    config.health.cacheFor = 600_000;
    expect((await ready()).status).toBe(200);
    config.general.drainDelay = 600_000;
    const stopFetching = jest.fn();
    const { multiWorker } = api.resque;
    api.resque.multiWorker = { stopFetching } as never;
    const delayed = app.process.delayStop();
    expect(stopFetching).toHaveBeenCalled();
    api.resque.multiWorker = multiWorker;
    const { status, json } = await ready();
    expect([status, json]).toEqual([503, { status: "stopping" }]);
    expect((await live()).status).toBe(200);
    expect((await app.ask("/api/work")).status).toBe(200);
    await app.process.delayStop(); // ends the wait
    await delayed;
    config.general.drainDelay = 0;
    expect((await ready()).status).toBe(503);
    app.process.isStopDelayed = false;
    expect((await ready()).status).toBe(200);
  });
});

test("the paths are files like others while health.enabled is off", async () => {
  app = await startWebApp();
  expect((await ready()).status).toBe(404);
  expect(api.health.answer).toBeUndefined();
  await app.stop();
});

test("a port of its own tells of the boot and of the stop, and the web server's does not", async () => {
  config.health.enabled = true;
  config.web.healthPort = await freePort();
  const probe = async (path: string) => {
    const { status, json } = await ask(config.web.healthPort!, path);
    return [status, json.status];
  };
  const main = new Process();
  await main.initialize();
  let go = () => {};
  const gate = () => new Promise<void>((resolve) => (go = resolve));
  let seen: unknown[][] = [];
  main.startInitializers.push(gate);
  main.stopInitializers.unshift(async () => {
    // on a busy machine the event loop may have stood still for a second just now
    await until(async () => {
      seen = [await probe("/readyz"), await probe("/healthz")];
      return seen[1][0] === 200;
    });
  });
  const started = main.start();
  await until(() =>
    probe("/readyz").then(
      ([status]) => status === 503,
      () => false,
    ),
  );
  expect(await probe("/readyz")).toEqual([503, "starting"]);
  expect(await probe("/healthz")).toEqual([200, "alive"]);
  await until(() => {
    go();
    return main.started;
  });
  await started;
  expect(await probe("/readyz")).toEqual([200, "ready"]);
  expect((await ask(config.web.healthPort, "/other")).status).toBe(404);
  await expectBoundOn(config.web.healthPort);
  const { port } = api.servers.servers.web.server.address();
  expect((await ask(port, "/readyz")).status).toBe(404);
  await main.stop();
  expect(seen).toEqual([
    [503, "stopping"],
    [200, "alive"],
  ]);
  await expect(probe("/healthz")).rejects.toThrow("ECONNREFUSED");
});

/** Connections beyond a few hundred are closed at once, and none that sends nothing stays for long. */
async function expectBoundOn(port: number): Promise<void> {
  const sockets = Array.from({ length: 300 }, () =>
    net
      .connect(port, "localhost")
      .on("error", () => undefined)
      .resume(),
  );
  const closed = () => sockets.filter((socket) => socket.closed).length;
  await until(() => closed() >= 44);
  await until(() => closed() === 300);
}

test("a port that is taken fails the boot", async () => {
  const other = http.createServer();
  await new Promise<void>((resolve) => other.listen(0, "::", resolve));
  config.health.enabled = true;
  config.web.healthPort = (other.address() as AddressInfo).port;
  await expect(new Process().start()).rejects.toThrow(
    `cannot listen for health checks @ :::${config.web.healthPort} =>`,
  );
  config.web.healthPort = undefined;
  config.health.enabled = false;
  await new Promise((resolve) => other.close(resolve));
});

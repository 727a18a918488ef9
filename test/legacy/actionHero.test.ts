/** actionHero.start, stop and restart, with their params. */
import type * as http from "node:http";
import type { AddressInfo } from "node:net";

process.env.PORT = "0";
process.env.AUTOMATIC_ROUTES = "get";

import { createActionHero, type ActionHero } from "../../src/legacy";
import { ask } from "../support/ask";
import { api, config, loggers, rebuildConfig } from "../../src/index";

let hero: ActionHero;
beforeEach(() => (hero = createActionHero()));
afterEach(async () => {
  await hero.stop();
  rebuildConfig();
});

const web = () => api.servers.servers.web.server as http.Server;
const get = (path: string) => ask((web().address() as AddressInfo).port, path);

test("callbacks and promises", async () => {
  const told: string[] = [];
  const given = await hero.start({}, (started) => {
    expect(started).toBe(api);
    told.push("started");
  });
  expect(given).toBe(api);
  expect(hero.api).toBe(api);
  expect((await get("/api/status")).status).toBe(200);
  await hero.restart((restarted) => {
    expect(restarted).toBe(api);
    told.push("restarted");
  });
  expect((await get("/api/status")).status).toBe(200);
  await hero.stop(() => told.push("stopped"));
  await hero.stop(() => told.push("stopped again"));
  expect(told).toEqual(["started", "restarted", "stopped", "stopped again"]);
  expect(api.running).toBe(false);
});

test("the callback may be the only argument", async () => {
  const started = jest.fn();
  await hero.start(started);
  expect(started).toHaveBeenCalledWith(api);
});

test("a server that runs, or starts, is not started again", async () => {
  const first = hero.start();
  await expect(hero.start()).rejects.toThrow("actionHero is already running");
  await first;
  await expect(hero.start()).rejects.toThrow("actionHero is already running");
  await hero.stop();
  await hero.start();
  expect(api.running).toBe(true);
});

test("a stop while it starts stops it when it has", async () => {
  const started = hero.start();
  await hero.stop();
  await started;
  expect(api.running).toBe(false);
});

test("nothing that was never started restarts", async () => {
  await expect(hero.restart()).rejects.toThrow("actionHero was not started");
});

describe("configChanges", () => {
  test("of the log last until the next start", async () => {
    const own = loggers.length;
    expect(own).toBeGreaterThan(0);
    await hero.start({ configChanges: { log: { logging: false } } });
    expect(loggers).toHaveLength(0);
    await hero.restart();
    expect(loggers).toHaveLength(0);
    await hero.stop();
    await hero.start();
    expect(loggers).toHaveLength(own);
  });

  test("of old and of today, again after a restart, and for this start only", async () => {
    const changes = {
      general: { serverName: "changed", workers: 2 },
      tcpServer: { enable: true, port: 0, bindIP: "127.0.0.1" },
      web: { metadataOptions: { requesterInformation: false } },
      errors: { unknownAction: () => "nobody knows it" },
      mine: { answer: 42 },
    };
    await hero.start({ configChanges: changes });
    for (let i = 0; i < 2; i++) {
      const { json } = await get("/api/nothing");
      expect(json.error).toBe("nobody knows it");
      expect(json.serverInformation.serverName).toBe("changed");
      expect(json).not.toHaveProperty("requesterInformation");
      expect(config.tasks.maxTaskProcessors).toBe(2);
      expect(config.mine.answer).toBe(42);
      expect(config.errors.genericError).toBeDefined();
      expect(api.servers.servers.socket.server.listening).toBe(true);
      await hero.restart();
    }
    await hero.stop();
    await hero.start();
    expect(config.general.serverName).not.toBe("changed");
    expect(config).not.toHaveProperty("mine");
  });
});

describe("initFunction", () => {
  test("runs when everything is loaded and nothing listens, at each start", async () => {
    const seen: unknown[] = [];
    await hero.start({
      initFunction: (given, next) => {
        seen.push(
          typeof given.actions.actions.status,
          web()?.listening ?? false,
        );
        setImmediate(next);
      },
    });
    expect(seen).toEqual(["object", false]);
    await hero.restart();
    expect(seen).toEqual(["object", false, "object", false]);
  });

  test("may return a promise", async () => {
    let isDone = false;
    await hero.start({
      initFunction: async () => {
        await new Promise(setImmediate);
        isDone = true;
      },
    });
    expect(isDone).toBe(true);
  });

  test("fails the start, which leaves nothing open", async () => {
    const failing = async () => Promise.reject(new Error("not today"));
    await expect(hero.start({ initFunction: failing })).rejects.toThrow(
      "not today",
    );
    expect(api.running).toBe(false);
    await hero.start();
    expect(api.running).toBe(true);
  });
});

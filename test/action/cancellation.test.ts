/** The `timeout` of actions and their `signal`, over each transport. */
import { EventEmitter, once } from "node:events";
import * as http from "node:http";
import { setTimeout as pause } from "node:timers/promises";
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
import { Action, action, api, config, type Process } from "../../src/index";
import { createOverload } from "../../src/overload/overload";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

const TEXT = "the action did not end within 50 ms";
const CODE = "AH_ACTION_TIMEOUT";

let app: Process;
const events = new EventEmitter();

const web = (path: string) => ask(webPort(), `/api${path}`);

beforeAll(async () => {
  app = await startSocketApp();
  addActions({
    obeys: {
      timeout: 50,
      run: async ({ signal }: any) => {
        signal.addEventListener("abort", () =>
          events.emit("aborted", signal.reason),
        );
        await pause(60_000, undefined, { signal });
      },
    },
    ignores: {
      timeout: 50,
      run: async ({ response, params }: any) => {
        await once(events, "goOn");
        response.late = true;
        if (params.action === "ignores") events.emit("ended");
        throw new Error("much too late");
      },
    },
    isQuick: {
      timeout: 50,
      run: ({ signal }: any) => {
        events.emit("signal", signal);
        return { quick: true };
      },
    },
    sendsItself: {
      timeout: 50,
      run: async (data: any) => {
        data.toRender = false;
        await once(events, "goOn");
      },
    },
    waitsInTimer: {
      run: async ({ signal }: any) => {
        events.emit("began");
        await pause(60_000, undefined, { signal });
      },
    },
    waitsForLeave: {
      run: async ({ signal }: any) => {
        const left = once(signal, "abort");
        events.emit("began");
        await left;
        events.emit("left", signal.reason);
        throw signal.reason;
      },
    },
    staysBehind: { timeout: 50, middleware: ["hangs"], run: () => ({}) },
  });
  action.addMiddleware({
    name: "hangs",
    global: false,
    preProcessor: () => once(events, "goOn"),
  });
});
afterEach(() => {
  events.emit("goOn");
});
afterAll(async () => {
  await closeAll();
  await app.stop();
});

describe("an action that takes longer than its timeout", () => {
  test("is answered with 503 and a code, and its signal is aborted with the same", async () => {
    const aborted = once(events, "aborted");
    const lines = new LogLines();
    const { status, json } = await web("/obeys");
    expect(status).toBe(503);
    expect(json).toMatchObject({ error: TEXT, code: CODE });
    const [reason] = await aborted;
    expect(reason).toMatchObject({ message: TEXT, code: CODE });
    await until(() => lines.lines.some(({ action }) => action === "obeys"));
    expect(lines.matching(/failed after its timeout/)).toEqual([]);
    lines.stop();
  });

  test("is answered over websockets and TCP, too", async () => {
    const client = await connectWebsocket();
    const peer = await SocketPeer.connect(socketPort());
    await peer.next();
    const replies = [await client.action("obeys"), await peer.ask("obeys")];
    for (const reply of replies)
      expect(reply).toMatchObject({
        context: "response",
        error: TEXT,
        code: CODE,
      });
    client.close();
  });

  test("gets a response when it ignores the signal, and its later errors are only logged", async () => {
    const lines = new LogLines();
    const { status, json } = await web("/ignores");
    expect(status).toBe(503);
    expect(json.late).toBeUndefined();
    events.emit("goOn");
    const line = await until(() =>
      lines.lines.find(({ message }) => /much too late/.test(message)),
    );
    expect(line).toMatchObject({ level: "notice", action: "ignores" });
    lines.stop();
  });

  test("gets a response when it would have sent its own", async () => {
    const { status, json } = await web("/sendsItself");
    expect([status, json.error]).toEqual([503, TEXT]);
  });

  test("fails when it is run in-line", async () => {
    await expect(action.run("ignores")).rejects.toMatchObject({
      code: "AH_ACTION",
      cause: expect.objectContaining({ code: CODE }),
    });
  });

  test("counts as running until it has really ended", async () => {
    config.general.overload = { maxInFlight: 1 };
    api.overload = createOverload();
    expect((await web("/ignores")).status).toBe(503);
    const refused = await web("/isQuick");
    expect(refused.json.error).toBe(
      "the server is overloaded, try again later",
    );
    events.emit("goOn");
    await until(async () => (await web("/isQuick")).status === 200);
    config.general.overload = null;
    api.overload = createOverload();
  });

  test("has the text of config.errors.timedOut", async () => {
    config.errors.timedOut = ({ action }: any, ms: number) =>
      `${action}: ${ms} ms are over`;
    const { status, json } = await web("/obeys");
    expect(status).toBe(503);
    expect(json).toMatchObject({ error: "obeys: 50 ms are over", code: CODE });
  });
});

test("the time of the middleware counts", async () => {
  const { status, json } = await web("/staysBehind");
  expect([status, json.error]).toEqual([503, TEXT]);
});

test("an action that ends in time is not aborted later", async () => {
  const seen = once(events, "signal");
  expect((await web("/isQuick")).json.quick).toBe(true);
  const [signal] = await seen;
  await pause(100);
  expect(signal.aborted).toBe(false);
});

describe("a client that leaves aborts the signal of its action", () => {
  const LEFT = { message: "the client has left", code: "AH_CLIENT_LEFT" };

  test.each(["waitsForLeave", "waitsInTimer"])(
    "over HTTP, whose action %s then fails without an error line or a report",
    async (name) => {
      const lines = new LogLines();
      const report = jest.spyOn(api.exceptionHandlers, "action");
      config.errors.clientErrorLogLevel = "info";
      const began = once(events, "began");
      const req = http.get({ port: webPort(), path: `/api/${name}` });
      req.on("error", () => undefined);
      await began;
      req.destroy();
      const line = await until(() =>
        lines.lines.find(({ action }) => action === name),
      );
      expect(line).toMatchObject({
        level: "info",
        error: `Error: ${LEFT.message}`,
      });
      expect(report).not.toHaveBeenCalled();
      report.mockRestore();
      lines.stop();
    },
  );

  test("over a websocket", async () => {
    const client = await connectWebsocket();
    const left = once(events, "left");
    const began = once(events, "began");
    client.action("waitsForLeave").catch(() => undefined);
    await began;
    client.close();
    expect((await left)[0]).toMatchObject(LEFT);
  });

  test("over TCP", async () => {
    const peer = await SocketPeer.connect(socketPort());
    await peer.next();
    const left = once(events, "left");
    const began = once(events, "began");
    peer.send("waitsForLeave");
    await began;
    await peer.close();
    expect((await left)[0]).toMatchObject(LEFT);
  });
});

test.each([0, -1, NaN, "500", 2 ** 31])(
  "a timeout of %p is refused",
  (timeout) => {
    class Odd extends Action {
      constructor() {
        super();
        this.name = "odd";
        this.description = "odd";
        this.timeout = timeout as number;
      }
      run() {}
    }
    expect(() => new Odd().validate()).toThrow(
      "the timeout of action `odd` must be a number of ms",
    );
  },
);

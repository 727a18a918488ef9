/** `context()` over each transport, in jobs and in-line calls: one id in the log lines, the response and what goes on. */
import { EventEmitter, once } from "node:events";
import { Agent, get } from "node:http";
import { setImmediate as turn } from "node:timers/promises";
import {
  closeAll,
  SocketPeer,
  startSocketApp,
  socketPort,
} from "../support/socketApp";
import { addTask, removeTask } from "../support/taskApp";
import { describeOnEachEngine } from "../support/engines";
import { LogLines } from "../support/logLines";
import { until } from "../support/until";
import { addActions, ask } from "../support/webApp";
import { connectWebsocket, webPort } from "../support/websocketClient";
import {
  action,
  api,
  chatRoom,
  config,
  context,
  HttpError,
  log,
  redis,
  specHelper,
  task,
  type Process,
  type WorkContext,
} from "../../src/index";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

const UUID = /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[\da-f]{4}-[\da-f]{12}$/;
const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const traceparent = `00-${TRACE}-00f067aa0ba902b7-01`;

let app: Process;
let lines: LogLines;
const jobs = new EventEmitter();
/** Jobs with the word "doomed" succeed. */
let isMended = false;

/** What code sees that is called without any argument. */
function seen() {
  const now = context();
  return now && { id: now.id, action: now.action, task: now.task };
}

const actions = {
  tell: {
    inputs: { word: {}, bulk: {} },
    run: async ({ connection, params }: any) => {
      const before = context();
      await turn();
      log(`the word is ${params.word}`);
      connection.session.word = params.word;
      return {
        ...seen(),
        isSame: before === context(),
        isOfConnection: context()?.connection === connection,
        isSession: context()?.session === connection.session,
      };
    },
  },
  outer: {
    run: async () => {
      const inner = await action.run("tell", undefined, { word: "inner" });
      const inline = await task.run<object>("seenInTask");
      return { inner, inline, outer: seen() };
    },
  },
  fail: {
    run: () => {
      throw new Error("this went wrong");
    },
  },
  named: {
    run: ({ connection }: any) => {
      connection.setHeader("x-request-id", "mine");
      return {};
    },
  },
  enqueue: {
    run: async () => {
      const { id } = context()!;
      const job = await task.enqueueJob("seenInTask", { word: "linked" });
      await task.enqueue("seenInTask", { word: "alone" });
      return { id, job };
    },
  },
};

const web = (path: string, headers = {}, method = "GET", body?: string) =>
  ask(webPort(), `/api${path}`, { headers, method, body });

/** The log lines of one id. */
const linesOf = (id: string) =>
  lines.lines.filter(({ requestId }) => requestId === id);

async function start(isOn: boolean, carryContext = false): Promise<void> {
  config.general.context = isOn;
  Object.assign(config.tasks, {
    carryContext,
    scheduler: true,
    timeout: 20,
    minTaskProcessors: 1,
    maxTaskProcessors: 1,
  });
  app = await startSocketApp();
  lines = new LogLines();
  addActions(actions);
  addTask({
    name: "seenInTask",
    inputs: { word: { required: false } },
    retry: { attempts: 2, delay: 1 },
    run: async ({ word }: any, worker: any) => {
      await turn();
      const now = { ...seen(), attempt: worker.job?.attempt ?? 1 };
      if (word === "again" && now.attempt === 1)
        throw new Error("not the first time");
      if (word === "doomed" && !isMended) throw new Error("never");
      jobs.emit(`ran:${word}`, now);
      return now;
    },
  });
}

async function stop(): Promise<void> {
  lines.stop();
  await closeAll();
  removeTask("seenInTask");
  await app.stop();
}

describe("with general.context", () => {
  beforeAll(() => start(true));
  afterAll(stop);

  test("an action over HTTP, its log lines and its response have one id", async () => {
    const { headers, json } = await web("/tell?word=plain");
    expect(json).toMatchObject({
      action: "tell",
      isSame: true,
      isOfConnection: true,
      isSession: true,
    });
    expect(json.id).toMatch(UUID);
    expect(headers["x-request-id"]).toBe(json.id);
    const own = await until(() => {
      const found = linesOf(json.id);
      return found.length === 2 && found;
    });
    expect(own.map(({ message }) => message)).toEqual([
      "the word is plain",
      "[ action @ web ]",
    ]);
  });

  test("the context is there after a body was read", async () => {
    const body = JSON.stringify({ word: "body", bulk: "x".repeat(200_000) });
    const headers = { "content-type": "application/json" };
    const answer = await web("/tell", headers, "POST", body);
    expect(answer.json.id).toBe(answer.headers["x-request-id"]);
    expect(answer.json.isSame).toBe(true);
  });

  test("requests at the same time do not see each other's context", async () => {
    const words = Array.from({ length: 20 }, (_, i) => `w${i}`);
    const answers = await Promise.all(
      words.map((word) => web(`/tell?word=${word}`)),
    );
    expect(new Set(answers.map(({ json }) => json.id)).size).toBe(20);
    for (const [i, { json, headers }] of answers.entries()) {
      expect(headers["x-request-id"]).toBe(json.id);
      expect(linesOf(json.id)[0].message).toBe(`the word is ${words[i]}`);
    }
  });

  test("errors, files, unknown actions, HEAD and OPTIONS have an X-Request-Id", async () => {
    const { port } = { port: webPort() };
    const answers = await Promise.all([
      web("/fail"),
      web("/nothing"),
      ask(port, "/public/none.html"),
      ask(port, "/index.html"),
      ask(port, "/api/tell", { method: "HEAD" }),
      ask(port, "/api/tell", { method: "OPTIONS" }),
    ]);
    const ids = answers.map(({ headers }) => headers["x-request-id"]);
    for (const id of ids) expect(id).toMatch(UUID);
    expect(new Set(ids).size).toBe(answers.length);
    const [failed] = ids as [string];
    const line = await until(() => linesOf(failed)[0]);
    expect(line).toMatchObject({
      level: "error",
      error: "Error: this went wrong",
    });
  });

  test("an X-Request-Id that the action sets stays", async () => {
    const { headers } = await web("/named");
    expect(headers["x-request-id"]).toBe("mine");
  });

  test("the connection is in the context of its create middleware", async () => {
    const found: unknown[] = [];
    api.connections.addMiddleware({
      name: "looks",
      create: async (connection) => {
        await turn();
        found.push(context()?.connection === connection);
      },
    });
    const { json } = await web("/tell");
    api.connections.globalMiddleware.length = 0;
    delete api.connections.middleware.looks;
    expect(found).toEqual([true]);
    expect(json.isSame).toBe(true);
  });

  describe("behind a trusted proxy", () => {
    beforeEach(() => {
      config.web.trustProxy = "loopback";
    });

    test.each<[string, Record<string, string | string[]>, string]>([
      [
        "an X-Request-Id",
        { "X-Request-Id": "Root=1-67891233-ab/c" },
        "Root=1-67891233-ab/c",
      ],
      ["a traceparent", { traceparent }, TRACE],
      [
        "an X-Request-Id before a traceparent",
        { "x-request-id": "a", traceparent },
        "a",
      ],
      [
        "a traceparent beside a useless X-Request-Id",
        { "x-request-id": "a b", traceparent },
        TRACE,
      ],
      [
        "a traceparent of a later version",
        { traceparent: `01${traceparent.slice(2)}-more` },
        TRACE,
      ],
    ])("%s is taken over", async (_what, headers, id) => {
      const answer = await web("/tell", headers);
      expect(answer.headers["x-request-id"]).toBe(id);
      expect(answer.json.id).toBe(id);
    });

    test.each<[string, Record<string, string | string[]>]>([
      ["an empty id", { "x-request-id": "" }],
      ["a long id", { "x-request-id": "a".repeat(129) }],
      ["an id with quotes", { "x-request-id": '"a"' }],
      ["an id with non-ASCII characters", { "x-request-id": "\u00e9" }],
      ["an X-Request-Id that came twice", { "x-request-id": ["a", "b"] }],
      [
        "a trace of zeros",
        { traceparent: `00-${"0".repeat(32)}-00f067aa0ba902b7-01` },
      ],
      ["a span of zeros", { traceparent: `00-${TRACE}-${"0".repeat(16)}-01` }],
      ["the version ff", { traceparent: `ff${traceparent.slice(2)}` }],
      [
        "a traceparent in upper case",
        { traceparent: traceparent.toUpperCase() },
      ],
      [
        "a traceparent that is too long",
        { traceparent: `${traceparent}-more` },
      ],
      [
        "a traceparent that is too short",
        { traceparent: traceparent.slice(0, -1) },
      ],
    ])("%s is replaced by a new id", async (_what, headers) => {
      const answer = await web("/tell", headers);
      expect(answer.headers["x-request-id"]).toMatch(UUID);
    });
  });

  test.each<[typeof config.web.trustProxy]>([
    [undefined],
    [false],
    ["192.0.2.0/24"],
  ])(
    "with web.trustProxy %j the ids of clients are ignored",
    async (trustProxy) => {
      config.web.trustProxy = trustProxy;
      const headers = { "x-request-id": "a", traceparent };
      const answer = await web("/tell", headers);
      expect(answer.headers["x-request-id"]).toMatch(UUID);
    },
  );

  test("action.run and task.run keep the id, and have an action and a task of their own", async () => {
    const { headers, json } = await web("/outer");
    const id = headers["x-request-id"];
    expect(json.inner).toMatchObject({
      id,
      action: "tell",
      isOfConnection: true,
    });
    expect(json.inline).toMatchObject({ id, task: "seenInTask" });
    expect(json.inline.action).toBeUndefined();
    expect(json.outer).toEqual({ id, action: "outer" });
  });

  test("action.run outside of any work has a context of its own", async () => {
    expect(context()).toBeUndefined();
    const response = await action.run("tell");
    expect(response).toMatchObject({ action: "tell", isOfConnection: true });
    expect(response.id).toMatch(UUID);
    expect(context()).toBeUndefined();
  });

  test("an action of the specHelper has a context", async () => {
    const response: any = await specHelper.runAction("tell");
    expect(response).toMatchObject({ action: "tell", isOfConnection: true });
  });

  test("each message of a websocket has an id of its own, also at the same time", async () => {
    const client = await connectWebsocket();
    const answers = await Promise.all(
      ["a", "b", "c"].map((word) => client.action("tell", { word })),
    );
    expect(new Set(answers.map(({ id }) => id)).size).toBe(3);
    for (const [i, answer] of answers.entries()) {
      expect(answer).toMatchObject({
        action: "tell",
        isSame: true,
        isOfConnection: true,
      });
      expect(linesOf(answer.id)[0].message).toBe(`the word is ${"abc"[i]}`);
    }
    client.close();
  });

  test("each line of a TCP client has an id of its own, also at the same time", async () => {
    const peer = await SocketPeer.connect(socketPort());
    await peer.next();
    for (const word of ["a", "b", "c"])
      peer.send(JSON.stringify({ action: "tell", params: { word } }));
    const answers = [await peer.next(), await peer.next(), await peer.next()];
    expect(new Set(answers.map(({ id }) => id)).size).toBe(3);
    for (const answer of answers) {
      expect(answer).toMatchObject({
        action: "tell",
        isSame: true,
        isOfConnection: true,
      });
      const [{ message }] = linesOf(answer.id);
      expect(message).toMatch(/^the word is [abc]$/);
    }
  });

  test("verbs over websockets and TCP have a context", async () => {
    const found: (WorkContext | undefined)[] = [];
    await chatRoom.addMiddleware({
      name: "looks",
      join: async () => {
        await turn();
        found.push(context());
      },
    });
    const client = await connectWebsocket();
    await client.request({ event: "roomAdd", room: "defaultRoom" });
    client.close();
    const peer = await SocketPeer.connect(socketPort());
    await peer.next();
    await peer.ask("roomAdd defaultRoom");
    api.chatRoom.globalMiddleware.length = 0;
    delete api.chatRoom.middleware.looks;
    const types = found.map((now) => now?.connection?.type);
    expect(types).toEqual(["websocket", "socket"]);
    expect(found[0]!.id).not.toBe(found[1]!.id);
  });

  test("a job of enqueueJob goes on with the id of its request, and a job of enqueue has its own", async () => {
    const linked = once(jobs, "ran:linked");
    const alone = once(jobs, "ran:alone");
    const { json } = await web("/enqueue");
    const [[first], [second]] = await Promise.all([linked, alone]);
    expect(first).toEqual({ id: json.id, task: "seenInTask", attempt: 1 });
    expect(second.task).toBe("seenInTask");
    expect(second.id).toMatch(UUID);
    expect(second.id).not.toBe(json.id);
    const line = await until(() =>
      linesOf(json.id).find(({ message }) => /task success/.test(message)),
    );
    expect(line.class).toBe("seenInTask");
  });

  test("a job that is tried again keeps the id, and its failure has it in the log", async () => {
    const ran = once(jobs, "ran:again");
    const { id } = await new Promise<{ id: string }>((resolve, reject) => {
      addActions({
        again: {
          run: async () => {
            await task.enqueueJob("seenInTask", { word: "again" });
            return { id: context()!.id };
          },
        },
      });
      web("/again").then(({ json }) => resolve(json), reject);
    });
    const [now] = await ran;
    expect(now).toEqual({ id, task: "seenInTask", attempt: 2 });
    const messages = linesOf(id).map((line) => JSON.stringify(line));
    expect(messages.join("\n")).toContain("not the first time");
  });

  test("a call to the cluster goes on with the id, and one from outside of any work or without a usable id has its own", async () => {
    const rpc = api as unknown as { seenInCall?: () => Promise<object> };
    rpc.seenInCall = async () => {
      await turn();
      log("in the call");
      return { ...seen() };
    };
    const call = () =>
      redis.doCluster<any>("api.seenInCall", [], undefined, true);
    addActions({ callOthers: { run: call } });
    const { json, headers } = await web("/callOthers");
    expect(json.id).toBe(headers["x-request-id"]);
    expect(linesOf(json.id)[0].message).toBe("in the call");

    expect((await call()).id).toMatch(UUID);
    for (const requestId of ["", 5, "a".repeat(129)]) {
      const before = lines.matching(/in the call/).length;
      await redis.publish({
        messageType: "do",
        serverToken: config.general.serverToken,
        messageId: "m",
        method: "api.seenInCall",
        requestId,
      });
      await until(() => lines.matching(/in the call/).length > before);
      const [line] = lines.lines
        .filter(({ message }) => message === "in the call")
        .slice(-1);
      expect(line.requestId).toMatch(UUID);
    }
    delete rpc.seenInCall;
  });

  test("a logger that is kept writes the id from anywhere", async () => {
    let kept: WorkContext | undefined;
    addActions({
      keep: {
        run: () => {
          kept = context();
        },
      },
    });
    const { headers } = await web("/keep");
    expect(context()).toBeUndefined();
    kept!.logger.warning("later", { a: 1 });
    const line = lines.lines.find(({ message }) => message === "later");
    expect(line).toMatchObject({
      level: "warning",
      a: 1,
      requestId: headers["x-request-id"],
    });
  });

  test("fields of log lines stay what they are", async () => {
    const error = Object.assign(new Error("broken"), { code: "E1" });
    addActions({
      speak: {
        run: () => {
          log("an error", "error", error);
          log("no fields", "notice", "text");
          log("own field", "notice", { requestId: "own" });
          log("styled", ["bold"], { a: 1 });
        },
      },
    });
    const { headers } = await web("/speak");
    const requestId = headers["x-request-id"];
    const line = (message: string) =>
      lines.lines.find((one) => one.message.startsWith(message));
    expect(line("an error")).toMatchObject({
      message: "an error broken",
      code: "E1",
      stack: error.stack,
      requestId,
    });
    expect(Object.keys(error)).toEqual(["code"]);
    expect(line("no fields")).toMatchObject({ requestId });
    expect(line("own field")).toMatchObject({ requestId: "own" });
    expect(line("styled")).toMatchObject({ a: 1, requestId });
  });

  test("a count of refusals, which are those of several requests, has no id", async () => {
    addActions({
      refuse: {
        run: () => {
          throw new HttpError(429, "not so fast");
        },
      },
    });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const line = await until(async () => {
      await ask(webPort(), "/api/refuse", { agent });
      return lines.lines.find(({ message }) =>
        /refused more actions/.test(message),
      );
    });
    agent.destroy();
    expect(line).not.toHaveProperty("requestId");
  });

  test.each(["HTTP", "websocket"])(
    "what an action logs when its client leaves has its id, over %s",
    async (transport) => {
      const waits = new Promise<void>((resolve) => {
        addActions({
          leaves: {
            run: ({ signal }: any) =>
              new Promise<void>((end) => {
                log(`waits for ${transport}`);
                resolve();
                signal.addEventListener("abort", () => {
                  log(`left by ${transport}`);
                  end();
                });
              }),
          },
        });
      });
      if (transport === "HTTP") {
        const request = get({ port: webPort(), path: "/api/leaves" });
        request.on("error", () => undefined);
        await waits;
        request.destroy();
      } else {
        const client = await connectWebsocket();
        void client.action("leaves").catch(() => undefined);
        await waits;
        client.close();
      }
      const line = (message: string) =>
        lines.lines.find((one) => one.message === message);
      const left = await until(() => line(`left by ${transport}`));
      expect(left.requestId).toBe(line(`waits for ${transport}`)!.requestId);
      expect(left.requestId).toMatch(UUID);
    },
  );

  test("the lines of the process itself have no id", () => {
    log("by itself", "notice", { a: 1 });
    const line = lines.lines.find(({ message }) => message === "by itself");
    expect(line).not.toHaveProperty("requestId");
  });
});

describeOnEachEngine("with tasks.carryContext", () => {
  /** Enqueues jobs in all ways that a task has. */
  const enqueueAll = async () => {
    await task.enqueue("seenInTask", { word: "now" });
    await task.enqueueIn(1, "seenInTask", { word: "in" });
    await task.enqueueAt(Date.now(), "seenInTask", { word: "at" });
    await task.enqueueMany("seenInTask", [{ word: "many" }]);
    await task.enqueueJob("seenInTask", { word: "job" });
  };

  beforeAll(async () => {
    await start(true, true);
    addActions({
      enqueueAll: { run: enqueueAll },
      enqueueAgain: {
        run: () =>
          task.enqueue("seenInTask", { word: "again" }).then(() => ({})),
      },
      enqueueDoomed: {
        run: async ({ params }: any) => {
          isMended = false;
          if (params.word === "job")
            await task.enqueueJob("seenInTask", { word: "doomed" });
          else await task.enqueue("seenInTask", { word: "doomed" });
          return {};
        },
        inputs: { word: {} },
      },
      enqueueLater: {
        run: async () => {
          const later = Date.now() + 100_000;
          await task.enqueue("seenInTask", { word: "x" }, "paused");
          await task.enqueueMany("seenInTask", [{ word: "x" }], "paused");
          await task.enqueueAt(later, "seenInTask", { word: "x" }, "paused");
        },
      },
      enqueueRecurring: {
        run: () => task.enqueue("recurring").then(() => ({})),
      },
    });
  });
  afterAll(async () => {
    await stop();
    config.tasks.carryContext = false;
  });

  test("jobs of enqueue, enqueueIn, enqueueAt, enqueueMany and enqueueJob go on with the id of their request", async () => {
    const words = ["now", "in", "at", "many", "job"];
    const ran = words.map((word) => once(jobs, `ran:${word}`));
    const { headers } = await web("/enqueueAll");
    const id = headers["x-request-id"] as string;
    const expected = { id, task: "seenInTask", attempt: 1 };
    for (const run of ran) expect(await run).toEqual([expected]);
    const done = await until(() => {
      const found = linesOf(id).filter(({ message }) =>
        /task success/.test(message),
      );
      return found.length === words.length && found;
    });
    expect(done[0].class).toBe("seenInTask");
  });

  test("another attempt of such a job has the id, too", async () => {
    const ran = once(jobs, "ran:again");
    const { headers } = await web("/enqueueAgain");
    const id = headers["x-request-id"];
    expect((await ran)[0]).toEqual({ id, task: "seenInTask", attempt: 2 });
  });

  test.each(["plain", "job"])(
    "a %s job that failed finally has the id again when it is retried by hand",
    async (kind) => {
      const { headers } = await web(`/enqueueDoomed?word=${kind}`);
      const [entry] = await until(async () => {
        const found = await task.failed();
        return found.length === 1 && found;
      });
      expect(entry).toMatchObject({ attempts: 2 });
      isMended = true;
      const ran = once(jobs, "ran:doomed");
      await task.retryAndRemoveFailed(entry);
      const id = headers["x-request-id"];
      expect((await ran)[0]).toEqual({ id, task: "seenInTask", attempt: 1 });
    },
  );

  test("a job that is enqueued outside of any work has an id of its own, and its text is that of version 29", async () => {
    await task.pause("paused");
    await task.enqueue("seenInTask", { word: "alone" }, "paused");
    const { store } = api.resque.queue.connection;
    expect(await store.jobs("paused", 0, -1)).toEqual([
      '{"class":"seenInTask","queue":"paused","args":[{"word":"alone"}]}',
    ]);
    const ran = once(jobs, "ran:alone");
    await task.resume("paused");
    expect((await ran)[0].id).toMatch(UUID);
  });

  test("a run of a recurring task has an id of its own, even when it is enqueued by hand", async () => {
    addTask({
      name: "recurring",
      frequency: 1_000_000,
      run: async () => void jobs.emit("ran:recurring", seen()),
    });
    const ran = once(jobs, "ran:recurring");
    const { headers } = await web("/enqueueRecurring");
    const [now] = await ran;
    removeTask("recurring");
    expect(now.id).toMatch(UUID);
    expect(now.id).not.toBe(headers["x-request-id"]);
  });

  test("queued, del, scheduledAt and delDelayed find such jobs by their inputs alone", async () => {
    await task.pause("paused");
    await web("/enqueueLater");
    await web("/enqueueLater"); // another id, and another second or an error
    const inputs = { word: "x" };
    const bare = { class: "seenInTask", queue: "paused", args: [inputs] };
    const queued = await task.queued("paused");
    expect(queued.length).toBeGreaterThanOrEqual(3);
    expect(queued[0]).toEqual(bare);
    expect(Object.values(await task.allDelayed()).flat()[0]).toEqual(bare);
    const due = await task.scheduledAt("paused", "seenInTask", inputs);
    expect(due.length).toBeGreaterThanOrEqual(1);
    const found = await task.delDelayed("paused", "seenInTask", inputs);
    expect(found.sort()).toEqual(due.sort());
    expect(await task.scheduledAt("paused", "seenInTask", inputs)).toEqual([]);
    expect(await task.del("paused", "seenInTask", inputs, 1)).toBe(1);
    expect(await task.delByFunction("paused", "seenInTask", 0, 0)).toBe(1);
    expect(await task.del("paused", "seenInTask", inputs)).toBe(
      queued.length - 2,
    );
    await task.resume("paused");
  });
});

describe("without general.context", () => {
  beforeAll(() => start(false));
  afterAll(stop);

  test("there is no context, no header and no field, also when the setting changes later", async () => {
    config.general.context = true;
    config.web.trustProxy = "loopback";
    const ran = once(jobs, "ran:alone");
    const { json, headers } = await web("/tell?word=off", {
      "x-request-id": "a",
    });
    expect(headers).not.toHaveProperty("x-request-id");
    expect(json.id).toBeUndefined();
    await task.enqueue("seenInTask", { word: "alone" });
    expect((await ran)[0]).toEqual({ attempt: 1 });
    const publish = jest.spyOn(redis, "publish");
    await redis.doCluster("api.log", ["from a node"]);
    const [[sent]] = publish.mock.calls;
    expect(JSON.parse(JSON.stringify(sent))).not.toHaveProperty("requestId");
    publish.mockRestore();
    expect(lines.matching(/the word is off/)).toHaveLength(1);
    for (const line of lines.lines)
      expect(line).not.toHaveProperty("requestId");
  });
});

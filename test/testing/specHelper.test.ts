process.env.AUTOMATIC_ROUTES = "";
process.env.PORT = "0";

import { api, config, Process, specHelper, id } from "../../src/index";
import { Queue } from "../../src/resque/queue";

const app = new Process();

beforeAll(async () => {
  await app.start();
});

afterAll(async () => {
  await app.stop();
});

function addAction(name: string, template: object) {
  api.actions.actions[name] = {
    1: { name, version: 1, description: name, ...template } as never,
  };
  api.actions.versions[name] = [1];
}

describe("connections", () => {
  test("the welcome is their first message", async () => {
    const connection = await specHelper.buildConnection();
    await new Promise((resolve) => setImmediate(resolve));
    expect(connection.messages).toEqual([
      { welcome: config.general.welcomeMessage, context: "api" },
    ]);
    expect(connection).toMatchObject({
      type: "testServer",
      fingerprint: connection.id,
      remoteIP: "testServer",
      remotePort: 0,
      canChat: true,
    });
    expect(api.connections.connections[connection.id]).toBe(connection);
  });

  test("createAsync makes one, too", async () => {
    const connection = await api.specHelper.Connection!.createAsync();
    expect(connection.type).toBe("testServer");
  });

  test("keep every message they are sent", async () => {
    const connection = await specHelper.buildConnection();
    await connection.sendMessage({ hello: "there" });
    await specHelper.runAction("randomNumber", connection);
    expect(connection.messages).toHaveLength(3);
    expect(connection.messages![1]).toEqual({ hello: "there" });
    expect(connection.messages![2].randomNumber).toBeGreaterThanOrEqual(0);
  });

  test("know the verbs of persistent connections", async () => {
    const connection = await specHelper.buildConnection();
    const details = await connection.verbs("detailsView");
    expect(details.id).toBe(connection.id);
    await expect(connection.verbs("documentation")).rejects.toThrow(
      "verb not found or not allowed (documentation)",
    );
  });
});

describe("runAction", () => {
  test("runAction returns the response and the requester's details", async () => {
    const params: Record<string, unknown> = { a: 1 };
    const response = await specHelper.runAction("randomNumber", params);
    expect(response.randomNumber).toBeGreaterThanOrEqual(0);
    expect(response.error).toBeUndefined();
    expect(response.messageId).toMatch(/^[0-9a-f-]{36}$/);
    expect(response.serverInformation).toEqual({
      serverName: config.general.serverName,
      apiVersion: config.general.apiVersion,
    });
    expect(response.requesterInformation).toMatchObject({
      remoteIP: "testServer",
      receivedParams: { action: "randomNumber", apiVersion: 1 },
    });
    expect(response.requesterInformation!.receivedParams).not.toHaveProperty(
      "a",
    );
    expect(params.action).toBe("randomNumber");
  });

  test("params after formatters are what is shown as received", async () => {
    addAction("double", {
      inputs: { n: { formatter: (n: string) => Number(n) * 2 } },
      run: async ({ params }: any) => ({ n: params.n }),
    });
    const response = await specHelper.runAction("double", { n: "4" });
    expect(response.n).toBe(8);
    expect(response.requesterInformation!.receivedParams.n).toBe(8);
  });

  test("errors are texts with `Error: ` before them", async () => {
    const missing = await specHelper.runAction("cacheTest", {});
    expect(missing.error).toMatch(/^Error: /);
    const unknown = await specHelper.runAction("nothing");
    expect(unknown.error).toBe("Error: unknown action or invalid apiVersion");
  });

  test("an error that is an object stays one", async () => {
    addAction("teapot", {
      inputs: {
        pot: {
          default: "tea",
          validator: () => ({ code: 418, reason: "short and stout" }),
        },
      },
      run: () => undefined,
    });
    const { error } = await specHelper.runAction("teapot");
    expect(error).toEqual({ code: 418, reason: "short and stout" });
  });

  test("texts and lists are sent as they are, an error in their place", async () => {
    addAction("text", { run: (data: any) => void (data.response = "a text") });
    addAction("list", { run: (data: any) => void (data.response = [1, 2]) });
    addAction("badText", {
      run: (data: any) => {
        data.response = "a text";
        throw new Error("some error");
      },
    });
    expect(await specHelper.runAction("text")).toBe("a text");
    expect(await specHelper.runAction("list")).toEqual([1, 2]);
    expect(await specHelper.runAction("badText")).toBe("Error: some error");
  });

  test("the caller's message id is kept", async () => {
    const response = await specHelper.runAction("randomNumber", {
      messageId: "mine",
    });
    expect(response.messageId).toBe("mine");
  });

  test("answers of one connection find who asked", async () => {
    addAction("echo", {
      inputs: { wait: {} },
      run: async ({ params }: any) => {
        await new Promise((resolve) => setTimeout(resolve, params.wait));
        return { waited: params.wait };
      },
    });
    const connection = await specHelper.buildConnection();
    connection.params = { wait: 30 };
    const slow = specHelper.runAction("echo", connection);
    connection.params = { wait: 0 };
    const fast = specHelper.runAction("echo", connection);
    expect((await fast).waited).toBe(0);
    expect((await slow).waited).toBe(30);
  });

  test("without metadata there is only the response", async () => {
    addAction("bare", { run: () => ({ only: "this" }) });
    api.specHelper.returnMetadata = false;
    try {
      expect(await specHelper.runAction("bare")).toEqual({ only: "this" });
    } finally {
      api.specHelper.returnMetadata = true;
    }
  });

  test("an action that sends a file answers with the file", async () => {
    addAction("aFile", {
      run: async (data: any) => {
        data.toRender = false;
        await data.connection.sendFile("simple.html");
      },
    });
    const { content, mime } = await specHelper.runAction("aFile");
    expect(mime).toBe("text/html");
    expect(content).toContain("<");
  });

  test("a broken serializer is an answer, too", async () => {
    const { servers } = config.errors.serializers as any;
    const saved = servers.specHelper;
    servers.specHelper = () => {
      throw new Error("cannot serialize");
    };
    try {
      const { error } = await specHelper.runAction("nothing");
      expect(String(error)).toBe("Error: cannot serialize");
    } finally {
      servers.specHelper = saved;
    }
  });
});

describe("getStaticFile", () => {
  test("getStaticFile returns content, type and length", async () => {
    const file = await specHelper.getStaticFile("simple.html");
    expect(file.error).toBeUndefined();
    expect(file.mime).toBe("text/html");
    expect(Buffer.byteLength(file.content!)).toBe(file.length);
  });

  test("the error of a file that is not there", async () => {
    const file = await specHelper.getStaticFile("nothing.html");
    expect(file).toEqual({
      content: null,
      mime: "text/html",
      length: 22,
      error: "that file is not found",
    });
  });
});

describe("tasks", () => {
  const saved = { tasks: api.tasks, resque: api.resque };
  let queue: Queue;
  const ran: unknown[] = [];

  beforeAll(async () => {
    const connection = { redis: api.redis.clients.tasks };
    queue = new Queue({ connection });
    await queue.connect();
    saved.tasks = api.tasks;
    saved.resque = api.resque;
    api.resque = { connectionDetails: connection, queue } as any;
    api.tasks = {
      tasks: {
        hello: {
          queue: "greetings",
          run: async (params: any, worker: unknown) => {
            if (params.fail) throw new Error("no hello");
            return { hello: params.name, worker };
          },
        },
      },
      jobs: {
        hello: {
          perform: async (params: any) => {
            ran.push(params);
            if (params.fail) throw new Error("no hello");
            return { hello: params.name, full: true };
          },
        },
      },
    } as any;
  });

  afterAll(async () => {
    await queue.delQueue("greetings");
    await queue.end();
    Object.assign(api, saved);
  });

  test("runTask calls run alone", async () => {
    expect(await specHelper.runTask("hello", { name: "Ada" })).toEqual({
      hello: "Ada",
      worker: undefined,
    });
    await expect(specHelper.runTask("hello", { fail: true })).rejects.toThrow(
      "no hello",
    );
    await expect(specHelper.runTask("nothing", {})).rejects.toThrow(
      "task nothing not found",
    );
    await expect(specHelper.runTask("constructor", {})).rejects.toThrow(
      "task constructor not found",
    );
  });

  test("runFullTask runs the job as a worker does", async () => {
    expect(await specHelper.runFullTask("hello", { name: "Ada" })).toEqual({
      hello: "Ada",
      full: true,
    });
    expect(await specHelper.runFullTask("hello", [{ name: "Bob" }])).toEqual({
      hello: "Bob",
      full: true,
    });
    await expect(
      specHelper.runFullTask("hello", { fail: true }),
    ).rejects.toThrow("no hello");
    expect(ran).toEqual([{ name: "Ada" }, { name: "Bob" }, { fail: true }]);
  });

  test("finds and deletes what is enqueued, waiting and delayed", async () => {
    const args = [{ name: "Ada" }];
    await queue.enqueue("greetings", "hello", args);
    await queue.enqueue("greetings", "other", args);
    const due = Math.ceil(Date.now() / 1000) * 1000 + 60_000;
    await queue.enqueueAt(due, "greetings", "hello", args);
    expect(await specHelper.findEnqueuedTasks("hello")).toEqual([
      { class: "hello", queue: "greetings", args, timestamp: null },
      { class: "hello", queue: "greetings", args, timestamp: due },
    ]);

    await specHelper.deleteEnqueuedTasks("hello", { name: "Ada" });
    expect(await specHelper.findEnqueuedTasks("hello")).toEqual([]);
    expect(await specHelper.findEnqueuedTasks("other")).toHaveLength(1);
  });
});

test("a stop ends the connections of the specHelper; without a server it says what is missing", async () => {
  await specHelper.buildConnection();
  const destroyed: string[] = [];
  api.connections.addMiddleware({
    name: "watch",
    destroy: ({ id }) => destroyed.push(id),
  });
  const open = Object.keys(api.connections.connections);
  expect(id).toBe(`test-server-${process.env.JEST_WORKER_ID}`);

  await app.stop();
  expect(destroyed.sort()).toEqual(open.sort());
  expect(api.connections.connections).toEqual({});

  delete api.servers.servers.testServer;
  await expect(specHelper.runAction("randomNumber")).rejects.toThrow(
    "the specHelper needs a started Process, with NODE_ENV=test",
  );
  await app.start(); // and again
  const { randomNumber } = await specHelper.runAction("randomNumber");
  expect(randomNumber).toBeLessThan(1);
});

/** Actions and tasks whose inputs are a schema, on every transport, and the list of all that is wrong. */
import { z } from "zod";
import { SocketPeer, closeAll } from "../support/socketApp";
import { LogLines } from "../support/logLines";
import { startWebApp, addActions, type WebApp } from "../support/webApp";
import {
  connectWebsocket,
  type WebsocketClient,
} from "../support/websocketClient";
import {
  action,
  api,
  config,
  file,
  rebuildConfig,
  specHelper,
  task,
  Task,
  UploadedFile,
  withFiles,
} from "../../src/index";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

let app: WebApp;
let websocket: WebsocketClient;
let socket: SocketPeer;

const show = z.object({
  id: z.int(),
  tags: z.array(z.string()).optional(),
  address: z.object({ city: z.string(), zip: z.number() }).optional(),
});

class Work extends Task {
  override name = "schemaWork";
  override description = "a task with a schema";
  override inputs = z.object({
    id: z.int(),
    at: z.coerce.date(),
    more: z.string().default("none"),
  });
  async run(params: object) {
    return params;
  }
}

beforeAll(async () => {
  Object.assign(config.socket, { port: 0, bindIP: "127.0.0.1" });
  config.web.uploads = "declared";
  app = await startWebApp();
  addActions({
    show: { inputs: show, run: ({ params }) => ({ params }) },
    table: {
      inputs: {
        id: { required: true },
        size: { validator: (size: string) => Number(size) > 0 },
        address: { schema: { city: { required: true } } },
      },
      run: ({ params }) => ({ params }),
    },
    nested: {
      inputs: { where: { schema: z.object({ zip: z.number() }) } },
      run: ({ params }) => ({ params }),
    },
    rates: {
      inputs: z.object({ rates: z.record(z.string(), z.number()) }),
      run: () => ({}),
    },
    broken: {
      inputs: z.object({ id: z.string() }).transform(() => {
        throw new Error("a broken schema");
      }),
      run: () => ({}),
    },
    list: {
      inputs: z.object({ id: z.string() }).transform(({ id }) => [id]),
      run: () => ({}),
    },
    date: {
      output: z.object({ at: z.date() }),
      run: () => ({ at: new Date(0) }),
    },
    bigint: {
      output: z.object({ value: z.any() }),
      run: () => ({ value: 1n }),
    },
    circle: {
      output: z.object({ value: z.any() }),
      run: () => {
        const value: Record<string, unknown> = {};
        value.self = value;
        return { value };
      },
    },
    picture: {
      inputs: withFiles(z.object({ title: z.string(), size: z.int() }), {
        picture: file({ maxSize: 10, types: ["image/*"], required: true }),
      }),
      run: ({ params }) => ({
        isFile: params.picture instanceof UploadedFile,
        size: params.size,
      }),
    },
  });
  api.routes.routes.get.push({ path: "/users/:id", action: "show" });
  api.routes.routes.post.push({ path: "/users/:id", action: "show" });
  api.tasks.tasks.schemaWork = new Work();
  api.tasks.jobs.schemaWork = api.tasks.jobWrapper("schemaWork");
  websocket = await connectWebsocket();
  socket = await SocketPeer.connect();
  await socket.next(); // the welcome
});

afterAll(async () => {
  websocket.close();
  await closeAll();
  await app.stop();
  rebuildConfig();
});

const JSON_HEADERS = { "content-type": "application/json" };

function post(path: string, body: unknown) {
  return app.ask(path, {
    method: "POST",
    headers: JSON_HEADERS,
    body: JSON.stringify(body),
  });
}

describe("params", () => {
  test("of a query and a path are coerced, and unknown ones are dropped", async () => {
    const { json, status } = await app.ask(
      "/api/users/7?tags=a&address[city]=Oslo&address[zip]=150&unknown=1",
    );
    expect(status).toBe(200);
    expect(json.params).toMatchObject({
      id: 7,
      tags: ["a"],
      address: { city: "Oslo", zip: 150 },
      action: "show",
    });
    expect(json.params).not.toHaveProperty("unknown");
  });

  test("of a form are coerced", async () => {
    const { json } = await app.ask("/api/show", {
      method: "POST",
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body: "id=7",
    });
    expect(json.params.id).toBe(7);
  });

  test("of a JSON body are taken as they are, and the path counts as text beside them", async () => {
    expect((await post("/api/show", { id: 7 })).json.params.id).toBe(7);
    expect((await post("/api/show", { id: "7" })).json.error).toMatch(/^id: /);
    const routed = await post("/api/users/7", { id: 9, tags: ["a"] });
    expect(routed.json.params).toMatchObject({ id: 7, tags: ["a"] });
    const mixed = await post("/api/show?id=7", { tags: "a" });
    expect(mixed.json.errors).toEqual([
      { path: "tags", code: "invalid_type", message: expect.any(String) },
    ]);
  });

  test("of a websocket are taken as they are", async () => {
    const good = await websocket.action("show", { id: 7 });
    expect(good.params.id).toBe(7);
    const bad = await websocket.action("show", { id: "7" });
    expect(bad.errors).toMatchObject([{ path: "id", code: "invalid_type" }]);
  });

  test("of TCP are coerced if they came by paramAdd, and not in JSON", async () => {
    await socket.ask("paramAdd id=7");
    expect((await socket.ask("show")).params.id).toBe(7);
    const line = (params: object) =>
      socket.ask(JSON.stringify({ action: "show", params }));
    expect((await line({ id: 7 })).params.id).toBe(7);
    expect((await line({ id: "7" })).error).toMatch(/^id: /);
    await socket.ask("paramsDelete");
  });

  test("of code and of tests are taken as they are", async () => {
    const { params } = await action.run("show", 1, { id: 7 });
    expect(params.id).toBe(7);
    await expect(action.run("show", 1, { id: "7" })).rejects.toThrow("id: ");
    const { errors } = await specHelper.runAction("show", { id: "7" });
    expect(errors).toMatchObject([{ path: "id" }]);
  });

  test.each(["1e400", "", "%205%20", "1.5", "0x10"])(
    "a number written as %j is refused",
    async (id) => {
      const { json, status } = await app.ask(`/api/show?id=${id}`);
      expect(json.errors).toMatchObject([{ path: "id" }]);
      expect(status).toBe(500);
    },
  );

  test("a list of 10,000 is a list", async () => {
    const tags = Array.from({ length: 10_000 }, (_, index) => `t${index}`);
    const { json } = await post("/api/show", { id: 1, tags });
    expect(json.params.tags).toHaveLength(10_000);
    const query = tags.slice(0, 1000).map((tag) => `tags[]=${tag}`);
    const asked = await app.ask(`/api/show?id=1&${query.join("&")}`);
    expect(asked.json.params.tags).toHaveLength(1000);
  });

  test("keys that are named like a prototype change nothing", async () => {
    const body = '{"id": 1, "__proto__": {"x": 1}, "constructor": 2}';
    const { json } = await app.ask("/api/show", {
      method: "POST",
      headers: JSON_HEADERS,
      body,
    });
    expect(json.params).toEqual({
      id: 1,
      action: "show",
      apiVersion: 1,
    });
  });

  test("a schema within a table checks its value, coerced", async () => {
    const good = await app.ask("/api/nested?where[zip]=5");
    expect(good.json.params.where).toEqual({ zip: 5 });
    const bad = await app.ask("/api/nested?where[zip]=x");
    expect(bad.json.errors).toMatchObject([{ path: "where.zip" }]);
    const text = await post("/api/nested", { where: { zip: "5" } });
    expect(text.json.error).toMatch(/^where\.zip: /);
  });

  test("a schema that throws, or makes no object, is an error of the server", async () => {
    const { status, json } = await app.ask("/api/broken?id=1");
    expect(status).toBe(500);
    expect(json).not.toHaveProperty("errors");
    const list = await app.ask("/api/list?id=1");
    expect(list.status).toBe(500);
    expect(list.json.error).toBe("the schema of the inputs makes no object");
  });
});

describe("a response with an output schema", () => {
  const answers = (name: string) => [
    app.ask(`/api/${name}`).then(({ json }) => json as object),
    websocket.action(name, {}),
    socket.ask(name),
  ];

  test("has its Date as a text on every transport", async () => {
    for (const answer of await Promise.all(answers("date")))
      expect(answer).toMatchObject({ at: "1970-01-01T00:00:00.000Z" });
  });

  test.each([
    ["bigint", /BigInt/],
    ["circle", /circular/],
  ])(
    "that holds a %s is an error on every transport, and the next call is answered",
    async (name, text) => {
      const log = new LogLines();
      for (const answer of await Promise.all(answers(name))) {
        expect(answer).not.toHaveProperty("value");
        expect(answer).toHaveProperty("error");
      }
      expect(log.at("error", text).length).toBeGreaterThan(0);
      log.stop();
      for (const answer of await Promise.all(answers("date")))
        expect(answer).toHaveProperty("at");
    },
  );
});

describe("files beside a schema", () => {
  function upload(type: string, bytes: string, fields: object) {
    const boundary = "b";
    const parts = Object.entries(fields).map(
      ([name, value]) =>
        `--b\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
    );
    parts.push(
      `--b\r\ncontent-disposition: form-data; name="picture"; filename="p"\r\ncontent-type: ${type}\r\n\r\n${bytes}\r\n--b--\r\n`,
    );
    return app.ask("/api/picture", {
      method: "POST",
      headers: { "content-type": `multipart/form-data; boundary=${boundary}` },
      body: parts.join(""),
    });
  }

  test("are checked with it", async () => {
    const { json } = await upload("image/png", "bytes", {
      title: "a",
      size: "5",
    });
    expect(json).toMatchObject({ isFile: true, size: 5 });
    const bad = await upload("image/png", "bytes", { size: "x" });
    expect(bad.json.errors).toMatchObject([
      { path: "title", code: "missing" },
      { path: "size" },
    ]);
  });

  test("have the limits of file()", async () => {
    const fields = { title: "a", size: "5" };
    expect((await upload("text/html", "x", fields)).status).toBe(415);
    expect((await upload("image/png", "x".repeat(11), fields)).status).toBe(
      413,
    );
    const none = await post("/api/picture", { title: "a", size: 5 });
    expect(none.json.errors).toMatchObject([{ path: "picture" }]);
    const text = await websocket.action("picture", {
      title: "a",
      size: 5,
      picture: { size: 1 },
    });
    expect(text.error).toBe(
      'Input for parameter "picture" is not an uploaded file',
    );
  });
});

describe("the list of errors", () => {
  test("has missing and bad params together, and error is the first missing one", async () => {
    const { json, status } = await post("/api/show", {
      tags: "a",
      address: { zip: "x" },
    });
    expect(status).toBe(422);
    expect(json.error).toBe("id is a required parameter for this action");
    expect(json.errors).toEqual([
      {
        path: "id",
        code: "missing",
        message: "id is a required parameter for this action",
      },
      {
        path: "tags",
        code: "invalid_type",
        message: "Invalid input: expected array, received string",
      },
      {
        path: "address.city",
        code: "missing",
        message: "address.city is a required parameter for this action",
      },
      {
        path: "address.zip",
        code: "invalid_type",
        message: "Invalid input: expected number, received string",
      },
    ]);
  });

  test("is the same on every transport", async () => {
    const params = { tags: "a" };
    const answers = [
      (await post("/api/show", params)).json,
      await websocket.action("show", params),
      await socket.ask(JSON.stringify({ action: "show", params })),
      await specHelper.runAction("show", { ...params }),
    ];
    const [first, ...others] = answers.map(({ errors }) => errors);
    expect(first).toHaveLength(2);
    for (const errors of others) expect(errors).toEqual(first);
  });

  test("is there for tables only with web.listErrors", async () => {
    const before = await app.ask("/api/table?size=0&address[x]=1");
    expect(before.json).not.toHaveProperty("errors");
    config.web.listErrors = true;
    const { json, status } = await app.ask("/api/table?size=0&address[x]=1");
    expect(status).toBe(422);
    expect(json.error).toBe(before.json.error);
    expect(json.errors).toEqual([
      {
        path: "id",
        code: "missing",
        message: "id is a required parameter for this action",
      },
      {
        path: "size",
        code: "invalid",
        message: 'Input for parameter "size" failed validation!',
      },
      {
        path: "address.city",
        code: "missing",
        message: "address.city is a required parameter for this action",
      },
    ]);
  });

  test("repeats no more than the beginning of a long name", async () => {
    const rates = { ["k".repeat(100_000)]: "high" };
    const { json } = await app.ask("/api/rates", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ rates }),
    });
    expect(json.errors[0].path).toBe(`rates.${"k".repeat(250)}...`);
    const { error, errors } = json; // beside what it echoes of the request
    expect(JSON.stringify({ error, errors }).length).toBeLessThan(2_000);
  });

  test("has the texts of config.errors", async () => {
    config.errors.missingParams = async (_data, [name]) => `no ${name}`;
    config.errors.invalidParams = () => ({ message: "bad", more: 1 });
    const { json } = await post("/api/show", { tags: "a" });
    expect(json.error).toBe("no id");
    expect(json.errors.map(({ message }: any) => message)).toEqual([
      "no id",
      "bad",
    ]);
  });

  test("has the status that web.errorStatus names", async () => {
    const before = await post("/api/show", { id: "x" });
    expect(before.status).toBe(500);
    config.web.errorStatus.invalidParams = 422;
    expect((await post("/api/show", { id: "x" })).status).toBe(422);
  });
});

describe("a task with a schema", () => {
  test("is checked when it is enqueued, and keeps what was given", async () => {
    await task.enqueue("schemaWork", { id: 1, at: "2026-01-01", other: 1 });
    const [job] = await task.queued("default", 0, -1);
    expect(job.args[0]).toEqual({ id: 1, at: "2026-01-01" });
    await task.delQueue("default");
    await expect(task.enqueue("schemaWork", { id: 1.5 })).rejects.toThrow(
      "at is a required input for task schemaWork",
    );
    await expect(
      task.enqueue("schemaWork", { id: 1.5, at: 0 }),
    ).rejects.toMatchObject({
      code: "AH_TASK",
      message: expect.stringMatching(/^id: /),
      errors: [{ path: "id" }],
    });
  });

  test("gets what the schema makes of it", async () => {
    const inputs = { id: 1, at: "2026-01-01" };
    expect(await specHelper.runTask("schemaWork", inputs)).toEqual({
      id: 1,
      at: "2026-01-01",
    });
    expect(await specHelper.runFullTask("schemaWork", inputs)).toEqual({
      id: 1,
      at: new Date("2026-01-01"),
      more: "none",
    });
  });
});

test("the swagger document and the verb documentation describe a schema as a table", async () => {
  const swagger = await specHelper.runAction("swagger");
  const { parameters } = swagger.paths["/users/{id}"].get;
  expect(parameters.map(({ name, in: place }: any) => [name, place])).toEqual([
    ["address", "query"],
    ["id", "path"],
    ["tags", "query"],
  ]);
  socket.send("documentation");
  const { data } = await socket.next();
  expect(Object.keys(data.documentation.show[1].inputs)).toEqual([
    "id",
    "tags",
    "address",
  ]);
});

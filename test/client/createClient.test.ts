/** `createClient` over HTTP, websocket and TCP, against a real server. */
process.env.PORT = "0";
process.env.AUTOMATIC_ROUTES = "get,post";

import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as http from "node:http";
import * as https from "node:https";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import * as qs from "qs";
import { z } from "zod";
import {
  ActionError,
  ClientError,
  createClient,
  createHttpClient,
  type Client,
  type CreateClientOptions,
} from "../../src/client/node";
import {
  action,
  api,
  auth,
  chatRoom,
  config,
  type Connection,
  file,
  HttpError,
  withFiles,
} from "../../src/index";
import { certificate } from "../support/certificate";
import { freePort } from "../support/freePort";
import { LogLines } from "../support/logLines";
import { until } from "../support/until";
import { addActions, startWebApp, type WebApp } from "../support/webApp";

let app: WebApp;
let tcpPort: number;
/** Responses of actions that then fail. */
const begun: Record<string, unknown> = {
  list: [1],
  text: "assigned",
  bytes: Buffer.from("assigned"),
  numbers: new Uint8Array([1]),
  number: 5,
  model: { toJSON: () => ({ assigned: true }) },
  object: {},
};
/** Ends the calls of "gate". */
const gates: (() => void)[] = [];
let release: (() => void) | undefined;
type Procedure = (params: object) => Promise<unknown>;
const clients: { close(): void }[] = [];
const servers: net.Server[] = [];

beforeAll(async () => {
  config.general.sayObjects = true;
  config.session.enabled = true;
  Object.assign(config.socket, {
    enabled: true,
    port: 0,
    bindIP: "127.0.0.1",
  });
  app = await startWebApp();
  tcpPort = (api.servers.servers.socket.server!.address() as AddressInfo).port;
  let payments = 0;
  action.addMiddleware({
    name: "payer",
    global: false,
    preProcessor: ({ session }) => {
      session.user = { id: "ann" };
    },
  });
  action.addMiddleware({
    name: "bearer",
    global: false,
    preProcessor: (data) => {
      data.session.token = auth.bearerToken(data);
    },
  });
  addActions({
    echo: {
      inputs: { text: { required: true }, list: {}, nested: {} },
      run: ({ params }) => ({
        text: params.text,
        list: params.list,
        nested: params.nested,
      }),
    },
    list: { run: (data) => void (data.response = [1]) },
    text: { run: (data) => void (data.response = "one") },
    huge: { run: () => ({ count: 1n }) },
    caller: {
      run: ({ connection }) => ({ fingerprint: connection.fingerprint }),
    },
    declined: { run: () => ({ paid: false, failure: "card declined" }) },
    "user:show": {
      inputs: { id: { formatter: Number } },
      run: ({ params }) => ({ id: params.id }),
    },
    pay: {
      idempotent: true,
      inputs: { amount: {} },
      middleware: ["payer"],
      run: () => ({ payment: ++payments }),
    },
    order: {
      inputs: z.object({
        shelf: z.int(),
        address: z.object({ city: z.string() }),
      }),
      run: () => ({}),
    },
    bearer: {
      middleware: ["bearer"],
      run: ({ session }) => ({ token: (session.token as string) ?? null }),
    },
    put: {
      inputs: { value: {} },
      run: ({ store, params }) => {
        store.set("kept", params.value as never);
        return { token: store.token };
      },
    },
    kept: {
      run: ({ store }) => ({ value: store.get("kept") ?? null }),
    },
    held: { run: () => new Promise<void>((resolve) => (release = resolve)) },
    gate: {
      run: () => new Promise<void>((resolve) => gates.push(resolve)),
    },
    refuses: {
      run: () => {
        throw Object.assign(new Error("not today"), { code: 418 });
      },
    },
    late: {
      timeout: 20,
      run: ({ signal }) =>
        new Promise<void>((resolve) =>
          signal.addEventListener("abort", () => resolve()),
        ),
    },
    secret: {
      run: () => {
        throw new HttpError(401, "please sign in");
      },
    },
    gone: {
      inputs: { begun: { formatter: (name: string) => begun[name] } },
      run: (data) => {
        data.response = data.params.begun;
        throw new HttpError(404, "gone");
      },
    },
    upload: {
      inputs: { picture: {}, pictures: {}, title: {} },
      run: ({ params }) => {
        const contentOf = (upload: { filepath: string } | undefined) =>
          upload && fs.readFileSync(upload.filepath, "utf8");
        return {
          title: params.title,
          name: params.picture?.originalFilename,
          content: contentOf(params.picture),
        };
      },
    },
    note: {
      inputs: withFiles(
        z.object({
          note: z.string().nullable().optional(),
          num: z.number().nullable().optional(),
          either: z.union([z.number(), z.string()]).optional(),
          on: z.boolean().optional(),
          list: z.array(z.string()).optional(),
          obj: z.record(z.string(), z.string()).optional(),
          any: z.any().optional(),
          at: z.coerce.date().optional(),
          nested: z
            .object({
              a: z.string().nullable(),
              l: z.array(z.object({ x: z.int() })),
            })
            .optional(),
        }),
        { pic: file() },
      ),
      run: ({
        params: { action: _action, apiVersion: _version, pic, ...params },
      }) => ({
        params,
        size: pic?.size,
      }),
    },
    mail: {
      inputs: { messageId: { required: true } },
      run: ({ params }) => ({ subject: `about ${params.messageId}` }),
    },
    names: { run: () => ({ messageId: "m-77", context: "user", ok: true }) },
    model: {
      run: () => ({ toJSON: () => ({ messageId: "m-77", ok: true }) }),
    },
    cookie: {
      run: ({ connection }) => {
        const { req, res } = connection.rawConnection;
        const before = req.headers.cookie ?? null;
        res.setHeader("Set-Cookie", "visited=yes; Path=/");
        return { before, token: req.headers["x-token"] ?? null };
      },
    },
  });
});

afterEach(async () => {
  release?.();
  for (const client of clients.splice(0)) client.close();
  for (const server of servers.splice(0))
    await new Promise((resolve) => server.close(resolve));
});

afterAll(() => app.stop());

function open(
  url: string,
  options: Partial<CreateClientOptions> = {},
): Client<any, object> {
  const client = createClient<any>({
    url,
    reconnect: { min: 10, max: 50 },
    ...options,
  });
  clients.push(client);
  return client;
}

/** A server that is not an actionhero server. */
async function serve(listener: http.RequestListener): Promise<string> {
  const server = http.createServer(listener).listen(0, "127.0.0.1");
  servers.push(server);
  await new Promise((resolve) => server.once("listening", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Bytes instead of HTTP. */
async function serveRaw(onData: (socket: net.Socket) => void): Promise<string> {
  const server = net.createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => onData(socket));
  });
  server.listen(0, "127.0.0.1");
  servers.push(server);
  await new Promise((resolve) => server.once("listening", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const urls = {
  http: () => app.url,
  ws: () => app.url.replace("http", "ws"),
  tcp: () => `tcp://127.0.0.1:${tcpPort}`,
};

describe.each(Object.entries(urls))("over %s", (scheme, url) => {
  /** Over HTTP, no calls wait for a connection. */
  const testOnConnection = (title: string, body: () => Promise<void>) => {
    if (scheme !== "http") test(title, body);
  };

  test("a call returns the response, without the server's metadata", async () => {
    const client = open(url());
    const params = { text: "a&b=ü", list: [1], nested: { a: { b: "c" } } };
    await expect(client.call("echo", params)).resolves.toEqual(params);
  });

  test("a response may have a field named failure", async () => {
    await expect(open(url()).call("declined")).resolves.toEqual({
      paid: false,
      failure: "card declined",
    });
  });

  test("actions are properties, and a colon in a name is a level", async () => {
    const client = open(url());
    await expect(client.echo({ text: "x" })).resolves.toEqual({ text: "x" });
    await expect(client.user.show({ id: "7" })).resolves.toEqual({ id: 7 });
    await expect(client.call("user:show@1", { id: 8 })).resolves.toEqual({
      id: 8,
    });
  });

  test("properties that the language reads are not calls", async () => {
    const client = open(url());
    const { user } = client as unknown as { user: { show: Procedure } };
    for (const name of [user, user.show] as unknown as string[])
      expect([`${name}`, name + "", [name].join()].join()).toContain(
        "function",
      );
    const show = { id: "7" };
    await expect(user.show.call(undefined, show)).resolves.toEqual({ id: 7 });
    await expect(user.show.apply(null, [show])).resolves.toEqual({ id: 7 });
    await expect(user.show.bind(null)(show)).resolves.toEqual({ id: 7 });
    expect((user as { then?: unknown }).then).toBeUndefined();
  });

  test("a response that is not an object is in `data`", async () => {
    const client = open(url());
    await expect(client.call("list")).resolves.toEqual({ data: [1] });
    await expect(client.call("text")).resolves.toEqual({ data: "one" });
  });

  test("a response that JSON cannot express is the same error", async () => {
    await expect(open(url()).call("huge")).rejects.toMatchObject({
      name: "ActionError",
      message: "Do not know how to serialize a BigInt",
    });
  });

  test("the status of an HttpError is known, and is no code", async () => {
    await expect(open(url()).call("secret")).rejects.toMatchObject({
      name: "ActionError",
      status: 401,
      code: undefined,
      message: "please sign in",
    });
  });

  test.each(Object.keys(begun))(
    "an action that fails after it assigned a response (%s) responds with the error only",
    async (name) => {
      config.web.strictHttp = true;
      try {
        const call = open(url()).call("gone", { begun: name });
        const error = await call.catch((e: unknown) => e);
        expect(error).toBeInstanceOf(ActionError);
        expect(error).toMatchObject({ status: 404, message: "gone" });
        const response = (error as ActionError).response;
        expect(JSON.stringify(response)).not.toMatch(/assigned|Buffer/);
      } finally {
        config.web.strictHttp = false;
      }
    },
  );

  test("a version that does not exist is an error", async () => {
    const call = open(url()).call("echo@9", { text: "x" });
    await expect(call).rejects.toThrow("unknown action or invalid apiVersion");
  });

  test("params never choose the action, its version, the session or the caller", async () => {
    const client = open(url());
    const names = [
      "action",
      "apiVersion",
      "action[]",
      "action[x]",
      "sessionToken",
      "accessToken",
      "[accessToken]",
      "idempotencyKey",
    ];
    for (const name of names)
      await expect(
        client.call("echo", { text: "x", [name]: "refuses" }),
      ).rejects.toMatchObject({
        code: "UNSUPPORTED",
        message: expect.stringContaining(`${name} is no param`),
      });
    const call = client.call("echo", { text: "x", action: undefined });
    await expect(call).resolves.toEqual({ text: "x" });
  });

  test("no brackets or dots in the name of a field choose the action", async () => {
    const client = open(url());
    const signs = ["", "[", "]", ".", "[]", "x"];
    const names = signs.flatMap((first) =>
      signs.flatMap((second) =>
        signs.flatMap((third) => [
          `${first}${second}action${third}`,
          `${first}apiVersion${second}${third}x`,
        ]),
      ),
    );
    const chooses = (name: string) =>
      [false, true].some((allowDots) => {
        const fields = qs.parse({ [name]: "x" } as never, { allowDots });
        return "action" in fields || "apiVersion" in fields;
      });
    const choosing = names.filter(chooses);
    expect(choosing).toContain("[action]");
    for (const name of choosing)
      await expect(
        client.call("echo", { text: "x", [name]: "refuses" }),
      ).rejects.toMatchObject({ code: "UNSUPPORTED" });
  });

  test("the bearer token is that of the call, else that of the client", async () => {
    await expect(open(url()).call("bearer")).resolves.toEqual({ token: null });
    const client = open(url(), { accessToken: "of-client" });
    await expect(client.call("bearer")).resolves.toEqual({
      token: "of-client",
    });
    await expect(
      client.call("bearer", {}, { accessToken: "of-call" }),
    ).resolves.toEqual({ token: "of-call" });
    let asked = 0;
    const renewing = open(url(), { accessToken: async () => `t${++asked}` });
    for (const token of ["t1", "t2"])
      await expect(renewing.call("bearer")).resolves.toEqual({ token });
  });

  test("null is no token, as a page reads it from localStorage", async () => {
    const none = open(url(), { accessToken: () => null, sessionToken: null });
    const some = open(url(), { accessToken: "of-client" });
    await expect(none.call("bearer")).resolves.toEqual({ token: null });
    await expect(
      some.call("bearer", {}, { accessToken: null }),
    ).resolves.toEqual({ token: null });
  });

  test("a token that cannot be read fails the call", async () => {
    const accessToken = () => Promise.reject(new Error("no token today"));
    const call = open(url(), { accessToken }).call("bearer");
    await expect(call).rejects.toThrow("no token today");
  });

  test("the session is that of the option sessionToken, where there are no cookies", async () => {
    const { token } = await open(url()).call("put", { value: "tea" });
    const client = open(url(), { sessionToken: () => token });
    const call = client.call("kept");
    if (scheme === "http")
      await expect(call).rejects.toMatchObject({ code: "UNSUPPORTED" });
    else await expect(call).resolves.toEqual({ value: "tea" });
  });

  test("the session is not an option of a call, since it stays with the connection", async () => {
    const options = { sessionToken: "of another user" } as object;
    await expect(open(url()).call("kept", {}, options)).rejects.toMatchObject({
      code: "UNSUPPORTED",
    });
  });

  testOnConnection(
    "a user who signs out, and the next one, do not act in the session before",
    async () => {
      const put = async (value: string) =>
        (await open(url()).call("put", { value })).token as string;
      const tokens = [await put("tea"), await put("milk")];
      let token: string | null = tokens[0];
      const client = open(url(), { sessionToken: () => token });
      await expect(client.call("kept")).resolves.toEqual({ value: "tea" });
      token = null;
      await expect(client.call("kept")).resolves.toEqual({ value: null });
      token = tokens[1]!;
      await expect(client.call("kept")).resolves.toEqual({ value: "milk" });
    },
  );

  test("the param of session tokens may have another name", async () => {
    const client = open(url(), { sessionParam: "ticket" });
    await expect(client.call("kept", { ticket: "x" })).rejects.toMatchObject({
      code: "UNSUPPORTED",
    });
    await expect(client.call("kept", { sessionToken: "x" })).resolves.toEqual({
      value: null,
    });
  });

  test("a call with a known idempotency key gets the response of the first", async () => {
    const client = open(url());
    const pay = (idempotencyKey?: string) =>
      client.call("pay", { amount: 5 }, { idempotencyKey });
    const first = await pay(`key-${scheme}`);
    expect(first).toEqual({ payment: expect.any(Number) });
    await expect(pay(`key-${scheme}`)).resolves.toEqual(first);
    await expect(pay()).resolves.not.toEqual(first);
  });

  test("a messageId is a param as others are, or refused", async () => {
    const client = open(url());
    const calls = ["a", "a", 1].map((messageId) =>
      client.call("mail", { messageId }),
    );
    if (scheme === "tcp")
      for (const call of calls)
        await expect(call).rejects.toMatchObject({ code: "UNSUPPORTED" });
    else
      await expect(Promise.all(calls)).resolves.toEqual([
        { subject: "about a" },
        { subject: "about a" },
        { subject: "about 1" },
      ]);
  });

  test("a response with the names of the envelope is an answer", async () => {
    const client = open(url());
    for (const name of ["names", "model"])
      await expect(client.call(name)).resolves.toEqual({ ok: true });
  });

  test("an error of the server is an ActionError", async () => {
    const client = open(url());
    const error = await client.call("refuses").catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ActionError);
    expect(error).toMatchObject({ message: "not today", errors: [] });
    expect((error as ActionError).response).toMatchObject({
      error: "not today",
    });
    if (scheme === "http") expect(error).toMatchObject({ status: 418 });
    await expect(client.call("echo")).rejects.toThrow(
      "text is a required parameter for this action",
    );
  });

  test("the timeout of an action has the same code and status on every transport", async () => {
    await expect(open(url()).call("late")).rejects.toMatchObject({
      code: "AH_ACTION_TIMEOUT",
      status: 503,
    });
  });

  test("all problems of a call are listed, and its code is that of the one which its message describes", async () => {
    const params = { shelf: true, address: {} };
    const error: unknown = await open(url())
      .call("order", params)
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      message: "address.city is a required parameter for this action",
      status: 422,
      code: "missing",
      errors: [
        { path: "shelf", code: "invalid_type" },
        { path: "address.city", code: "missing" },
      ],
    });
  });

  test("an abort in flight rejects with its reason, and other calls continue", async () => {
    const client = open(url());
    const controller = new AbortController();
    const held = client.call("held", {}, { signal: controller.signal });
    await until(() => release !== undefined);
    controller.abort(new Error("enough"));
    await expect(held).rejects.toThrow("enough");
    await expect(client.echo({ text: "x" })).resolves.toEqual({ text: "x" });
    const late = client.call("echo", {}, { signal: controller.signal });
    await expect(late).rejects.toThrow("enough");
  });

  test("a call without a response in time is an error", async () => {
    const client = open(url());
    await client.connect();
    const held = client.call("held", {}, { timeout: 50 });
    await expect(held).rejects.toMatchObject({
      name: "ClientError",
      code: "TIMEOUT",
    });
  });

  test("more calls at once than a connection may have in progress wait for their turn, in order", async () => {
    const client = open(url());
    const texts = Array.from({ length: 40 }, (_, index) => `${index}`);
    const ended: string[] = [];
    const calls = texts.map(async (text) => {
      const response = await client.echo({ text });
      ended.push(text);
      return response;
    });
    await expect(Promise.all(calls)).resolves.toEqual(
      texts.map((text) => ({ text })),
    );
    if (scheme !== "http") expect(ended).toEqual(texts);
  });

  testOnConnection(
    "an aborted call has its turn until the server is done with it",
    async () => {
      const client = open(url(), { queueSize: 2 });
      await client.connect();
      const controller = new AbortController();
      const { signal } = controller;
      gates.length = 0;
      const held = Array.from({ length: 5 }, () =>
        client
          .call("gate", {}, { signal })
          .catch((error: Error) => error.message),
      );
      await until(() => gates.length === 5);
      controller.abort(new Error("enough"));
      expect(new Set(await Promise.all(held))).toEqual(new Set(["enough"]));
      const next = [client.echo({ text: "a" }), client.echo({ text: "b" })];
      await expect(client.call("echo", { text: "c" })).rejects.toMatchObject({
        code: "UNREACHABLE",
        message: "too many calls wait for the connection",
      });
      for (const open of gates) open();
      await expect(Promise.all(next)).resolves.toEqual([
        { text: "a" },
        { text: "b" },
      ]);
    },
  );

  testOnConnection(
    "calls that wait for their turn end with their time, and with the client",
    async () => {
      const client = open(url(), { simultaneousCalls: 1 });
      gates.length = 0;
      const first = client.call("gate");
      await until(() => gates.length === 1);
      await expect(
        client.call("echo", { text: "x" }, { timeout: 20 }),
      ).rejects.toMatchObject({
        code: "UNREACHABLE",
        message: "echo waited for other calls",
      });
      const others = [first, client.call("echo", { text: "y" })];
      client.close();
      for (const call of others)
        await expect(call).rejects.toMatchObject({ code: "CLOSED" });
      for (const open of gates) open();
    },
  );

  testOnConnection(
    "a call whose time is over keeps its turn while the server works on it, and others are not refused",
    async () => {
      const client = open(url());
      await client.connect();
      gates.length = 0;
      const late = Array.from({ length: 5 }, () =>
        client
          .call("gate", {}, { timeout: 50 })
          .catch((e: ClientError) => e.code),
      );
      expect(await Promise.all(late)).toEqual(Array<string>(5).fill("TIMEOUT"));
      await until(() => gates.length === 5);
      const next = Array.from({ length: 10 }, (_, n) =>
        client.echo({ text: String(n) }),
      );
      for (const open of gates) open();
      await expect(Promise.all(next)).resolves.toHaveLength(10);
    },
  );

  test("a timeout beyond the longest timer is not the shortest", async () => {
    const long = 30 * 86_400_000;
    const client = open(url(), { timeout: long });
    release = undefined;
    const held = client.call("held", {}, { timeout: long });
    await until(() => release !== undefined);
    release!();
    await expect(held).resolves.toEqual({});
  });

  test("a server that is away is an error, with its cause", async () => {
    const port = await freePort();
    const away = url().replace(/:\d+$/, `:${port}`);
    const client = open(away, { timeout: 300, retries: 0 });
    const error = await client.call("echo").catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ClientError);
    expect(error).toMatchObject({
      code: "UNREACHABLE",
      cause: expect.objectContaining({ message: expect.any(String) }),
    });
    if (scheme === "http") return;
    await expect(client.connect()).rejects.toMatchObject({
      code: "UNREACHABLE",
      cause: expect.objectContaining({ message: expect.any(String) }),
    });
  });

  test("params that JSON cannot represent are an error at once", async () => {
    const client = open(url());
    const circle: Record<string, unknown> = {};
    circle.self = circle;
    for (const text of [circle, 10n])
      await expect(client.call("echo", { text })).rejects.toMatchObject({
        code: "UNSUPPORTED",
        message: expect.stringContaining("cannot be written as JSON"),
      });
    await expect(client.echo({ text: "x" })).resolves.toEqual({ text: "x" });
  });

  test("awaiting the client itself is not a call", async () => {
    const client = open(url());
    expect(await Promise.resolve(client)).toBe(client);
  });
});

describe.each(Object.entries(urls).slice(1))(
  "a connection over %s",
  (scheme, url) => {
    test("a loss fails the calls in progress only; those that wait for their turn are made on the next connection", async () => {
      const client = open(url(), { reconnect: { min: 50, max: 50 } });
      await client.connect();
      gates.length = 0;
      const connections = () => Object.keys(api.connections.connections).length;
      const lost = Array.from({ length: 5 }, () =>
        client.call("gate").catch((error: ClientError) => error.code),
      );
      await until(() => gates.length === 5);
      const waiting = Array.from({ length: 30 }, (_, n) =>
        client.echo({ text: String(n) }),
      );
      cutAll();
      expect(await Promise.all(lost)).toEqual(
        Array<string>(5).fill("CONNECTION_LOST"),
      );
      await expect(Promise.all(waiting)).resolves.toEqual(
        Array.from({ length: 30 }, (_, n) => ({ text: String(n) })),
      );
      for (const open of gates) open();
      await until(() => connections() === 1);
    });

    test("is the same caller after a reconnect, if it has cookies", async () => {
      config.web.fingerprintOptions.on = "actions"; // as in new projects
      config.web.fingerprintOptions.signed = true;
      const client = open(url(), { reconnect: { min: 10, max: 50 } });
      const before = await client.call("caller");
      cutAll();
      const isAnswered = () => client.call("caller").catch(() => undefined);
      let after: unknown;
      await until(async () => (after = await isAnswered()) !== undefined);
      if (scheme === "ws") expect(after).toEqual(before);
      else expect(after).not.toEqual(before);
      config.web.fingerprintOptions.on = "all";
      config.web.fingerprintOptions.signed = false;
    });

    test("receives messages of its rooms", async () => {
      const [alice, bob] = [open(url()), open(url())];
      const heard: unknown[] = [];
      const end = alice.rooms.on("defaultRoom", (said) => heard.push(said));
      await alice.rooms.join("defaultRoom");
      await bob.rooms.join("defaultRoom");
      const { membersCount } = await bob.rooms.view("defaultRoom");
      expect(membersCount).toBe(2);
      await bob.rooms.say("defaultRoom", "hello there");
      await until(() => heard.length === 1);
      expect(heard[0]).toMatchObject({
        message: "hello there",
        room: "defaultRoom",
      });
      end();
      await alice.rooms.leave("defaultRoom");
      expect((await bob.rooms.view("defaultRoom")).membersCount).toBe(1);
    });

    test("says objects, and texts of several lines, in rooms of any name", async () => {
      const room = "my room";
      await chatRoom.add(room);
      const client = open(url());
      const heard: unknown[] = [];
      client.rooms.on(room, ({ message }) => heard.push(message));
      await client.rooms.join(room);
      await client.rooms.say(room, { title: "it works" });
      await client.rooms.say(room, "two\nlines");
      await until(() => heard.length === 2);
      expect(heard).toEqual([{ title: "it works" }, "two\nlines"]);
      await client.rooms.leave(room);
      await chatRoom.destroy(room);
    });

    test("refuses a room that does not exist", async () => {
      await chatRoom.addMiddleware({
        name: "guard",
        join: () => {
          throw new HttpError(403, "members only");
        },
      });
      const kept = open(url()).rooms.join("defaultRoom");
      await expect(kept).rejects.toMatchObject({
        name: "ActionError",
        status: 403,
        code: undefined,
        response: expect.objectContaining({ code: 403 }),
      });
      api.chatRoom.middleware = {};
      api.chatRoom.globalMiddleware = [];

      await chatRoom.addMiddleware({
        name: "guard",
        join: () => {
          // as errors of other libraries, such as http-errors
          throw Object.assign(new Error("gone"), { expose: true, status: 410 });
        },
      });
      const gone = open(url()).rooms.join("defaultRoom");
      await expect(gone).rejects.toMatchObject({ status: 410 });
      api.chatRoom.middleware = {};
      api.chatRoom.globalMiddleware = [];

      const refused = open(url()).rooms.join("nowhere");
      await expect(refused).rejects.toBeInstanceOf(ActionError);
      await expect(refused).rejects.toThrow(/^room does not exist$/);
    });

    test("reconnects into its rooms; pending calls fail", async () => {
      const client = open(url());
      await client.rooms.join("defaultRoom");
      const events: string[] = [];
      client.on("disconnected", () => events.push("disconnected"));
      client.on("connected", () => events.push("connected"));
      release = undefined;
      const held = client.call("held");
      await until(() => release !== undefined);
      cutAll();
      await expect(held).rejects.toMatchObject({ code: "CONNECTION_LOST" });
      await until(() => events.includes("connected"));
      expect(events).toEqual(["disconnected", "connected"]);
      const { membersCount } = await client.rooms.view("defaultRoom");
      expect(membersCount).toBe(1);
      expect(client.state).toBe("connected");
    });

    test("when closed, it fails waiting calls, and reconnects for the next call", async () => {
      const client = open(url());
      await client.connect();
      release = undefined;
      const held = client.call("held");
      await until(() => release !== undefined);
      client.close();
      await expect(held).rejects.toMatchObject({ code: "CLOSED" });
      expect(client.state).toBe("disconnected");
      await expect(client.echo({ text: "x" })).resolves.toEqual({ text: "x" });
    });
  },
);

function onServer(): Connection[] {
  return Object.values(api.connections.connections);
}

/** Close all connections as a network that is gone. */
function cutAll(): void {
  for (const connection of onServer()) {
    const { rawConnection } = connection;
    if (connection.type === "socket") rawConnection.destroy();
    if (connection.type === "websocket")
      rawConnection.end(undefined, { reconnect: true });
  }
}

describe("files", () => {
  test.each(["http", "ws"] as const)(
    "go over HTTP from a client over %s",
    async (scheme) => {
      const client = open(urls[scheme]());
      const picture = new File(["the content"], "über.txt", {
        type: "text/plain",
      });
      await expect(
        client.call("upload", { picture, title: "a title" }),
      ).resolves.toEqual({
        title: "a title",
        name: "über.txt",
        content: "the content",
      });
    },
  );

  test("params without a name select no other action", async () => {
    config.web.formBrackets = true;
    const picture = new File(["x"], "a.txt");
    for (const params of [
      { "": { action: "refuses" } },
      { "": { apiVersion: "7" } },
      { "]": { action: "refuses" } },
    ])
      await expect(
        open(urls.http()).call("upload", { picture, title: "mine", ...params }),
      ).resolves.toMatchObject({ title: "mine" });
    config.web.formBrackets = false;
  });

  test.each<[string, object]>([
    ["null", { note: null }],
    ["a null number", { num: null }],
    ["an empty list", { list: [] }],
    ["a list", { list: ["a", "b"] }],
    ["a list of one", { list: ["a"] }],
    ["an empty object", { obj: {} }],
    ["an object", { obj: { a: "1", "b[c]": "2", 7: "3" } }],
    ["a number where a text is possible, too", { either: 5 }],
    ["digits where a number is possible, too", { either: "5" }],
    ["a boolean", { on: false }],
    ["a nested null and empty list", { nested: { a: null, l: [] } }],
    ["nested objects", { nested: { a: "", l: [{ x: 1 }, { x: 2 }] } }],
    ["anything", { any: [null, { a: 1 }] }],
    ["lines and quotes", { note: 'a\nb\r\n"c"' }],
    ["a text that looks like JSON", { note: '{"a":1}' }],
    ["undefined", { note: undefined }],
    ["a date", { at: new Date(7) }],
  ])(
    "params beside a file arrive as without one: %s",
    async (_what, params) => {
      for (const isBracketed of [true, false]) {
        config.web.formBrackets = isBracketed;
        try {
          const client = open(app.url);
          const alone = await client.call("note", params);
          const isForm =
            isBracketed || !/list|nested/.test(JSON.stringify(params));
          if (!isForm) continue; // brackets are part of the name
          const pics = [
            new File(["1234"], "a.png"),
            { stream: new Blob(["1234"]).stream(), name: "a.png" },
          ];
          for (const pic of pics)
            await expect(
              client.call("note", { ...params, pic }),
            ).resolves.toEqual({ ...alone, size: 4 });
        } finally {
          config.web.formBrackets = false;
        }
      }
    },
  );

  test("params beside a file that JSON cannot represent are an error", async () => {
    await expect(
      open(app.url).call("note", { any: 1n, pic: new Blob(["x"]) }),
    ).rejects.toMatchObject({ code: "UNSUPPORTED" });
  });

  test("files can be sent as a stream", async () => {
    async function* chunks() {
      yield Buffer.from("the ");
      yield Buffer.from("content");
    }
    const picture = { stream: chunks(), name: 'a"b.txt', type: "text/plain" };
    await expect(
      open(app.url).call("upload", { picture, title: "x" }),
    ).resolves.toMatchObject({ content: "the content", title: "x" });
  });

  test("in a form with files params do not choose the action either", async () => {
    const picture = new Blob(["x"]);
    await expect(
      open(app.url).call("upload", { picture, action: "refuses" }),
    ).rejects.toMatchObject({ code: "UNSUPPORTED" });
  });

  test("that are streams are sent once: a busy server's answer is handed out", async () => {
    let count = 0;
    const url = await serve((req, res) => {
      count++;
      req.resume().on("end", () => {
        res.writeHead(503, { "Retry-After": "0" }).end('{"error":"busy"}');
      });
    });
    const streams = [
      Readable.from([Buffer.from("x")]),
      new Blob(["x"]).stream(),
    ];
    for (const stream of streams)
      await expect(
        open(url).call(
          "upload",
          { picture: { stream, name: "a" } },
          { idempotencyKey: "k" },
        ),
      ).rejects.toMatchObject({ name: "ActionError", status: 503 });
    expect(count).toBe(2);
    const blob = open(url).call(
      "upload",
      { picture: new Blob(["x"]) },
      { idempotencyKey: "k" },
    );
    await expect(blob).rejects.toMatchObject({ status: 503 });
    expect(count).toBe(5);
  });

  test("that are streams which fail leave their error", async () => {
    const url = await serve((req, res) => {
      req.resume().on("end", () => res.end("{}"));
    });
    // the system call of another connection says nothing about this one
    const cause = Object.assign(new Error("no"), { syscall: "connect" });
    const stream = Readable.from(
      (async function* () {
        yield Buffer.from("x");
        await Promise.reject(cause);
      })(),
    );
    const error = await open(url)
      .call("upload", { picture: { stream, name: "a" } })
      .catch((e: unknown) => e);
    expect(error).toMatchObject({ code: "CONNECTION_LOST" });
    expect((error as ClientError).cause).toBe(cause);
  });

  test("files cannot be sent over TCP", async () => {
    const picture = new Blob(["x"]);
    await expect(
      open(urls.tcp()).call("upload", { picture }),
    ).rejects.toMatchObject({ code: "UNSUPPORTED" });
  });
});

describe("HTTP", () => {
  test("cookies of the server come back, and headers are asked for each time", async () => {
    let token = 0;
    const client = open(app.url, {
      headers: () => Promise.resolve({ "X-Token": `token ${++token}` }),
    });
    const first = await client.call("cookie");
    expect(first).toEqual({ before: null, token: "token 1" });
    const { before, token: second } = await client.call("cookie");
    expect(before).toContain("visited=yes");
    expect(second).toBe("token 2");
  });

  test("a route is asked for as it is written", async () => {
    const seen: string[] = [];
    const url = await serve((req, res) => {
      seen.push(`${req.method} ${req.url}`);
      res.end("{}");
    });
    const client = open(url, {
      routes: {
        "user:show": ["get", "/users/:id"],
        "user:show@1": ["put", "/old/:id"],
        search: ["get", "/search"],
      },
    });
    await client.call("user:show", { id: "a/b", tags: ["x", "y"] });
    await client.call("search", {
      where: { city: "Rome" },
      nothing: undefined,
    });
    await client.call("user:show", {});
    await client.call("other", {});
    // the path would be that of another action
    for (const id of [".", ".."]) await client.call("user:show", { id });
    await client.call("user:show", { id: "..." });
    await client.call("user:show@1", { id: "old" });
    await client.call("user:show@2", { id: "new" });
    expect(seen.splice(4)).toEqual([
      "POST /api?action=user%3Ashow",
      "POST /api?action=user%3Ashow",
      "GET /api/users/...",
      "PUT /api/old/old",
      "GET /api/users/new?apiVersion=2",
    ]);
    expect(seen).toEqual([
      "GET /api/users/a%2Fb?tags%5B%5D=x&tags%5B%5D=y",
      "GET /api/search?where%5Bcity%5D=Rome",
      "POST /api?action=user%3Ashow",
      "POST /api?action=other",
    ]);
  });

  test("params that a query would change are sent as JSON", async () => {
    const seen: string[] = [];
    const url = await serve((req, res) => {
      seen.push(`${req.method} ${req.url}`);
      res.end("{}");
    });
    const client = open(url, { routes: { search: ["get", "/search"] } });
    const deep = { a: { b: { c: { d: { e: { f: "too deep" } } } } } };
    const keys = ["a]b", "a[b", "1", "", "toString", "__proto__"];
    const changed = [
      ...[null, [], {}, { city: null }, { city: undefined }, [[]], deep],
      ...keys.map((key) => Object.fromEntries([[key, "v"]])),
      Array.from({ length: 21 }, () => ({ city: "Rome" })),
    ];
    for (const where of changed) await client.call("search", { where });
    for (const key of keys.filter((name) => name !== "__proto__"))
      await client.call("search", { [key]: "v" });
    const numbers = [2 ** 60, 1e17, NaN, Infinity];
    for (const where of numbers) await client.call("search", { where });
    for (const request of seen) expect(request).toBe("POST /api?action=search");
    expect(seen).toHaveLength(
      changed.length + keys.length - 1 + numbers.length,
    );
  });

  test("names of Object.prototype are no routes", async () => {
    const seen: string[] = [];
    const url = await serve((req, res) => {
      seen.push(`${req.method} ${req.url}`);
      res.end("{}");
    });
    const client = open(url, { routes: { at: ["get", "/at"] } });
    const names = ["toString", "valueOf", "constructor", "__proto__"];
    for (const name of names) await client.call(name);
    expect(seen).toEqual(names.map((name) => `POST /api?action=${name}`));
  });

  test("values of a path are the texts of a query; what has none is sent as JSON", async () => {
    const seen: string[] = [];
    const url = await serve((req, res) => {
      seen.push(`${req.method} ${req.url}`);
      res.end("{}");
    });
    const client = open(url, { routes: { at: ["get", "/at/:when"] } });
    const shown = [new Date(1234), 1.5, true, -3, "a b"];
    const asJson = [[1, 2], ["one"], { a: 1 }, [], {}, 2 ** 60, null, ""];
    for (const when of [...shown, ...asJson]) await client.call("at", { when });
    expect(seen).toEqual([
      "GET /api/at/1970-01-01T00%3A00%3A01.234Z",
      ...["GET /api/at/1.5", "GET /api/at/true", "GET /api/at/-3"],
      "GET /api/at/a%20b",
      ...asJson.map(() => "POST /api?action=at"),
    ]);
  });

  test("a response without a body is as over the other transports", async () => {
    const url = await serve((_req, res) => void res.writeHead(204).end());
    await expect(open(url).call("remove")).resolves.toEqual({});
    await expect(open(url).call("remove", null)).resolves.toEqual({});
  });

  test("safe calls are retried while the server is busy", async () => {
    let count = 0;
    const url = await serve((_req, res) => {
      if (++count % 3 === 0) return res.end('{"ok":true}');
      res.writeHead(503, { "Retry-After": "0" }).end('{"error":"busy"}');
    });
    const routes = { read: ["get", "/read"] } as const;
    const client = open(url, { routes });
    await expect(client.call("read")).resolves.toEqual({ ok: true });
    expect(count).toBe(3);
    await expect(client.call("write")).rejects.toMatchObject({ status: 503 });
    expect(count).toBe(4);
    const safely = client.call("write", {}, { idempotencyKey: "k" });
    await expect(safely).resolves.toEqual({ ok: true });
    expect(count).toBe(6);
  });

  test("a wait that the server asks for counts by its clock, and is not begun when it is too long", async () => {
    const busy = async (retryAfter: string) => {
      let count = 0;
      const url = await serve((_req, res) => {
        if (++count > 1) return res.end('{"ok":true}');
        res.setHeader("Date", "Fri, 27 Nov 2026 12:00:00 GMT");
        res.writeHead(503, { "Retry-After": retryAfter });
        res.end('{"error":"busy"}');
      });
      return open(url, { timeout: 30_000 }).call(
        "write",
        {},
        { idempotencyKey: "k" },
      );
    };
    const ok = { ok: true };
    await expect(busy("0")).resolves.toEqual(ok);
    await expect(busy("Fri, 27 Nov 2026 11:59:00 GMT")).resolves.toEqual(ok);
    await expect(busy("soon")).resolves.toEqual(ok);
    for (const late of ["31", "3600", "Fri, 27 Nov 2026 12:00:31 GMT"])
      await expect(busy(late)).rejects.toMatchObject({
        message: "busy",
        status: 503,
      });
  });

  test("a server that disappears after a request was sent may have processed it", async () => {
    const { port } = new URL(
      await serveRaw((socket) => {
        servers[0].close();
        socket.resetAndDestroy();
      }),
    );
    const call = open(`http://127.0.0.1:${port}`, { retries: 1 }).call(
      "write",
      {},
      { idempotencyKey: "k" },
    );
    await expect(call).rejects.toMatchObject({ code: "CONNECTION_LOST" });
  });

  test("a redirect that keeps the method is followed, without what names the client elsewhere", async () => {
    const seen: object[] = [];
    const target = await serve((req, res) => {
      let body = "";
      req.on("data", (text) => (body += text));
      req.on("end", () => {
        const { method, url, headers } = req;
        const { authorization, cookie, "x-a": a } = headers;
        seen.push({ method, url, authorization, cookie, a, body });
        res.end('{"ok":true}');
      });
    });
    const url = await serve((req, res) => {
      const location = req.headers.host!.startsWith("127")
        ? target.replace("127.0.0.1", "localhost") + req.url!
        : "/";
      res.setHeader("Set-Cookie", "a=1");
      req.resume().on("end", () => {
        res.writeHead(307, { Location: location }).end();
      });
    });
    const client = open(url, { headers: { authorization: "x", "X-A": "y" } });
    for (let i = 0; i < 2; i++)
      await expect(client.call("write", { a: 1 })).resolves.toEqual({
        ok: true,
      });
    expect(seen[1]).toEqual({
      method: "POST",
      url: "/api?action=write",
      authorization: undefined,
      cookie: undefined,
      a: "y",
      body: '{"a":1}',
    });
  });

  test.each([301, 302, 303])(
    "the answer to a call that lost its params by a %i is refused",
    async (status) => {
      const url = await serve((req, res) => {
        if (req.method === "GET") return res.end('{"ok":true}');
        res.writeHead(status, { Location: "/there" }).end();
      });
      const client = open(url, { routes: { read: ["get", "/read"] } });
      await expect(client.call("write")).rejects.toMatchObject({
        code: "INVALID_RESPONSE",
        status,
        message: expect.stringContaining("/there"),
      });
      await expect(client.call("read")).resolves.toEqual({ ok: true });
    },
  );

  test("a redirect without an end is refused", async () => {
    let count = 0;
    const url = await serve((_req, res) => {
      count++;
      res.writeHead(307, { Location: "/api" }).end();
    });
    await expect(open(url).call("write")).rejects.toMatchObject({
      code: "INVALID_RESPONSE",
    });
    expect(count).toBe(6);
  });

  test("cookies go where their attributes say", async () => {
    let cookies: string[] = [];
    const seen: (string | undefined)[] = [];
    const url = await serve((req, res) => {
      seen.push(req.headers.cookie);
      res.setHeader("Set-Cookie", cookies);
      res.end("{}");
    });
    const client = open(url, { routes: { deep: ["get", "/deep/er"] } });
    cookies = [
      "all=1; Path=/",
      "other=2; Path=/other",
      "prefix=3; Path=/ap",
      "secure=4; Secure",
      "foreign=5; Domain=evil.test",
      "part=6; Domain=0.0.1",
      "own=7; Domain=127.0.0.1; path=/api/",
      "gone=8; Max-Age=0",
      "late=9; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
      "long=10; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=100",
    ];
    await client.call("first");
    cookies = ["all=; Max-Age=0; Path=/", "deep=11"];
    await client.call("deep");
    cookies = [];
    await client.call("deep");
    await client.call("first");
    expect(seen).toEqual([
      undefined,
      "own=7; all=1; long=10",
      "deep=11; own=7; long=10",
      "long=10",
    ]);
  });

  test("HTML is an error that shows its beginning", async () => {
    const url = await serve((_req, res) =>
      res.writeHead(502).end("<html><h1>Bad Gateway</h1>"),
    );
    await expect(open(url).call("write")).rejects.toMatchObject({
      code: "INVALID_RESPONSE",
      status: 502,
      message: expect.stringContaining("<h1>Bad Gateway"),
    });
  });

  test("an answer that ends too early is an error", async () => {
    const url = await serve((_req, res) => {
      res.writeHead(200, { "Content-Length": "100" }).write("{");
      setImmediate(() => res.destroy());
    });
    await expect(open(url).call("write")).rejects.toMatchObject({
      code: "CONNECTION_LOST",
    });
  });

  test.each<[string, (socket: net.Socket) => void]>([
    ["ends", (socket) => socket.end()],
    ["resets", (socket) => socket.resetAndDestroy()],
    ["begins to answer", (socket) => socket.end("HTTP/1.1 2")],
  ])(
    "a server that took the request and %s may have done it",
    async (_what, onData) => {
      const client = open(await serveRaw(onData));
      await expect(client.call("write")).rejects.toMatchObject({
        code: "CONNECTION_LOST",
        cause: expect.objectContaining({ message: expect.any(String) }),
      });
    },
  );

  test("a certificate that is not trusted proves that nothing was sent", async () => {
    const server = https.createServer(certificate).listen(0, "127.0.0.1");
    servers.push(server);
    await new Promise((resolve) => server.once("listening", resolve));
    const { port } = server.address() as AddressInfo;
    await expect(
      open(`https://127.0.0.1:${port}`).call("write"),
    ).rejects.toMatchObject({ code: "UNREACHABLE" });
  });

  const refused = { code: "ECONNREFUSED", syscall: "connect" };
  const reset = { code: "ECONNRESET", syscall: "read" };
  test.each<[string, string, object]>([
    ["UNREACHABLE", "of a name", { code: "ENOTFOUND", syscall: "getaddrinfo" }],
    ["UNREACHABLE", "of a time-out", { code: "UND_ERR_CONNECT_TIMEOUT" }],
    ["UNREACHABLE", "of all addresses", { errors: [refused, refused] }],
    ["CONNECTION_LOST", "of some addresses", { errors: [refused, reset] }],
    ["CONNECTION_LOST", "while reading", reset],
    ["CONNECTION_LOST", "of a page, which tells nothing", {}],
  ])("%s: the failure of fetch %s", async (code, _what, properties) => {
    const cause = Object.assign(new Error("no"), properties);
    const client = open("http://127.0.0.1", {
      fetch: () => Promise.reject(new TypeError("fetch failed", { cause })),
    });
    await expect(client.call("write")).rejects.toMatchObject({ code });
  });

  test("rooms are refused over HTTP", async () => {
    await expect(open(app.url).rooms.join("x")).rejects.toMatchObject({
      code: "UNSUPPORTED",
    });
  });

  test("an unknown scheme is refused at once", () => {
    expect(() => createClient({ url: "gopher://x" })).toThrow("gopher");
    for (const scheme of ["https", "wss"])
      expect(() =>
        createClient({ url: `${scheme}://x`, tls: { ca: "x" } }),
      ).toThrow(`for ${scheme}://, trust another authority by`);
  });

  test.each([
    ["", "an empty url is for pages"],
    ["/api", "/api is no URL of a server"],
    ["http://a b", "http://a b is no URL of a server"],
  ])(
    "outside of a page, a url without a server is refused: %j",
    (url, text) => {
      for (const create of [
        () => createClient({ url }),
        () => createHttpClient({ url }),
      ])
        expect(create).toThrow(
          expect.objectContaining({
            name: "ClientError",
            code: "UNSUPPORTED",
            message: expect.stringContaining(text),
          }),
        );
    },
  );
});

test("an ActionError takes whatever another server lists as problems", () => {
  const response = { error: "no", errors: [null, "x", { code: "late" }] };
  expect(new ActionError(response as never)).toMatchObject({
    message: "no",
    errors: response.errors,
  });
});

test("createHttpClient has only calls", async () => {
  const client = createHttpClient({ url: app.url });
  await expect(client.call("echo", { text: "x" })).resolves.toEqual({
    text: "x",
  });
  expect(Object.keys(client)).toEqual(["call"]);
});

test.each(["http", "ws"] as const)(
  "headers that cannot be told are the error of the call at once, over %s",
  async (scheme) => {
    let token: () => Promise<string> = () => Promise.reject(new Error("none"));
    const client = open(urls[scheme](), {
      headers: async () => ({ "X-Token": await token() }),
    });
    for (let i = 0; i < 2; i++)
      await expect(client.call("echo", { text: "x" })).rejects.toThrow("none");
    if (scheme === "ws") {
      await expect(client.connect()).rejects.toThrow("none");
      await expect(client.rooms.join("defaultRoom")).rejects.toThrow("none");
    }
    token = () => Promise.resolve("abc");
    await expect(client.call("echo", { text: "x" })).resolves.toEqual({
      text: "x",
    });
    if (scheme === "ws") return;
    token = () => new Promise(() => undefined);
    await expect(
      client.call("echo", { text: "x" }, { timeout: 50 }),
    ).rejects.toMatchObject({ code: "TIMEOUT" });
  },
);

test.each(["ws", "tcp"] as const)(
  "a wait for a connection ends when the client is closed, and the next call connects, over %s",
  async (scheme) => {
    const port = await freePort();
    const client = open(`${scheme}://127.0.0.1:${port}`);
    const failed = new Promise((resolve) => client.on("error", resolve));
    const connecting = client.connect();
    await failed;
    client.close();
    await expect(connecting).rejects.toMatchObject({ code: "CLOSED" });
    const again = new Promise((resolve) => client.on("error", resolve));
    client.connect().catch(() => undefined);
    await again;
  },
);

test.each(["ws", "tcp"] as const)(
  "in development a response with the names of the envelope is warned of once, over %s",
  async (scheme) => {
    const name = `named:${scheme}`;
    addActions({ [name]: { run: () => ({ messageId: 1, context: "user" }) } });
    const client = open(urls[scheme]());
    const lines = new LogLines();
    const { env } = config.process;
    try {
      await client.call(name);
      expect(lines.matching(/has messageId/)).toEqual([]);
      config.process.env = "development";
      await client.call(name);
      await client.call(name);
    } finally {
      config.process.env = env;
      lines.stop();
    }
    expect(lines.matching(/has messageId/)).toEqual([
      expect.stringContaining(
        `the response of ${name} has messageId and context`,
      ),
    ]);
  },
);

test("a websocket is opened with the headers of that moment", async () => {
  const client = open(urls.ws(), { headers: { "X-Token": "abc" } });
  await client.connect();
  const [connection] = onServer().filter(({ type }) => type === "websocket");
  expect(connection.rawConnection.request.headers["x-token"]).toBe("abc");
});

test("bundles for pages stay small, as documented, and HTTP alone leaves the websocket out", () => {
  const root = path.join(__dirname, "..", "..");
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "ah-client-"));
  try {
    execFileSync(process.execPath, [
      path.join(root, "scripts/buildClient.js"),
      folder,
    ]);
    const sizeOf = (name: string) => {
      const file = path.join(folder, `${name}.js`);
      const source = path.join(folder, "client/browser.mjs");
      fs.writeFileSync(
        file,
        `import { ${name} } from ${JSON.stringify(source)}; globalThis.made = ${name};`,
      );
      const { buildSync } = require("esbuild") as typeof import("esbuild");
      const { outputFiles } = buildSync({
        entryPoints: [file],
        bundle: true,
        minify: true,
        format: "esm",
        write: false,
      });
      const { gzipSync } = require("node:zlib") as typeof import("node:zlib");
      return gzipSync(outputFiles[0].contents).length;
    };
    const bytes = [sizeOf("createHttpClient"), sizeOf("createClient")];
    expect(bytes[0]).toBeLessThan(6 * 1024);
    expect(bytes[1]).toBeLessThan(12 * 1024);
    const page = fs.readFileSync(path.join(root, "docs/client.md"), "utf8");
    const [, small, whole] =
      /(\d+) KB instead of (\d+) KB, minified and gzipped/.exec(page)!;
    expect(bytes.map((size) => Math.round(size / 1024))).toEqual([
      Number(small),
      Number(whole),
    ]);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
});

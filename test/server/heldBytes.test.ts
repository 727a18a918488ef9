/** How much all clients together make the server hold in memory: `general.maxHeldBytes`. */
import { once } from "node:events";
import * as http from "node:http";
import { gzipSync } from "node:zlib";
import { api, config } from "../../src/index";
import { totalHeldBytes } from "../../src/server/heldBytes";
import { LogLines } from "../support/logLines";
import { until } from "../support/until";
import { addActions, startWebApp, type WebApp } from "../support/webApp";

const KIB = 1024;
const LIMIT = 400 * KIB;
const LARGE = "a".repeat(300 * KIB);
const OVERLOADED = {
  error: "the server holds too much at the moment, try again later",
};

let app: WebApp;
let logged: LogLines;
let running = 0;
let release: () => void = () => undefined;
let released: Promise<void>;

/** Let actions of the name `held` wait from now on. */
function hold(): void {
  released = new Promise((resolve) => (release = resolve));
}

beforeAll(async () => {
  logged = new LogLines("info");
  Object.assign(config.socket, { enabled: true, port: 0, bindIP: "::" });
  app = await startWebApp();
  addActions({
    held: {
      run: async () => {
        running++;
        await released;
        running--;
        return { held: true };
      },
      inputs: { text: {} },
    },
    length: {
      run: ({ params }) => ({ length: params.text?.length }),
      inputs: { text: {} },
    },
  });
});

beforeEach(() => {
  config.general.maxHeldBytes = LIMIT;
});

afterEach(async () => {
  release();
  await until(() => totalHeldBytes() === 0);
});

afterAll(async () => {
  logged.stop();
  await app.stop();
});

interface Form {
  type: string;
  /** A body with the param `text`. */
  of: (text: string) => string;
}

const JSON_FORM: Form = {
  type: "application/json",
  of: (text) => JSON.stringify({ text }),
};

const URLENCODED: Form = {
  type: "application/x-www-form-urlencoded",
  of: (text) => `text=${text}`,
};

const MULTIPART: Form = {
  type: "multipart/form-data; boundary=b",
  of: (text) =>
    `--b\r\nContent-Disposition: form-data; name="text"\r\n\r\n${text}\r\n--b--\r\n`,
};

const FORMS: [string, Form][] = [
  ["JSON", JSON_FORM],
  ["an urlencoded form", URLENCODED],
  ["a multipart form", MULTIPART],
];

function post(path: string, { type, of }: Form, text: string) {
  return app.ask(path, {
    method: "POST",
    headers: { "Content-Type": type },
    body: of(text),
  });
}

/** A request whose body lacks its last byte. */
function begin(path: string, { type, of }: Form, text: string) {
  const body = of(text);
  const req = http.request({
    port: app.port,
    path,
    method: "POST",
    agent: false,
    headers: { "Content-Type": type, "Content-Length": body.length },
  });
  req.on("error", () => undefined);
  req.write(body.slice(0, -1));
  return { req, finish: () => req.end(body.slice(-1)) };
}

describe.each(FORMS)("%s over HTTP", (_name, form) => {
  test("is refused while others take the room, and taken when they are done", async () => {
    hold();
    const first = post("/api/held", form, LARGE);
    await until(() => running === 1);
    expect(totalHeldBytes()).toBeGreaterThanOrEqual(LARGE.length);

    const second = await post("/api/length", form, LARGE);
    expect(second.status).toBe(503);
    expect(second.headers["retry-after"]).toBe("5");
    expect(second.headers.connection).toBe("close");
    expect(second.json).toMatchObject(OVERLOADED);

    release();
    expect((await first).json).toMatchObject({ held: true });
    await until(() => totalHeldBytes() === 0);
    const third = await post("/api/length", form, LARGE);
    expect(third.json).toMatchObject({ length: LARGE.length });
  });

  test("counts while it is still coming, and not any more when its client leaves", async () => {
    const { req } = begin("/api/length", form, LARGE);
    await until(() => totalHeldBytes() >= LARGE.length);
    expect((await post("/api/length", form, LARGE)).status).toBe(503);
    req.destroy();
    await until(() => totalHeldBytes() === 0);
    expect((await post("/api/length", form, LARGE)).status).toBe(200);
  });

  test("counts as it is inflated", async () => {
    hold();
    const first = post("/api/held", form, LARGE);
    await until(() => running === 1);
    const small = gzipSync(form.of(LARGE));
    expect(small.length).toBeLessThan(8 * KIB);
    const second = await app.ask("/api/length", {
      method: "POST",
      headers: { "Content-Type": form.type, "Content-Encoding": "gzip" },
      body: small,
    });
    expect(second.status).toBe(503);
    expect(second.json).toMatchObject(OVERLOADED);
    release();
    await first;
  });

  test("passes when it is small, however much others hold", async () => {
    const { req, finish } = begin("/api/length", form, LARGE);
    await until(() => totalHeldBytes() >= LARGE.length);
    config.general.maxHeldBytes = 1;
    const small = await post("/api/length", form, "a".repeat(15 * KIB));
    expect(small.json).toMatchObject({ length: 15 * KIB });
    config.general.maxHeldBytes = LIMIT;
    finish();
    const [response] = (await once(req, "response")) as [http.IncomingMessage];
    expect(response.statusCode).toBe(200);
    response.resume();
    await once(response, "close");
  });
});

test("a client that asks before it sends is told that there is no room", async () => {
  hold();
  const first = post("/api/held", JSON_FORM, LARGE);
  await until(() => running === 1);
  const req = http.request({
    port: app.port,
    path: "/api/length",
    method: "POST",
    agent: false,
    headers: {
      "Content-Type": JSON_FORM.type,
      "Content-Length": LARGE.length,
      Expect: "100-continue",
    },
  });
  req.on("continue", () => req.destroy(new Error("told to send")));
  req.flushHeaders();
  const [response] = (await once(req, "response")) as [http.IncomingMessage];
  expect(response.statusCode).toBe(503);
  response.resume();
  await once(response, "close");
  release();
  await first;
});

test("what an action still works on counts when its client has left", async () => {
  hold();
  const { req, finish } = begin("/api/held", JSON_FORM, LARGE);
  finish();
  await until(() => running === 1);
  const { sockets } = api.servers.servers.web as unknown as {
    sockets: Record<string, unknown>;
  };
  req.destroy();
  await until(() => Object.keys(sockets).length === 0);
  expect(totalHeldBytes()).toBeGreaterThanOrEqual(LARGE.length);
  release();
  await until(() => totalHeldBytes() === 0);
});

test("files do not count: they are on the disk", async () => {
  const file = (name: string) =>
    `--b\r\nContent-Disposition: form-data; name="${name}"; filename="f.txt"\r\n` +
    `Content-Type: text/plain\r\n\r\n${"a".repeat(2 * LIMIT)}\r\n`;
  const answer = await app.ask("/api/length", {
    method: "POST",
    headers: { "Content-Type": MULTIPART.type },
    body: `${file("one")}${file("two")}${MULTIPART.of("small")}`,
  });
  expect(answer.json).toMatchObject({ length: 5 });
});

describe("with web.saveRawBody", () => {
  beforeEach(() => {
    config.web.saveRawBody = true;
  });

  afterEach(() => {
    config.web.saveRawBody = false;
  });

  test.each([
    MULTIPART.type,
    "application/octet-stream",
    "application/x-something",
  ])("a body of the type %s counts", async (type) => {
    const answer = await app.ask("/api/length", {
      method: "POST",
      headers: { "Content-Type": type },
      body:
        `--b\r\nContent-Disposition: form-data; name="one"; filename="f.txt"\r\n` +
        `\r\n${"a".repeat(2 * LIMIT)}\r\n--b--\r\n`,
    });
    expect(answer.status).toBe(503);
    expect(answer.json).toMatchObject(OVERLOADED);
  });
});

test.each([0, null])("%p is no limit", async (limit) => {
  config.general.maxHeldBytes = limit;
  const text = "a".repeat(2 * LIMIT);
  const answer = await post("/api/length", JSON_FORM, text);
  expect(answer.json).toMatchObject({ length: text.length });
});

test("refusals are told of once, and not once each", async () => {
  config.general.maxHeldBytes = 1;
  for (let sent = 0; sent < 20; sent++)
    expect((await post("/api/length", JSON_FORM, LARGE)).status).toBe(503);
  // the line may have been an earlier test's
  const lines = logged.at("warning", /general\.maxHeldBytes is/);
  expect(lines.length).toBeGreaterThan(0);
  expect(lines.length).toBeLessThan(20);
  expect(logged.at("error", /form/)).toEqual([]);
});

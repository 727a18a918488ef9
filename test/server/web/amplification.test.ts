/** Requests that take far more memory than they have bytes: they are refused before it is taken. */
import * as fs from "node:fs";
import type { IncomingMessage, Server } from "node:http";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { gzipSync } from "node:zlib";
import { api, config } from "../../../src/index";
import { totalHeldBytes } from "../../../src/server/heldBytes";
import { closeAll, SocketPeer } from "../../support/socketApp";
import { until } from "../../support/until";
import { addActions, startWebApp, type WebApp } from "../../support/webApp";
import { connectWebsocket } from "../../support/websocketClient";

const KIB = 1024;
const LIMIT = 512 * KIB;
const OVERLOADED = "the server holds too much at the moment, try again later";

let app: WebApp;
let uploadDir: string;
let running = 0;
let release: () => void = () => undefined;

beforeAll(async () => {
  Object.assign(config.socket, { enabled: true, port: 0, bindIP: "::" });
  app = await startWebApp();
  uploadDir = fs.mkdtempSync(path.join(os.tmpdir(), "uploads-"));
  config.web.formOptions = { ...config.web.formOptions, uploadDir };
  config.web.formBrackets = true;
  addActions({
    echo: {
      inputs: { text: {}, b: {}, file: {} },
      run: ({ params }) => ({
        text: params.text,
        b: params.b,
        content: params.file && fs.readFileSync(params.file.filepath, "utf8"),
      }),
    },
    held: {
      inputs: { b: {} },
      run: async () => {
        running++;
        await new Promise<void>((resolve) => (release = resolve));
        running--;
        return {};
      },
    },
  });
});

beforeEach(() => {
  config.general.maxHeldBytes = LIMIT;
});

afterEach(async () => {
  release();
  config.web.maxParams = 10_000;
  config.web.uploads = "all";
  await closeAll();
  await until(() => totalHeldBytes() === 0);
});

afterAll(async () => {
  await app.stop();
  fs.rmSync(uploadDir, { recursive: true, force: true });
});

const URLENCODED = { "Content-Type": "application/x-www-form-urlencoded" };
const MULTIPART = { "Content-Type": "multipart/form-data; boundary=b" };

type Ask = (names: string[], action?: string) => ReturnType<WebApp["ask"]>;

const post = (
  action: string,
  headers: Record<string, string>,
  body: string | Buffer,
) => app.ask(`/api/${action}`, { method: "POST", headers, body });

const part = (name: string) =>
  `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n\r\n`;

const WAYS: [string, Ask][] = [
  [
    "a query",
    (names, action = "echo") => app.ask(`/api/${action}?${names.join("&")}`),
  ],
  [
    "a form",
    (names, action = "echo") => post(action, URLENCODED, names.join("&")),
  ],
  [
    "a compressed form",
    (names, action = "echo") =>
      post(
        action,
        { ...URLENCODED, "Content-Encoding": "gzip" },
        gzipSync(names.join("&")),
      ),
  ],
  [
    "a multipart form",
    (names, action = "echo") =>
      post(action, MULTIPART, `${names.map(part).join("")}--b--\r\n`),
  ],
];

const names = (count: number, of: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => of(i));

describe.each(WAYS)("%s", (_way, ask) => {
  test("whose brackets would create large objects is refused", async () => {
    // a kilobyte that would take a megabyte
    const { status, json } = await ask(names(100, (i) => `b[${i}x][999]`));
    expect(status).toBe(503);
    expect(json.error).toBe(OVERLOADED);
  });

  test("counts what its brackets take, until it is done", async () => {
    const first = ask(
      names(30, (i) => `b[${i}x][999]`),
      "held",
    );
    await until(() => running === 1);
    expect(totalHeldBytes()).toBeGreaterThan(300 * KIB);
    expect((await ask(names(30, (i) => `b[${i}x][999]`))).status).toBe(503);
    release();
    expect((await first).status).toBe(200);
    await until(() => totalHeldBytes() === 0);
    expect((await ask(names(30, (i) => `b[${i}x][999]`))).status).toBe(200);
  });

  test("of many short names counts more than its bytes", async () => {
    const first = ask(
      names(1_000, (i) => i.toString(36)),
      "held",
    );
    await until(() => running === 1);
    expect(totalHeldBytes()).toBeGreaterThan(200 * KIB);
    release();
    expect((await first).status).toBe(200);
  });

  test("has as many brackets as params are allowed", async () => {
    config.web.maxParams = 10;
    const allowed = await ask(names(5, (i) => `b[${i}][x]`));
    expect(allowed.json.b).toHaveLength(5);
    const { status, json } = await ask(
      names(5, (i) => `b[${i}][x]${i ? "" : "[y]"}`),
    );
    expect(status).toBe(400);
    expect(json.error).toBe(
      "the request has too many brackets: web.maxParams is 10",
    );
  });
});

test("escaped brackets and indexes of a query count", async () => {
  const query = names(100, (i) => `b%5B${i}x%5D%5b%39%39%39%5d=%zz`);
  expect((await app.ask(`/api/echo?${query.join("&")}`)).status).toBe(503);
});

test("params under high indexes count", async () => {
  config.general.maxHeldBytes = 20 * KIB;
  expect((await app.ask("/api/echo?1000=&2400=")).status).toBe(503);
  expect((await app.ask("/api/echo?10=&2400000=")).status).toBe(200);
});

describe("JSON objects with indexes as keys", () => {
  const list = `[${names(2_000, () => '{"33":1}').join()}]`;

  test("count what they take over HTTP", async () => {
    const headers = { "Content-Type": "application/json" };
    const { status } = await post("echo", headers, `{"b":${list}}`);
    expect(status).toBe(503);
  });

  test("in UTF-16, too", async () => {
    const headers = { "Content-Type": "application/json; charset=utf-16le" };
    const body = Buffer.from(`{"b":${list}}`, "utf16le");
    expect((await post("echo", headers, body)).status).toBe(503);
  });

  test("over TCP", async () => {
    const peer = await SocketPeer.connect();
    await peer.next();
    const line = `{"action":"echo","params":{"b":${list}}}`;
    expect(await peer.ask(line)).toMatchObject({ error: OVERLOADED });
    const pairs = names(5_000, (i) => `k${i}=`).join(" ");
    expect(await peer.ask(`echo ${pairs}`)).toMatchObject({
      error: OVERLOADED,
    });
  });

  test("over websockets", async () => {
    const client = await connectWebsocket();
    const b: unknown = JSON.parse(list);
    expect(await client.action("echo", { b })).toMatchObject({
      error: OVERLOADED,
    });
  });
});

describe("bodies in chunks of one byte", () => {
  const file = `--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\nContent-Type: text/plain\r\n\r\n`;
  const field = `--b\r\nContent-Disposition: form-data; name="text"\r\n\r\n`;
  const TYPES: [string, string, before: string, after: string][] = [
    ["a file", "multipart/form-data; boundary=b", file, "\r\n--b--\r\n"],
    ["a field", "multipart/form-data; boundary=b", field, "\r\n--b--\r\n"],
    ["a body that is a file", "application/octet-stream", "", ""],
    ["JSON", "application/json", '{"text":"', '"}'],
    ["a form", "application/x-www-form-urlencoded", "text=", ""],
    ["a body of another type", "text/plain", "", ""],
  ];

  async function send(type: string, body: string): Promise<string> {
    const socket = net.connect(app.port, "localhost");
    socket.on("error", () => undefined);
    let answer = "";
    socket.on("data", (data) => (answer += String(data)));
    socket.write(
      `POST /api/echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: ${type}\r\nTransfer-Encoding: chunked\r\n\r\n`,
    );
    const chunks = [...body].map((sign) => `1\r\n${sign}\r\n`);
    socket.write(`${chunks.join("")}0\r\n\r\n`);
    await until(() => answer.includes("}") || socket.destroyed);
    socket.destroy();
    return answer;
  }

  test.each(TYPES)("%s arrives", async (_what, type, before, after) => {
    const text = names(2_000, (i) => String(i % 10)).join("");
    const answer = await send(type, before + text + after);
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    if (type !== "text/plain") expect(answer).toContain(`"${text}"`);
  });

  test.each(TYPES)(
    "%s of more than 10,000 is refused",
    async (_what, type, before, after) => {
      const answer = await send(type, before + "x".repeat(11_000) + after);
      expect(answer).toMatch(/^HTTP\/1\.1 400 /);
      expect(answer).toContain("too many small chunks");
    },
  );

  test("that arrive before the body is read are stored together", async () => {
    let open!: () => void;
    let gate: Promise<void> | undefined = new Promise((resolve) => {
      open = resolve;
    });
    api.connections.addMiddleware({ name: "gate", create: () => gate });
    let request!: IncomingMessage;
    const { server } = api.servers.servers.web as { server: Server };
    server.once("request", (req: IncomingMessage) => (request = req));
    const text = names(8_000, (i) => String(i % 10)).join("");
    const answered = send("application/json", `{"text":"${text}"}`);
    await until(() => request?.complete);
    const { buffer } = (
      request as unknown as { _readableState: { buffer: { length: number } } }
    )._readableState;
    expect(request.readableLength).toBe(text.length + 11);
    expect(buffer.length).toBeLessThan(20);
    open();
    expect(await answered).toContain(`"${text}"`);
    gate = undefined;
  });

  test("a file that no action takes does not stop the process", async () => {
    config.web.uploads = "declared";
    const answer = await send("application/octet-stream", "x".repeat(11_000));
    expect(answer).toMatch(/^HTTP\/1\.1 4\d\d /);
    expect((await app.ask("/api/echo?text=a")).status).toBe(200);
  });
});

test.each(["multipart/form-data; boundary=b", "application/octet-stream"])(
  "files of %s count until they are on the disk",
  async (type) => {
    const { uploadDisk } = api.servers.servers.web as unknown as {
      uploadDisk: { write: (work: () => Promise<void>) => Promise<void> };
    };
    const { maxUploadWrites } = config.web as { maxUploadWrites: number };
    const frees: (() => void)[] = [];
    const writes = Array.from({ length: maxUploadWrites }, () =>
      uploadDisk.write(() => new Promise<void>((free) => frees.push(free))),
    );
    const content = "x".repeat(100 * KIB);
    const answer = post(
      "echo",
      { "Content-Type": type },
      type === "application/octet-stream"
        ? content
        : `--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n${content}\r\n--b--\r\n`,
    );
    await until(() => totalHeldBytes() >= 64 * KIB);
    for (const free of frees) free();
    await Promise.all(writes);
    expect((await answer).json.content).toBe(content);
    await until(() => totalHeldBytes() === 0);
  },
);

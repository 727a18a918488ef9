/** Bodies that no action takes: not parsed, not even waited for, and what becomes of the connection. */
import { once } from "node:events";
import * as fs from "node:fs";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { addActions, startWebApp, type WebApp } from "../../support/webApp";
import { timed } from "../../support/stopwatch";
import { until } from "../../support/until";
import { api, config } from "../../../src/index";
import { restoreConfig } from "../../support/withConfig";

restoreConfig();

const KILOBYTE = 1024;
const LIMIT = 64 * KILOBYTE;

let app: WebApp;
let uploadDir: string;
let ran: string[] = [];

beforeAll(async () => {
  app = await startWebApp();
  uploadDir = fs.mkdtempSync(path.join(os.tmpdir(), "unread-"));
  config.web.formOptions = { uploadDir };
  const run = ({ action }: { action: string }) => void ran.push(action);
  addActions({
    take: { run },
    notHere: { run, blockedConnectionTypes: ["web"] },
    named: { run },
  });
});

afterAll(async () => {
  await app.stop();
  fs.rmSync(uploadDir, { recursive: true, force: true });
});

afterEach(() => {
  ran = [];
});

/** A client that sees bytes. */
class Client {
  text = "";
  readonly ended: Promise<unknown>;
  readonly closed: Promise<unknown>;

  constructor(readonly socket: net.Socket) {
    socket.setEncoding("latin1");
    socket.on("data", (chunk: string) => (this.text += chunk));
    socket.on("error", () => undefined);
    this.ended = once(socket, "end");
    this.closed = new Promise((resolve) => socket.once("close", resolve));
  }

  static async connect(): Promise<Client> {
    const socket = net.connect({ port: app.port, allowHalfOpen: true });
    await once(socket, "connect");
    return new Client(socket);
  }

  head(target: string, headers: string, method = "POST"): void {
    this.socket.write(
      `${method} ${target} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${headers}\r\n\r\n`,
    );
  }

  /** Statuses of the responses so far. */
  get statuses(): string[] {
    return [...this.text.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, s]) => s);
  }

  get isClosing(): boolean {
    return /^connection: close/im.test(this.text);
  }

  async responses(count: number): Promise<void> {
    await until(() => this.statuses.length >= count);
  }
}

const refused: [
  what: string,
  target: string,
  status: string,
  method?: string,
][] = [
  ["an unknown action", "/api/nothing", "404"],
  ["an action that is not for this server", "/api/notHere", "500"],
  ["a file", "/public/index.html", "200"],
  ["a file that does not exist", "/public/missing", "404"],
  ["OPTIONS", "/api/take", "200", "OPTIONS"],
  ["GET", "/api/take", "200", "GET"],
];

describe.each(refused)("%s", (_what, target, status, method) => {
  test("is answered before its body is there", async () => {
    const client = await Client.connect();
    client.head(target, "Content-Length: 1000", method);
    await client.responses(1);
    expect(client.statuses).toEqual([status]);
    client.socket.destroy();
  });

  test("with at most 64 KiB leaves the connection open", async () => {
    const client = await Client.connect();
    client.head(target, `Content-Length: ${LIMIT}`, method);
    client.socket.write("x".repeat(LIMIT));
    client.head("/api/take", "Content-Length: 2");
    client.socket.write("{}");
    await client.responses(2);
    expect(client.statuses).toEqual([status, "200"]);
    expect(client.isClosing).toBe(false);
    client.socket.destroy();
  });

  test("with at most 64 KiB in chunks leaves the connection open", async () => {
    const client = await Client.connect();
    client.head(target, "Transfer-Encoding: chunked", method);
    client.socket.write(`${LIMIT.toString(16)}\r\n${"x".repeat(LIMIT)}\r\n`);
    client.socket.write("0\r\n\r\n");
    client.head("/api/take", "Content-Length: 2");
    client.socket.write("{}");
    await client.responses(2);
    expect(client.statuses).toEqual([status, "200"]);
    expect(client.isClosing).toBe(false);
    client.socket.destroy();
  });

  test.each([
    ["more than 64 KiB", `Content-Length: ${LIMIT + 1}`, "x".repeat(10)],
    [
      "more than 64 KiB in chunks",
      "Transfer-Encoding: chunked",
      `fffff\r\n${"x".repeat(LIMIT + 1)}`,
    ],
  ])("with %s ends the connection", async (_size, headers, part) => {
    const client = await Client.connect();
    client.head(target, headers, method);
    client.socket.write(part);
    await client.ended;
    expect(client.statuses).toEqual([status]);
    expect(client.isClosing).toBe(true);
    client.socket.destroy();
  });
});

test("a client that goes on sending reads its whole response, and is cut after a second", async () => {
  const client = await Client.connect();
  client.head("/api/nothing", "Content-Length: 1000000000000");
  const chunk = Buffer.alloc(LIMIT, "x");
  let isClosed = false;
  void client.closed.then(() => (isClosed = true));
  const start = performance.now();
  while (!isClosed) {
    if (!client.socket.write(chunk))
      await Promise.race([once(client.socket, "drain"), client.closed]).catch(
        () => undefined,
      );
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(performance.now() - start).toBeGreaterThan(900);
  expect(client.statuses).toEqual(["404"]);
  expect(client.text).toContain("unknown action or invalid apiVersion");
  await until(
    () => Object.keys((api.servers.servers.web as any).sockets).length === 0,
  );
});

test("a client that ends its long body is not made to wait", async () => {
  const client = await Client.connect();
  client.head("/api/nothing", `Content-Length: ${LIMIT + 1}`);
  await client.ended;
  const tookMs = await timed(() => {
    client.socket.end("x".repeat(LIMIT + 1));
    return client.closed;
  });
  expect(tookMs).toBeLessThan(900);
});

test("a bomb for an unknown action is not parsed, and costs no more than a small body", async () => {
  const bomb = `[${"{},".repeat(6_000_000)}{}]`;
  const before = process.memoryUsage().heapUsed;
  const parse = jest.spyOn(JSON, "parse");
  const client = await Client.connect();
  client.head("/api/nothing", `Content-Length: ${bomb.length}`);
  client.socket.write(bomb);
  await client.responses(1);
  expect(parse).not.toHaveBeenCalled();
  parse.mockRestore();
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(64 * 1024 ** 2);
  client.socket.destroy();
});

test("files for an unknown action are not written", async () => {
  const part =
    '--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n';
  const { status } = await app.ask("/api/nothing", {
    method: "POST",
    headers: { "Content-Type": "multipart/form-data; boundary=b" },
    body: `${part}${"x".repeat(30_000)}\r\n--b--\r\n`,
  });
  expect(status).toBe(404);
  expect(fs.readdirSync(uploadDir)).toEqual([]);
});

test("where no route matches the body may name the action", async () => {
  const send = (target: string) =>
    app.ask(target, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: '{"action":"named"}',
    });
  expect((await send("/api")).status).toBe(200);
  expect(ran).toEqual(["named"]);
  expect((await send("/api/unknown")).status).toBe(404);
  config.web.queryRouting = true;
  expect((await send("/api/unknown")).status).toBe(200);
  expect(ran).toEqual(["named", "named"]);
});

test("variables of a route win over the body, and its version is only a default", async () => {
  let params: any;
  addActions({
    versioned: {
      inputs: { id: {}, apiVersion: {} },
      run: (data: any) => void (params = data.params),
    },
  });
  api.actions.actions.versioned[2] = api.actions.actions.versioned[1]!;
  api.routes.routes.post.push({
    path: "/versioned/:id",
    action: "versioned",
    apiVersion: 1,
  });
  const send = (body: string, query = "") =>
    app.ask(`/api/versioned/route${query}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body,
    });
  await send('{"id":"body","action":"take"}', "?id=query");
  expect(params).toMatchObject({ id: "route", apiVersion: 1 });
  await send('{"apiVersion":2}');
  expect(params.apiVersion).toBe(2);
  await send("{}", "?apiVersion=2");
  expect(params.apiVersion).toBe("2");
  expect(ran).toEqual([]);
});

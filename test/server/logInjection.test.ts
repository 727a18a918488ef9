// first: it enables the socket server before the configuration is built
import { closeAll, SocketPeer, startSocketApp } from "../support/socketApp";
import * as net from "node:net";
import { once } from "node:events";
import { ask } from "../support/ask";
import { LogLines } from "../support/logLines";
import { until } from "../support/until";
import { addActions } from "../support/webApp";
import { connectWebsocket, webPort } from "../support/websocketClient";
import { config, type Process } from "../../src/index";

/** What forges a line, clears a screen, or ends a line in some viewer. */
const EVIL =
  "x\n2026 - info: forged\r\u001b[2J\u007f\u0085\u009b1m\u2028\u2029";
// eslint-disable-next-line no-control-regex -- they are what it is about
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;

let app: Process;
let lines: LogLines;

beforeAll(async () => {
  app = await startSocketApp();
  addActions({
    echo: {
      inputs: { text: { required: true } },
      run: ({ params }) => {
        throw new Error(`cannot use ${params.text}`);
      },
    },
  });
});

beforeEach(() => {
  lines = new LogLines("debug");
});

afterEach(() => lines.stop());

test("a line has no more of the params than some KB, and their texts are cut at any depth", async () => {
  const socket = await SocketPeer.connect();
  await socket.next();
  const paramsOf = async (text: unknown) => {
    const before = lines.lines.length;
    await socket.ask(JSON.stringify({ action: "echo", params: { text } }));
    return until(
      () => lines.lines.slice(before).find(({ params }) => params)?.params,
    ) as Promise<string>;
  };
  const quotes = '"'.repeat(100_000);
  expect((await paramsOf([{ deep: quotes }])).length).toBeLessThan(300);
  const many = Object.fromEntries(
    Array.from({ length: 5_000 }, (_, i) => [`k${i}`, quotes.slice(0, 20)]),
  );
  const long = await paramsOf(many);
  expect(long.length).toBeGreaterThan(8_000);
  expect(long.length).toBeLessThanOrEqual(8 * 1024);
});

test("an error of malformed JSON has no part of it", async () => {
  for (const body of [
    '{"password": hunter2SECRET}',
    '{"password":"hunter2SECRET"x',
    '{"password":"hunter2SECRET',
  ]) {
    const before = lines.lines.length;
    const { status } = await ask(webPort(), "/api/echo", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body,
    });
    expect(status).toBe(400);
    const line = await until(() =>
      lines.lines
        .slice(before)
        .find(({ message }) => message.includes("error processing form")),
    );
    expect(line.message).toContain("the JSON is malformed");
    expect(JSON.stringify(lines.lines)).not.toMatch(/unter|SECRE/);
  }
});

afterAll(async () => {
  await closeAll();
  await app.stop();
});

/** Every text of the lines since the start of the test, except the frames of stacks. */
async function texts(pattern: RegExp): Promise<string[]> {
  await until(
    () => lines.matching(pattern).length > 0,
    undefined,
    String(pattern),
  );
  return lines.lines.flatMap(({ stack, ...line }) => [
    ...Object.values(line).filter((text) => typeof text === "string"),
    String(stack).replace(/\n {4}at /g, ""),
  ]);
}

async function expectClean(pattern: RegExp): Promise<void> {
  for (const text of await texts(pattern)) expect(text).not.toMatch(CONTROLS);
}

/** Bytes that a client library would refuse to send. */
async function sendRaw(bytes: Buffer): Promise<void> {
  const socket = net.connect(webPort(), "localhost");
  socket.on("error", () => undefined);
  socket.resume();
  socket.write(bytes);
  await once(socket, "close");
}

test("names of actions and params on a websocket are escaped in the log", async () => {
  const client = await connectWebsocket();
  config.errors.reportUnknownActions = true;
  await client.action(EVIL, { [EVIL]: EVIL });
  await client.action("echo", { text: EVIL });
  await client.request({ event: EVIL, [EVIL]: EVIL });
  await client.request({ event: "file", file: EVIL });
  client.close();
  config.errors.reportUnknownActions = false;
  await expectClean(/action @ websocket/);
  await expectClean(/file @ websocket/);
});

test("lines of a TCP connection are escaped in the log", async () => {
  const peer = await SocketPeer.connect();
  await peer.next();
  const evil = EVIL.replace(/\n/g, "");
  await peer.ask(evil);
  await peer.ask(JSON.stringify({ action: EVIL, params: { text: EVIL } }));
  await peer.ask(JSON.stringify({ action: "echo", params: { text: EVIL } }));
  await peer.ask(`paramAdd text=${evil}`);
  await peer.ask(`file ${evil.replaceAll(" ", "")}`);
  await expectClean(/action @ socket/);
});

test("paths, addresses and file names of HTTP requests are escaped in the log", async () => {
  const head = (path: string, more = "") =>
    Buffer.from(
      `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${more}\r\n`,
      "latin1",
    );
  const encoded = encodeURIComponent(EVIL);
  await sendRaw(head(`/api/echo?text=${encoded}`));
  await sendRaw(
    head("/api/\u0085\u009b1mx", "X-Forwarded-For: \u0085\u009b1m\r\n"),
  );
  await sendRaw(head(`/public/${encoded}`));
  await sendRaw(head("/api/x", "Host: \u0085\r\n"));
  await expectClean(/action @ web/);
  await expectClean(/file @ web/);
});

/** What attackers are known to send, on every transport, against a built project in production with a small heap. */
import { escapeControls } from "../../src/log/escape";
import { clientFrame } from "../support/frames";
import type { TemporaryProject } from "../support/temporaryProject";
import { until } from "../support/until";
import { FRAMES } from "./corpus/frames";
import { HEADERS, TARGETS } from "./corpus/headers";
import { JSON_DOCUMENTS } from "./corpus/json";
import { LINES } from "./corpus/lines";
import { FORMS } from "./corpus/multipart";
import { TRAVERSALS } from "./corpus/paths";
import { SMUGGLED } from "./corpus/smuggling";
import { HOSTILE_VALUES } from "./corpus/values";
import { HonestClients } from "./honest";
import {
  buildTarget,
  SECRET,
  startTarget,
  type Probe,
  type Target,
} from "./project";
import { exchange, parseResponses, type RawResponse } from "./wire";

/** What no client may ever receive. */
const FORBIDDEN = new RegExp(
  `${SECRET}|root:x:0:0|for 16-bit app support|node_modules|at .+\\.js:\\d+`,
);

/** What one turn of the event loop may cost at most, in ms of CPU time of the whole process. */
const MAX_BLOCK_MS = 1_500;
const MAX_RSS_MB = 450;

/** How long an answer may take on a connection that stays open, in ms. */
const KEPT_ALIVE_MS = 400;

const DONE = "the attack is over";

/** C0 without the line break, DEL, C1, and the line separators of Unicode. */
// eslint-disable-next-line no-control-regex -- they are what it is about
const CONTROL = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029]/;

let project: TemporaryProject;
let target: Target;
let honest: HonestClients;
let slowest: Probe;

beforeAll(async () => {
  project = await buildTarget();
  target = await startTarget(project);
  honest = new HonestClients(target);
  await honest.start();
  slowest = await target.probe();
}, 240_000);

afterAll(async () => {
  await target?.stop();
  project?.remove();
});

/** Tests of attacks, none of which may harm the process. */
function attacks(name: string, tests: () => void): void {
  describe(name, () => {
    afterEach(expectHealth);
    tests();
  });
}

async function expectHealth(): Promise<void> {
  const probe = await target.probe();
  slowest = {
    ...probe,
    rssMb: Math.max(probe.rssMb, slowest.rssMb),
    blockedMs: Math.max(probe.blockedMs, slowest.blockedMs),
  };
  expect(probe).toMatchObject({ isPolluted: false, canaries: 0 });
  expect(probe.blockedMs).toBeLessThan(MAX_BLOCK_MS);
  expect(probe.rssMb).toBeLessThan(MAX_RSS_MB);
}

async function http(
  chunks: (Buffer | string)[],
  { isHead = false, limitMs = 1_500 } = {},
): Promise<RawResponse[]> {
  // an end of our side would make node drop the answers that are not ready yet
  const received = await exchange(target.ports.http, chunks, {
    halfClose: false,
    limitMs,
  });
  expect(received.toString("latin1")).not.toMatch(FORBIDDEN);
  const responses = parseResponses(received, isHead);
  for (const { status, headers } of responses) {
    expect(status).toBeGreaterThanOrEqual(101);
    expect(headers.map(([name]) => name)).not.toContain("x-injected");
  }
  return responses;
}

const get = (path: string, ...lines: string[]) =>
  `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${lines.map((line) => `${line}\r\n`).join("")}Connection: close\r\n\r\n`;

function post(path: string, type: string, body: Buffer, ...lines: string[]) {
  const head = [
    `POST ${path} HTTP/1.1`,
    "Host: localhost",
    `Content-Type: ${type}`,
    `Content-Length: ${body.length}`,
    ...lines,
    "Connection: close",
  ];
  return [`${head.join("\r\n")}\r\n\r\n`, body];
}

/** Upgrade, send, and wait until the server has read all of it, or has closed. */
async function websocket(bytes: Buffer): Promise<void> {
  const upgrade =
    "GET /primus HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  const last = clientFrame(
    JSON.stringify({
      event: "action",
      messageId: DONE,
      params: { action: "echo" },
    }),
  );
  const received = await exchange(target.ports.http, [upgrade, bytes, last], {
    until: (so) => so.includes(DONE),
    halfClose: false,
  });
  expect(received.toString("latin1")).toMatch(/^HTTP\/1\.1 101 /);
  expect(received.toString("latin1")).not.toMatch(FORBIDDEN);
}

async function tcp(bytes: Buffer): Promise<void> {
  const last = JSON.stringify({
    action: "echo",
    params: { messageId: DONE },
  });
  const received = await exchange(
    target.ports.tcp,
    [bytes, `\r\n${last}\r\n`],
    { until: (so) => so.includes(`"messageId":"${DONE}"`), halfClose: false },
  );
  const text = received.toString("latin1");
  expect(text).not.toMatch(FORBIDDEN);
  for (const line of text.split("\r\n").slice(0, -1))
    expect(() => JSON.parse(line) as unknown).not.toThrow();
}

attacks("request smuggling", () => {
  test.each(SMUGGLED)("$name", async ({ bytes, responses = 1 }) => {
    const answers = await http([Buffer.from(bytes, "latin1")], {
      limitMs: KEPT_ALIVE_MS,
    });
    // what follows a request on its connection may be refused, but not be served
    const served = answers.filter(({ status }) => status < 400);
    expect(served.length).toBeLessThanOrEqual(responses);
  });

  test("a body that is cut in the middle is no request", async () => {
    const body = "GET /api/canary HTTP/1.1\r\nHost: a\r\n\r\n";
    const answers = await http([
      `POST /api/echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n${body}`,
    ]);
    expect(answers.filter(({ status }) => status < 400)).toEqual([]);
  });
});

attacks("path traversal", () => {
  test.each(TRAVERSALS.map((path) => [path.slice(0, 100), path]))(
    "%s",
    async (_name, path) => {
      for (const method of ["GET", "POST"]) {
        const [answer] = await http([get(path).replace("GET", method)]);
        expect(answer?.status).toBeGreaterThanOrEqual(200);
        expect(answer?.status).toBeLessThan(500);
      }
    },
  );
});

attacks("headers", () => {
  test.each(HEADERS)("$name", async ({ lines }) => {
    for (const path of ["/api/echo?text=a", "/index.html"])
      await http([Buffer.from(get(path, ...lines), "latin1")]);
    const body = Buffer.from('{"text":"a"}');
    const [head, content] = post(
      "/api/echo",
      "application/json",
      body,
      ...lines,
    );
    await http([Buffer.from(head as string, "latin1"), content]);
  });

  test.each(TARGETS.map((target) => [target.slice(0, 100), target]))(
    "target %s",
    async (_name, target) => {
      await http([get(target)]);
      await http([get(target).replace("GET", "HEAD")], { isHead: true });
      await http([get(target).replace("GET", "OPTIONS")]);
    },
  );
});

attacks("JSON", () => {
  test.each(JSON_DOCUMENTS)("HTTP: $name", async ({ bytes }) => {
    for (const path of ["/api/echo", "/api/unknown", "/nowhere"])
      await http(post(path, "application/json", bytes()));
  });

  test.each(JSON_DOCUMENTS)("websocket: $name", async ({ bytes }) => {
    const before = '{"event":"action","params":{"action":"echo","object":';
    const whole = Buffer.concat([
      Buffer.from(before),
      bytes().subarray(0, 9 * 1024 * 1024),
      Buffer.from("}}"),
    ]);
    await websocket(
      Buffer.concat([
        clientFrame(bytes().subarray(0, 1_000_000)),
        clientFrame(whole),
      ]),
    );
  });

  test.each(JSON_DOCUMENTS)("TCP: $name", async ({ bytes }) => {
    const whole = Buffer.concat([
      Buffer.from('{"action":"echo","params":{"object":'),
      bytes().subarray(0, 1_000_000),
      Buffer.from("}}\r\n"),
    ]);
    await tcp(Buffer.concat([bytes(), Buffer.from("\r\n"), whole]));
  });
});

attacks("multipart", () => {
  test.each(FORMS)("$name", async ({ body }) => {
    const type = "multipart/form-data; boundary=b";
    for (const path of ["/api/upload", "/api/unknown"])
      await http(post(path, type, Buffer.from(body)));
  });
});

attacks("params", () => {
  test.each(HOSTILE_VALUES)("$name", async ({ value }) => {
    const json = Buffer.from(JSON.stringify({ text: value }));
    for (const action of ["reflect", "careless", "echo"]) {
      await http(post(`/api/${action}`, "application/json", json));
      if (typeof value !== "string" || value.length > 5_000) continue;
      const encoded = encodeURIComponent(
        value.replace(/[\ud800-\udfff]/g, "?"),
      );
      await http([get(`/api/${action}?text=${encoded}`)]);
      await http([get(`/api/${action}?${encoded}=${encoded}`)]);
      await http([get(`/api/${encoded}`)]);
      await http(
        post(
          `/api/${action}`,
          "application/x-www-form-urlencoded",
          Buffer.from(`text=${encoded}`),
        ),
      );
    }
  });
});

attacks("websocket frames", () => {
  test.each(FRAMES)("$name", async ({ bytes }) => {
    await websocket(bytes());
  });
});

attacks("TCP lines", () => {
  test.each(LINES)("$name", async ({ bytes }) => {
    await tcp(bytes());
  });
});

describe("after all of it", () => {
  test("honest clients were answered all the time, on all transports", async () => {
    const { answered, failures, slowestMs } = await honest.stop();
    console.log(
      `honest answers: ${JSON.stringify(answered)}, the slowest after ${slowestMs} ms; ` +
        `the longest turn took ${slowest.blockedMs} ms of CPU time, the memory had ${slowest.rssMb} MB at most`,
    );
    expect(failures).toEqual([]);
    for (const count of Object.values(answered))
      expect(count).toBeGreaterThan(20);
  });

  test("no connection is left", async () => {
    await until(async () => (await target.probe()).connections === 0);
  });

  test("no uploaded file is left", async () => {
    await until(async () => (await target.probe()).temporaryFiles === 0);
  });

  test("the log has no unhandled rejection", () => {
    const unhandled = target.service.lines.filter((line) =>
      /unhandled|uncaught/i.test(line),
    );
    expect(unhandled).toEqual([]);
  });

  test("the log has no forged lines", () => {
    const forged = target.service.lines.filter((line) =>
      /^(?:X-Injected|FLUSHALL|HTTP\/1)/.test(line),
    );
    expect(forged).toEqual([]);
  });

  test("the log has no control character that a terminal or a reader of lines obeys", () => {
    const raw = target.service.printed
      .split("\n")
      .filter((line) => CONTROL.test(line))
      .map((line) => escapeControls(line.slice(0, 300)));
    expect(raw).toEqual([]);
    // what was sent is there, escaped
    expect(target.service.printed).toMatch(/\\(?:x|u00)1b/);
  });

  test("the process stops in order", async () => {
    expect(await target.stop()).toBe(0);
  });
});

/**
 * Mutated and random bytes on the three ports of a built project. `HOSTILE_SECONDS` (default 30) is how long it takes;
 * `HOSTILE_SEED` repeats the bytes of an earlier run, whose seed is printed.
 */
import type { TemporaryProject } from "../support/temporaryProject";
import { until } from "../support/until";
import { FRAMES } from "./corpus/frames";
import { HEADERS, TARGETS } from "./corpus/headers";
import { JSON_DOCUMENTS } from "./corpus/json";
import { LINES } from "./corpus/lines";
import { FORMS } from "./corpus/multipart";
import { SMUGGLED } from "./corpus/smuggling";
import { HonestClients } from "./honest";
import { buildTarget, startTarget, type Target } from "./project";
import { Random } from "./random";
import { exchange } from "./wire";

const SECONDS = Number(process.env.HOSTILE_SECONDS ?? 30);
const SEED = Number(process.env.HOSTILE_SEED ?? Date.now() % 2 ** 31);
/** Attackers of each port at the same time. */
const ATTACKERS = 4;
/** What is cut away of longer samples: most bytes of them say the same. */
const MAX_SAMPLE_BYTES = 200_000;

let project: TemporaryProject;
let target: Target;

beforeAll(async () => {
  project = await buildTarget();
  target = await startTarget(project);
}, 240_000);

afterAll(async () => {
  await target?.stop();
  project?.remove();
});

const UPGRADE = Buffer.from(
  "GET /primus HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
);

const head = (path: string, lines: readonly string[] = []) =>
  `GET ${path} HTTP/1.1\r\nHost: a\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n`;
const post = (type: string, body: Buffer | string) =>
  Buffer.concat([
    Buffer.from(
      `POST /api/upload HTTP/1.1\r\nHost: a\r\nContent-Type: ${type}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n`,
    ),
    Buffer.from(body as string),
  ]);

const SAMPLES: Record<string, (() => Buffer)[]> = {
  http: [
    ...SMUGGLED.map(
      ({ bytes }) =>
        () =>
          Buffer.from(bytes, "latin1"),
    ),
    ...TARGETS.map((path) => () => Buffer.from(head(path))),
    ...HEADERS.map(
      ({ lines }) =>
        () =>
          Buffer.from(head("/api/echo", lines), "latin1"),
    ),
    ...FORMS.map(
      ({ body }) =>
        () =>
          post(
            "multipart/form-data; boundary=b",
            body.slice(0, MAX_SAMPLE_BYTES),
          ),
    ),
    ...JSON_DOCUMENTS.map(
      ({ bytes }) =>
        () =>
          post("application/json", bytes().subarray(0, MAX_SAMPLE_BYTES)),
    ),
  ],
  websocket: FRAMES.map(({ bytes }) => bytes),
  tcp: [
    ...LINES.map(({ bytes }) => bytes),
    ...JSON_DOCUMENTS.map(({ bytes }) => bytes),
  ],
};

/** Bytes that mean something to one of the parsers. */
const TOKENS = [
  "\r\n",
  "\n",
  "\r",
  "\0",
  "\xff",
  "{",
  "}",
  "[",
  "]",
  '"',
  ":",
  ";",
  ",",
  "=",
  "&",
  "%",
  "--b",
  "../",
  "chunked",
  "0",
  "-1",
  "primus::",
];

const MUTATIONS: ((bytes: Buffer, random: Random) => Buffer)[] = [
  (bytes) => bytes,
  (bytes, random) => {
    const changed = Buffer.from(bytes);
    for (let i = 1 + random.below(8); i > 0 && changed.length > 0; i--)
      changed[random.below(changed.length)] = random.below(256);
    return changed;
  },
  (bytes, random) => bytes.subarray(0, random.below(bytes.length + 1)),
  (bytes, random) => bytes.subarray(random.below(bytes.length + 1)),
  (bytes, random) => {
    const at = random.below(bytes.length + 1);
    const token = random.one(TOKENS).repeat(1 + random.below(1_000));
    return Buffer.concat([
      bytes.subarray(0, at),
      Buffer.from(token, "latin1"),
      bytes.subarray(at),
    ]);
  },
  (bytes, random) => {
    const from = random.below(bytes.length + 1);
    const part = bytes.subarray(from, from + random.below(1_000));
    return Buffer.concat([
      bytes,
      ...Array.from({ length: random.below(20) }, () => part),
    ]);
  },
  (_bytes, random) =>
    Buffer.from(
      Array.from({ length: random.below(5_000) }, () => random.below(256)),
    ),
];

/** The same bytes in up to five pieces. */
function pieces(bytes: Buffer, random: Random): Buffer[] {
  const cuts = Array.from({ length: random.below(5) }, () =>
    random.below(bytes.length + 1),
  );
  const ends = [...cuts.sort((a, b) => a - b), bytes.length];
  return ends.map((end, i) => bytes.subarray(ends[i - 1] ?? 0, end));
}

async function attack(
  kind: string,
  random: Random,
  deadline: number,
): Promise<number> {
  const port = kind === "tcp" ? target.ports.tcp : target.ports.http;
  let count = 0;
  for (; Date.now() < deadline; count++) {
    const sample = random.one(SAMPLES[kind])().subarray(0, MAX_SAMPLE_BYTES);
    const bytes = random.one(MUTATIONS)(
      random.one(MUTATIONS)(sample, random),
      random,
    );
    const chunks = pieces(bytes, random);
    await exchange(port, kind === "websocket" ? [UPGRADE, ...chunks] : chunks, {
      isAborted: random.below(4) === 0,
      halfClose: random.below(2) === 0,
      limitMs: 150,
    });
  }
  return count;
}

test(
  `${SECONDS} s of mutated bytes: honest clients are answered, and nothing is left (HOSTILE_SEED=${SEED})`,
  async () => {
    const honest = new HonestClients(target);
    await honest.start();
    const deadline = Date.now() + SECONDS * 1000;
    const attackers = Object.keys(SAMPLES).flatMap((kind, k) =>
      Array.from({ length: ATTACKERS }, (_, i) =>
        attack(kind, new Random(SEED + k * 1_000 + i), deadline),
      ),
    );
    const exchanges = (await Promise.all(attackers)).reduce((a, b) => a + b);
    const { answered, failures, slowestMs } = await honest.stop();
    const probe = await target.probe();
    console.log(
      `HOSTILE_SEED=${SEED}: ${exchanges} exchanges; honest answers: ${JSON.stringify(answered)}, ` +
        `the slowest after ${slowestMs} ms; ${JSON.stringify(probe)}`,
    );

    expect(failures).toEqual([]);
    expect(exchanges).toBeGreaterThan(SECONDS);
    expect(probe.isPolluted).toBe(false);
    expect(probe.blockedMs).toBeLessThan(1_500);
    expect(probe.rssMb).toBeLessThan(450);
    await until(async () => (await target.probe()).connections === 0);
    await until(async () => (await target.probe()).temporaryFiles === 0);
    expect(
      target.service.lines.filter((line) => /unhandled|uncaught/i.test(line)),
    ).toEqual([]);
    expect(await target.stop()).toBe(0);
  },
  SECONDS * 1000 + 120_000,
);

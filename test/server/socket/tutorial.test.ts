/** The session of docs/socket-server.md, typed as it stands there, in pieces of any size. */
import * as fs from "node:fs";
import * as path from "node:path";
import { closeAll, SocketPeer, startSocketApp } from "../../support/socketApp";
import { until } from "../../support/until";
import { cache, type Process } from "../../../src/index";

const root = path.join(__dirname, "..", "..", "..");
const simple = fs.readFileSync(path.join(root, "public/simple.html"), "utf8");
const page = fs.readFileSync(path.join(root, "docs/socket-server.md"), "utf8");
const [, block] = /^```transcript\n([^`]*)^```/m.exec(page)!;

interface Step {
  /** Undefined: before anything is typed. */
  typed?: string;
  answers: string[];
}

const steps: Step[] = [{ answers: [] }];
for (const line of block.trimEnd().split("\n")) {
  if (line.startsWith("> ")) steps.push({ typed: line.slice(2), answers: [] });
  else steps.at(-1)!.answers.push(line);
}
const typed = steps.flatMap((step) => step.typed ?? []);

/** Differ from run to run. */
const VARIABLE = /"(from|sentAt|createdAt)":("[^"]*"|\d+|null)/g;

function expectAnswers(received: string, answers: string[]): void {
  const lines = (text: string) =>
    text
      .replace(VARIABLE, '"$1":0')
      .split("\r\n")
      .filter((line) => line !== "")
      .sort();
  const expected = answers
    .map((line) => (line === "FILE" ? simple : `${line}\r\n`))
    .join("");
  expect(lines(received)).toEqual(lines(expected));
}

let app: Process;
beforeAll(async () => {
  app = await startSocketApp();
});
afterAll(() => app.stop());
beforeEach(() => cache.clear());
afterEach(closeAll);

test("the page has the whole tutorial", () => {
  expect(typed).toEqual([
    "cacheTest",
    "paramAdd key=myKey",
    "paramAdd value=myValue",
    "paramsView",
    "cacheTest",
    "roomAdd defaultRoom",
    "say defaultRoom hooray!",
    "paramAdd file=simple.html",
    "file",
    "quit",
  ]);
});

test("the server replies as the tutorial says, line by line", async () => {
  const peer = await SocketPeer.connect();
  let read = 0;
  for (const { typed, answers } of steps) {
    if (typed !== undefined) peer.socket.write(`${typed}\r\n`);
    const isFile = answers.includes("FILE");
    await until(() => {
      const text = peer.text.slice(read);
      return isFile
        ? text.endsWith(simple)
        : text.split("\r\n").length > answers.length;
    });
    expectAnswers(peer.text.slice(read), answers);
    read = peer.text.length;
  }
  await peer.ended;
});

describe("all at once, in pieces", () => {
  // what is said in a room comes back by way of redis, so that who quits at once may not hear it
  const lines = typed.slice(0, -1).map((line) => `${line}\r\n`);
  const bytes = Buffer.from(lines.join(""));
  const all = steps.flatMap(({ answers }) => answers);

  /** Pseudo-random, the same in every run. */
  function* sizes(seed: number, most: number): Generator<number> {
    for (let state = seed; ;) {
      state = (state * 48271) % 2147483647;
      yield 1 + (state % most);
    }
  }

  test.each<[string, Iterable<number>]>([
    ["whole", [bytes.length]],
    ["byte by byte", sizes(1, 1)],
    ["pieces of up to 9 bytes", sizes(7, 9)],
    ["pieces of up to 60 bytes", sizes(11, 60)],
  ])("%s", async (_title, pieces) => {
    const peer = await SocketPeer.connect();
    peer.socket.setNoDelay(true);
    let start = 0;
    for (const size of pieces) {
      if (start >= bytes.length) break;
      peer.socket.write(bytes.subarray(start, start + size));
      start += size;
      await new Promise(setImmediate);
    }
    await until(
      () => peer.text.includes(simple) && peer.text.includes('"hooray!"'),
    );
    peer.socket.write("quit\r\n");
    await peer.ended;
    // it comes when it comes, but never amid the file
    const at = peer.text.indexOf(simple);
    expect(at).toBeGreaterThan(0);
    const rest = peer.text.slice(0, at) + peer.text.slice(at + simple.length);
    expectAnswers(
      rest,
      all.filter((line) => line !== "FILE"),
    );
  });
});

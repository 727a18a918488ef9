/** Output that clients do not read: `general.maxUnreadBytes` limits that of all of them together. */
import * as fs from "node:fs";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { api, config } from "../../src/index";
import { FREE_BYTES } from "../../src/server/heldBytes";
import { totalUnreadBytes, UnreadShare } from "../../src/server/outbox";
import { isOutputSpent } from "../../src/server/turn";
import { pass } from "../support/clock";
import { LogLines } from "../support/logLines";
import { clientFrame, rawUpgrade } from "../support/rawWebsocket";
import { socketPort } from "../support/socketApp";
import { until } from "../support/until";
import { addActions, startWebApp, type WebApp } from "../support/webApp";

const MIB = 1024 * 1024;
/** More than the buffers of the kernel for one connection. */
const SIZE = 48 * MIB;
/** Two of these responses may wait. */
const LIMIT = 64 * MIB;
const TEXT = "a".repeat(SIZE);

let app: WebApp;
let logged: LogLines;
let runs = 0;

beforeAll(async () => {
  logged = new LogLines("info");
  Object.assign(config.socket, { enabled: true, port: 0, bindIP: "::" });
  app = await startWebApp();
  addActions({
    big: {
      run: () => {
        runs++;
        return { text: TEXT };
      },
    },
  });
});

beforeEach(() => {
  runs = 0;
  config.general.maxUnreadBytes = LIMIT;
});

afterEach(async () => {
  clients.splice(0).forEach(({ socket }) => socket.destroy());
  await until(() => totalUnreadBytes() === 0);
});

afterAll(async () => {
  logged.stop();
  await app.stop();
});

/** A client that reads nothing until it is told to. */
class Client {
  received = 0;

  constructor(readonly socket: net.Socket) {
    clients.push(this);
    socket.pause();
    socket.on("data", (chunk) => (this.received += chunk.length));
    socket.on("error", () => undefined);
  }

  get isCut(): boolean {
    return this.socket.destroyed && this.received < SIZE;
  }

  get hasAll(): boolean {
    return this.received > SIZE;
  }
}

const clients: Client[] = [];

const FRAME = { event: "action", messageId: 1, params: { action: "big" } };
const REQUEST = "GET /api/big HTTP/1.1\r\nHost: localhost\r\n\r\n";

const OPEN: Record<string, () => Promise<net.Socket>> = {
  web: async () => connect(app.port, REQUEST),
  websocket: async () => {
    const { socket } = await rawUpgrade(
      "/primus",
      {},
      clientFrame(JSON.stringify(FRAME)),
    );
    return socket;
  },
  socket: async () => connect(socketPort(), '{"action":"big"}\r\n'),
};

function connect(port: number, text: string): net.Socket {
  const socket = net.connect(port, "localhost");
  socket.write(text);
  return socket;
}

/** Resolves when the server has written the response. */
async function open(transport: string): Promise<Client> {
  const before = runs;
  const client = new Client(await OPEN[transport]());
  await until(() => runs > before);
  return client;
}

test("files that clients do not read count while they are sent, also behind one another", async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "unread-"));
  fs.writeFileSync(path.join(folder, "big.bin"), Buffer.alloc(SIZE + 1, "a"));
  api.staticFile.searchLocations.unshift(folder);
  config.general.maxUnreadBytes = MIB;
  const get = "GET /big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n";
  const reader = new Client(connect(app.port, get));
  reader.socket.resume();
  const silent = Array.from(
    { length: 20 },
    () => new Client(connect(app.port, get.repeat(2))),
  );
  await until(() => reader.hasAll && totalUnreadBytes() > MIB / 2);
  expect(totalUnreadBytes()).toBeLessThanOrEqual(MIB);
  for (const { socket } of silent) socket.resume();
  await until(() => silent.filter(({ isCut }) => isCut).length > 10);
  for (const { socket } of silent) socket.destroy();
  await until(() => totalUnreadBytes() === 0);
  api.staticFile.searchLocations.shift();
  fs.rmSync(folder, { recursive: true });
});

describe.each(Object.keys(OPEN))("%s", (transport) => {
  test("of many clients that read nothing, those that have waited the longest are disconnected", async () => {
    const first = await open(transport);
    const second = await open(transport);
    expect(totalUnreadBytes()).toBe(LIMIT);
    const third = await open(transport);
    expect(totalUnreadBytes()).toBe(LIMIT);
    [first, second, third].forEach(({ socket }) => socket.resume());
    await until(() => first.isCut && second.hasAll && third.hasAll);
    expect(first.isCut).toBe(true);
  });

  test("a client that reads stays, though it has waited for longer than one that does not", async () => {
    const reader = await open(transport);
    const idle = await open(transport);
    reader.socket.resume();
    // more than the buffers, so that the system has taken output since
    await until(() => reader.received > SIZE / 3);
    reader.socket.pause();
    pass(1_000);
    const last = await open(transport);
    [reader, idle, last].forEach(({ socket }) => socket.resume());
    await until(() => idle.isCut && reader.hasAll && last.hasAll);
    expect(reader.isCut).toBe(false);
  });

  test("responses that are read do not count", async () => {
    for (let i = 0; i < 4; i++) {
      const client = await open(transport);
      client.socket.resume();
      await until(() => client.hasAll);
    }
    await until(() => totalUnreadBytes() === 0);
    expect(clients.filter(({ isCut }) => isCut)).toEqual([]);
  });
});

describe("what is written in a turn of the event loop has a limit", () => {
  const COUNT = 24;
  const CONNECT: Record<string, () => Promise<net.Socket>> = {
    web: async () => connect(app.port, ""),
    websocket: async () => (await rawUpgrade()).socket,
    socket: async () => connect(socketPort(), ""),
  };
  const SEND: Record<string, string | Buffer> = {
    web: REQUEST.replace("big", "large"),
    websocket: clientFrame(JSON.stringify(FRAME).replace("big", "large")),
    socket: '{"action":"large"}\r\n',
  };
  let turn = 0;
  let runsOfTurns: number[] = [];
  beforeAll(() =>
    addActions({
      large: {
        run: () => {
          runsOfTurns[turn] = (runsOfTurns[turn] ?? 0) + 1;
          return { text: TEXT.slice(0, 4 * MIB) };
        },
      },
    }),
  );

  test.each(Object.keys(CONNECT))("%s", async (transport) => {
    config.general.maxUnreadBytes = 1024 * MIB;
    const some = await Promise.all(
      Array.from({ length: COUNT }, CONNECT[transport]),
    );
    const opened = some.map((socket) => new Client(socket));
    await until(() => opened.every(({ socket }) => !socket.connecting));
    for (const { socket } of opened) socket.resume();
    await new Promise((resolve) => setTimeout(resolve, 100));
    runsOfTurns = [];
    let isCounting = true;
    const count = () => {
      turn++;
      if (isCounting) setImmediate(count);
    };
    count();
    for (const { socket } of opened) socket.write(SEND[transport]);
    const all = () => runsOfTurns.reduce((sum, runs) => sum + runs, 0);
    await until(() => all() === COUNT);
    isCounting = false;
    expect(Math.max(...runsOfTurns.filter(Boolean))).toBeLessThanOrEqual(6);
  });
});

test("requests of an HTTP client wait while it does not read", async () => {
  const client = new Client(connect(app.port, REQUEST.repeat(4)));
  await until(() => totalUnreadBytes() > 0);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(runs).toBe(1);
  client.socket.resume();
  await until(() => client.received > 4 * SIZE);
  expect(runs).toBe(4);
});

test.each(Object.keys(OPEN))(
  "a line tells why a client of %s was disconnected",
  async (transport) => {
    const lines = () =>
      logged.at("warning", /bytes wait.*exceed general\.maxUnreadBytes/);
    const before = lines().length;
    for (let i = 0; i < 3; i++) await open(transport);
    await until(() => lines().length > before);
  },
);

describe("the count", () => {
  const cut: string[] = [];
  /** The output of a client that reads what the test says. */
  class Share extends UnreadShare {
    constructor(
      name: string,
      remoteAddress = "1.1.1.1",
      private readonly handle = { bytesWritten: 0, writeQueueSize: 0 },
    ) {
      super({ remoteAddress, _handle: handle }, () => cut.push(name));
    }

    reads(bytes: number): void {
      this.handle.bytesWritten += bytes;
    }
  }
  const share = (name: string, address?: string) => new Share(name, address);

  beforeEach(() => {
    cut.length = 0;
    pass(10_000);
    config.general.maxUnreadBytes = 10 * FREE_BYTES;
  });

  test("small output is not counted", () => {
    const small = share("small");
    small.update(FREE_BYTES);
    expect(totalUnreadBytes()).toBe(0);
    small.release();
  });

  test("one client has at most half of the limit, so that a long response disconnects nobody", () => {
    const long = share("long");
    const short = share("short");
    long.update(100 * FREE_BYTES);
    short.update(2 * FREE_BYTES);
    expect([totalUnreadBytes(), cut]).toEqual([7 * FREE_BYTES, []]);
    long.release();
    short.release();
    expect(totalUnreadBytes()).toBe(0);
  });

  test("a client that has read everything waits anew when it falls behind again", () => {
    const [a, b, c] = [share("a"), share("b"), share("c")];
    a.update(4 * FREE_BYTES);
    b.update(4 * FREE_BYTES);
    a.update(0);
    a.update(4 * FREE_BYTES);
    c.update(4 * FREE_BYTES);
    expect(cut).toEqual(["b"]);
    a.release();
    c.release();
  });

  describe("of clients with too much together", () => {
    const shares: Share[] = [];
    const waiting = (name: string, address?: string) => {
      const added = share(name, address);
      shares.push(added);
      added.update(4 * FREE_BYTES);
      return added;
    };
    afterEach(() => shares.splice(0).forEach((one) => one.release()));

    test("one that has read a part of it goes after one that has read nothing", () => {
      const reader = waiting("reader");
      pass(4_000);
      waiting("idle");
      reader.reads(FREE_BYTES);
      waiting("last");
      expect(cut).toEqual(["idle"]);
    });

    test("one that has read before, but not for seconds, goes first", () => {
      const stalled = waiting("stalled");
      waiting("idle");
      stalled.reads(FREE_BYTES);
      pass(1_000);
      waiting("second").release();
      expect(cut).toEqual(["idle"]);
      pass(30_000);
      waiting("third");
      waiting("fourth");
      expect(cut).toEqual(["idle", "stalled"]);
    });

    test("a few bytes are no progress", () => {
      const dripping = waiting("dripping");
      waiting("idle");
      dripping.reads(FREE_BYTES - 1);
      waiting("last");
      expect(cut).toEqual(["dripping"]);
    });

    test("one that reads slowly stays while another address has most of it", () => {
      config.general.maxUnreadBytes = 16 * FREE_BYTES;
      const slow = waiting("slow", "2.2.2.2");
      for (const name of ["a", "b", "c"]) waiting(name, "3.3.3.3");
      // the system takes its output in bursts
      for (let i = 0; i < 4; i++) {
        pass(20_000);
        slow.reads(FREE_BYTES);
        waiting(`of round ${i}`, "3.3.3.3");
      }
      expect(cut).not.toContain("slow");
      expect(cut.length).toBeGreaterThan(3);
    });

    test("one that has read seconds ago is not idle", () => {
      const reader = waiting("reader");
      waiting("idle");
      reader.reads(FREE_BYTES);
      pass(1_000);
      waiting("second");
      pass(20_000);
      waiting("third");
      expect(cut).toEqual(["idle", "second"]);
    });

    test("one of the address with most of it goes before those of others", () => {
      config.general.maxUnreadBytes = 16 * FREE_BYTES;
      waiting("other", "2.2.2.2");
      for (const name of ["a", "b", "c", "d"]) waiting(name, "3.3.3.3");
      expect(cut).toEqual(["a", "b"].slice(0, cut.length));
      expect(cut.length).toBeGreaterThan(0);
    });
  });

  test("a disconnection ends the turn of the event loop, which frees what was not read", async () => {
    await new Promise(setImmediate); // ends the turn of the test before
    const shares = [share("a"), share("b"), share("c")];
    expect(isOutputSpent()).toBe(false);
    shares.forEach((one) => one.update(4 * FREE_BYTES));
    expect([cut, isOutputSpent()]).toEqual([["a"], true]);
    await new Promise(setImmediate);
    expect(isOutputSpent()).toBe(false);
    shares.forEach((one) => one.release());
  });

  test("a share that was released counts no more", () => {
    const gone = share("gone");
    gone.update(4 * FREE_BYTES);
    gone.release();
    gone.add(4 * FREE_BYTES);
    expect(totalUnreadBytes()).toBe(0);
  });

  test.each([0, null])("%s is no limit", (none) => {
    config.general.maxUnreadBytes = none;
    const shares = [share("a"), share("b"), share("c")];
    shares.forEach((one) => one.update(1e12));
    expect(cut).toEqual([]);
    shares.forEach((one) => one.release());
  });
});

/** Which clients a stop ends, and when. */
import { Drain } from "../../src/server/drain";
import { until } from "../support/until";

class Client {
  isBusy = false;
  isHandedOver = false;
  isSilent = false;
  readonly calls: string[] = [];
}

let clients: Client[];
let resolveGone: () => void;
const log = jest.fn();

function drainOf(timeoutMs: number, idleMs = 0): Drain<Client> {
  return new Drain<Client>({
    timeoutMs,
    log,
    idleMs,
    gone: new Promise<void>((resolve) => (resolveGone = resolve)),
    clients: () => clients,
    isBusy: ({ isBusy }) => isBusy,
    end: ({ calls }) => calls.push("end"),
    cut: ({ calls, isBusy }) => {
      calls.push("cut");
      return isBusy;
    },
    isHandedOver: ({ isHandedOver }) => isHandedOver,
    isSilent: ({ isSilent }) => isSilent,
  });
}

/** @returns the log lines */
async function finish(drain: Drain<Client>): Promise<string[]> {
  resolveGone();
  return linesAfter(drain.finish());
}

async function linesAfter(finished: Promise<void>): Promise<string[]> {
  await finished;
  return log.mock.calls.map(([message]) => message as string);
}

beforeEach(() => {
  log.mockClear();
  clients = [new Client(), new Client()];
});

test("idle clients are ended at once, and busy ones when they become idle", async () => {
  const [idle, busy] = clients;
  busy.isBusy = true;
  const drain = drainOf(30_000);
  expect([idle.calls, busy.calls]).toEqual([["end"], []]);
  drain.update(busy);
  expect(busy.calls).toEqual([]);
  busy.isBusy = false;
  drain.update(busy);
  drain.update(busy);
  expect(busy.calls).toEqual(["end"]);
  expect(await finish(drain)).toEqual([]);
});

test("a client that became idle without a call is ended soon", async () => {
  const [client] = clients;
  client.isBusy = true;
  const drain = drainOf(30_000);
  client.isBusy = false;
  await until(() => client.calls.length > 0);
  expect(client.calls).toEqual(["end"]);
  await finish(drain);
});

test("clients that are left at the deadline are cut once, and counted if they were busy", async () => {
  const [idle, busy] = clients;
  busy.isBusy = true;
  const drain = drainOf(50);
  const finished = drain.finish();
  await until(() => busy.calls.length > 0 && idle.calls.length > 1);
  drain.update(busy);
  expect([idle.calls, busy.calls]).toEqual([["end", "cut"], ["cut"]]);
  resolveGone();
  expect(await linesAfter(finished)).toEqual([
    expect.stringMatching(/^disconnected 1 clients that did not finish within/),
  ]);
});

test("clients that were handed over are left alone until finish, and outlive the deadline", async () => {
  const [handedOver, own] = clients;
  handedOver.isHandedOver = true;
  own.isBusy = true;
  const drain = drainOf(0);
  await until(() => own.calls.includes("cut"));
  expect(handedOver.calls).toEqual([]);
  const finished = drain.finish();
  expect(handedOver.calls).toEqual(["end"]);
  await until(() => handedOver.calls.includes("cut"));
  resolveGone();
  await finished;
});

test("an ended client that does not close its side is disconnected, but not counted", async () => {
  const [silent, reading] = clients;
  silent.isSilent = true;
  const drain = drainOf(30_000);
  await until(() => silent.calls.length > 1);
  expect([silent.calls, reading.calls]).toEqual([["end", "cut"], ["end"]]);
  expect(await finish(drain)).toEqual([]);
});

test("idle clients may still send a request for idleMs", async () => {
  const [client] = clients;
  const drain = drainOf(30_000, 200);
  drain.update(client);
  expect(client.calls).toEqual([]);
  await until(() => client.calls.length > 0);
  await finish(drain);
});

test("a drain does not keep the process alive by its deadline if a later step fails", async () => {
  const timers = () =>
    process.getActiveResourcesInfo().filter((type) => type === "Timeout");
  const before = timers();
  clients = [];
  const drain = drainOf(600_000);
  expect(timers()).toEqual(before);
  expect(await finish(drain)).toEqual([]);
});

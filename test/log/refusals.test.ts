import { LogLines } from "../support/logLines";
import { isRefusalLogged, logDisconnect } from "../../src/log/refusals";

const ACTIONS = { what: "actions", level: "error" } as const;
const INTERVAL_MS = 1_000;

const client = (to: string, source: object = {}) => ({
  type: "socket",
  source,
  to,
});

let logged: LogLines;

beforeEach(() => {
  jest.useFakeTimers();
  logged = new LogLines();
});

afterEach(() => {
  jest.advanceTimersByTime(2 * INTERVAL_MS);
  expect(jest.getTimerCount()).toBe(0); // nothing is left when nobody is refused
  logged.stop();
  jest.useRealTimers();
});

const counts = () =>
  logged.lines.map(({ level, message, to, count }) => [
    level,
    message,
    to,
    count,
  ]);

test("the first refusal of a client has a line, those after it are a count per second", () => {
  const one = client("1.1.1.1");
  const refuse = (times: number) =>
    Array.from({ length: times }, () => isRefusalLogged(one, ACTIONS));
  expect(refuse(3)).toEqual([true, false, false]);
  expect(counts()).toEqual([]);
  jest.advanceTimersByTime(INTERVAL_MS);
  const message = "[server: socket] refused more actions of a client";
  expect(counts()).toEqual([["error", message, "1.1.1.1", 2]]);
  expect(refuse(5)).toEqual(Array(5).fill(false));
  jest.advanceTimersByTime(INTERVAL_MS);
  expect(counts()[1]).toEqual(["error", message, "1.1.1.1", 5]);
  jest.advanceTimersByTime(INTERVAL_MS);
  expect(counts()).toHaveLength(2);
  expect(refuse(1)).toEqual([true]);
});

test("clients, what is refused, and levels count for themselves", () => {
  const [one, other] = [client("1.1.1.1"), client("1.1.1.1")];
  expect(isRefusalLogged(one, ACTIONS)).toBe(true);
  expect(isRefusalLogged(other, ACTIONS)).toBe(true);
  expect(isRefusalLogged(one, { ...ACTIONS, what: "lines" })).toBe(true);
  expect(isRefusalLogged(one, { ...ACTIONS, level: "info" })).toBe(true);
  expect(isRefusalLogged(one, ACTIONS)).toBe(false);
  expect(isRefusalLogged(other, ACTIONS)).toBe(false);
});

test("connections count by their network: ten lines, then a count", () => {
  const log = jest.fn();
  const cut = (remoteAddress?: string) => {
    log.mockClear();
    logDisconnect({ type: "web", log }, { remoteAddress }, "disconnected");
    return log.mock.calls.length === 1;
  };
  const taken = Array.from({ length: 50 }, (_, i) => cut(`2001:db8::${i}`));
  expect(taken.filter(Boolean)).toHaveLength(10);
  expect(cut("::ffff:2.2.2.2")).toBe(true);
  expect(cut(undefined)).toBe(true); // a unix socket
  jest.advanceTimersByTime(INTERVAL_MS);
  const message = "[server: web] refused more connections of a client";
  expect(counts()).toEqual([["warning", message, "2001:db8::0", 40]]);
});

test("a flood of clients shares one count, and takes no more memory", () => {
  const flood = Array.from({ length: 5_000 }, (_, i) =>
    isRefusalLogged(client(`client ${i}`), ACTIONS),
  );
  expect(flood.filter(Boolean)).toHaveLength(1_010);
  jest.advanceTimersByTime(INTERVAL_MS);
  expect(counts().map(([, , to, count]) => [to, count])).toEqual([
    ["several clients", 3_990],
  ]);
});

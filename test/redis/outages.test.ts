process.env.LOG_LEVEL = "emerg"; // what is logged is looked at, not shown

import { EventEmitter } from "node:events";
import type { Redis } from "ioredis";
import {
  ConnectionLog,
  isSilent,
  noteWriteAccepted,
  noteRefusal,
  noteReply,
  noteUnavailable,
} from "../../src/redis/outages";
import { LogLines } from "../support/logLines";

/** How long an operation takes at most. */
const LATE_MS = 60_000;

let logs: LogLines;
let connectionLog: ConnectionLog;
beforeEach(() => {
  logs = new LogLines();
  connectionLog = new ConnectionLog(LATE_MS);
});
afterEach(() => logs.stop());

/** A connection that only says what happens to it. */
function connection(name: string): Redis {
  const client = Object.assign(new EventEmitter(), {
    options: { host: "127.0.0.1", port: 1 },
  }) as unknown as Redis;
  connectionLog.followErrors(name, client);
  connectionLog.follow(name, client);
  return client;
}

const alerts = () => logs.at("alert", /./).length;
const notices = () => logs.at("notice", /^redis is back after \d+ ms$/).length;
const refused = new Error("refused");

test("an outage is over when all connections are back: one that fails meanwhile does not start another", () => {
  const [one, other] = [connection("one"), connection("other")];
  for (const client of [one, other]) client.emit("close");
  one.emit("error", refused);
  one.emit("ready");
  expect([alerts(), notices()]).toEqual([1, 0]);
  other.emit("error", refused);
  other.emit("ready");
  expect([alerts(), notices()]).toEqual([1, 1]);
});

test("a connection that was ended is not waited for", () => {
  const [one, other] = [connection("one"), connection("other")];
  for (const client of [one, other]) client.emit("close");
  one.emit("error", refused);
  other.emit("end");
  one.emit("ready");
  expect([alerts(), notices()]).toEqual([1, 1]);
});

test("each outage is logged; a connection that reopens at once is not an outage", () => {
  const one = connection("one");
  for (let i = 0; i < 2; i++) {
    one.emit("close");
    one.emit("error", refused);
    one.emit("error", refused);
    one.emit("ready");
  }
  one.emit("close");
  one.emit("ready");
  expect([alerts(), notices()]).toEqual([2, 2]);
});

test("an operation that fails after the outage in which it began does not start another one", () => {
  const one = connection("one");
  noteUnavailable(one);
  noteWriteAccepted(one);
  noteUnavailable(one);
  expect(isSilent(one)).toBe(false);
  expect([alerts(), notices()]).toEqual([1, 1]);
});

test("an operation that fails long after an outage starts the next one", () => {
  jest.useFakeTimers({ now: 0 });
  try {
    const one = connection("one");
    noteUnavailable(one);
    noteWriteAccepted(one);
    jest.advanceTimersByTime(LATE_MS + 1);
    noteUnavailable(one);
    noteWriteAccepted(one);
    expect([alerts(), notices()]).toEqual([2, 2]);
  } finally {
    jest.useRealTimers();
  }
});

test("an outage that begins with a timeout is one while redis refuses writes", () => {
  const one = connection("one");
  noteUnavailable(one, "redis does not respond", new Error("timed out"));
  const refusal = new Error("NOREPLICAS Not enough good replicas to write.");
  noteUnavailable(one, "redis does not respond", refusal);
  noteReply(one);
  expect([alerts(), notices()]).toEqual([1, 0]);
  noteWriteAccepted(one);
  expect([alerts(), notices()]).toEqual([1, 1]);
});

test("a server that refuses writes is an outage until it accepts one, whatever was lost before and meanwhile", () => {
  const [one, other] = [connection("one"), connection("other")];
  noteUnavailable(one, "redis does not respond", new Error("timed out"));
  noteWriteAccepted(one);
  const refusal = new Error("READONLY You can't write against a read only...");
  for (let i = 0; i < 3; i++) {
    noteRefusal(one, refusal);
    one.emit("close");
    one.emit("ready");
    noteReply(one);
  }
  expect([alerts(), notices()]).toEqual([2, 1]);
  other.emit("close");
  noteWriteAccepted(one);
  expect(notices()).toBe(1);
  other.emit("ready");
  expect([alerts(), notices()]).toEqual([2, 2]);
});

test("a connection that stays lost is an outage, also if each attempt is accepted and closed", () => {
  jest.useFakeTimers({ now: 0 });
  try {
    const one = connection("one");
    one.emit("close");
    jest.advanceTimersByTime(100);
    one.emit("ready");
    jest.advanceTimersByTime(1_000);
    expect([alerts(), notices()]).toEqual([0, 0]);
    for (let i = 0; i < 20; i++) {
      one.emit("close");
      jest.advanceTimersByTime(100);
      one.emit("connect");
    }
    one.emit("ready");
    expect([alerts(), notices()]).toEqual([1, 1]);
    one.emit("close");
    one.emit("end");
    jest.advanceTimersByTime(1_000);
    expect([alerts(), notices()]).toEqual([1, 1]);
  } finally {
    jest.useRealTimers();
  }
});

test("an outage in which redis answers and refuses writes ends with a write, not with a sign of life", () => {
  const one = connection("one");
  const full = Object.assign(new Error("MISCONF"), {
    name: "ReplyError",
    command: { name: "set", args: ["key", "secret"] },
  });
  noteUnavailable(one, "redis does not respond", full);
  for (let i = 0; i < 3; i++) {
    noteReply(one);
    one.emit("ready");
    noteUnavailable(one, "redis does not respond", full);
  }
  expect([alerts(), notices()]).toEqual([1, 0]);
  noteWriteAccepted(one);
  expect([alerts(), notices()]).toEqual([1, 1]);
  expect(JSON.stringify(logs.lines)).not.toContain("secret");
});

process.env.LOG_LEVEL = "emerg"; // what is logged is looked at, not shown

import { EventEmitter } from "node:events";
import type { Redis } from "ioredis";
import { ConnectionLog } from "../../src/redis/connectionLog";
import { LogLines } from "../support/logLines";

let logs: LogLines;
let connectionLog: ConnectionLog;
beforeEach(() => {
  logs = new LogLines();
  connectionLog = new ConnectionLog();
});
afterEach(() => logs.stop());

/** A connection that only says what happens to it. */
function connection(name: string): EventEmitter {
  const client = Object.assign(new EventEmitter(), {
    options: { host: "127.0.0.1", port: 1 },
  });
  connectionLog.follow(name, client as unknown as Redis);
  return client;
}

const alerts = () => logs.at("alert", /./).length;
const notices = () => logs.at("notice", /^redis is back after \d+ ms$/).length;
const refused = new Error("refused");

test("an outage is over when all connections are back: one that fails meanwhile tells of no other", () => {
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

test("each outage is told of; what opens at once again is none", () => {
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

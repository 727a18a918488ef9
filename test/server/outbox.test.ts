/** The outbox that TCP and websocket clients have in common, on a real socket. */
import { once } from "node:events";
import * as net from "node:net";
import { HIGH_WATER_BYTES, Outbox } from "../../src/server/outbox";
import { until } from "../support/until";

class Lines extends Outbox<string> {
  readonly told: string[] = [];
  maxBytes = 0;
  timeoutMs = 0;
  isHolding = false;

  override get isCorked() {
    return this.isHolding;
  }
  override join(texts: string[]) {
    return texts.join("");
  }
  override limit() {
    return this.maxBytes;
  }
  override timeout() {
    return this.timeoutMs;
  }
  override onBehind(isBehind: boolean) {
    this.told.push(isBehind ? "behind" : "in time");
  }
  override onOverflow(bytes: number) {
    this.told.push(`overflow ${bytes}`);
  }
  override onSlowest(bytes: number) {
    this.told.push(`slowest ${bytes}`);
  }
  override onStalled() {
    this.told.push("stalled");
    this.socket.destroy();
  }
}

/** More than the buffers of the operating system hold. */
const FLOOD = "x".repeat(32 * HIGH_WATER_BYTES);

const listener = net.createServer();
let socket: net.Socket;
let peer: net.Socket;
let outbox: Lines;

beforeAll(async () => {
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
});

afterAll(async () => {
  listener.close();
  await once(listener, "close");
});

beforeEach(async () => {
  const { port } = listener.address() as net.AddressInfo;
  peer = net.connect(port, "127.0.0.1");
  [socket] = (await once(listener, "connection")) as [net.Socket];
  for (const one of [socket, peer]) one.on("error", () => undefined);
  outbox = new Lines(socket);
});

afterEach(async () => {
  const closed = [socket, peer]
    .filter((one) => !one.closed)
    .map((one) => once(one, "close"));
  socket.destroy();
  peer.destroy();
  await Promise.all(closed);
});

test("everything of a tick is one write", async () => {
  const write = jest.spyOn(socket, "write");
  outbox.send("a");
  outbox.send("b");
  expect([outbox.bufferedBytes, write.mock.calls]).toEqual([2, []]);
  await new Promise(setImmediate);
  expect(write.mock.calls).toEqual([["ab"]]);
});

test("what is queued waits while the outbox is held", async () => {
  outbox.isHolding = true;
  outbox.send("a");
  await new Promise(setImmediate);
  expect(outbox.bufferedBytes).toBe(1);
  outbox.isHolding = false;
  outbox.flush();
  const [text] = (await once(peer, "data")) as [Buffer];
  expect(String(text)).toBe("a");
});

test("one chunk may be longer than the limit, and the next one is too many", () => {
  outbox.maxBytes = 10;
  outbox.send("x".repeat(20));
  expect(outbox.told).toEqual([]);
  outbox.send("y");
  expect([outbox.told, outbox.bufferedBytes]).toEqual([["overflow 20"], 0]);
});

test("a client that reads nothing is behind until it has caught up", async () => {
  peer.pause();
  outbox.send(FLOOD);
  await new Promise(setImmediate);
  expect([outbox.told, outbox.isBehind]).toEqual([["behind"], true]);
  peer.resume();
  await until(() => !outbox.isBehind);
  expect(outbox.told).toEqual(["behind", "in time"]);
  expect(outbox.bufferedBytes).toBeLessThanOrEqual(HIGH_WATER_BYTES);
});

test("a client that takes no byte within the timeout is stalled", async () => {
  outbox.timeoutMs = 50;
  peer.pause();
  outbox.send(FLOOD);
  await until(() => socket.destroyed);
  expect(outbox.told.slice(0, 2)).toEqual(["behind", "stalled"]);
});

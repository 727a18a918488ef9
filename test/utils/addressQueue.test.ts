import { AddressQueue } from "../../src/utils/addressQueue";

function queueOf(...names: string[]): AddressQueue<{ name: string }> {
  const queue = new AddressQueue<{ name: string }>();
  for (const name of names)
    queue.add({ name }, name.startsWith("a") ? "1.1.1.1" : "2.2.2.2");
  return queue;
}

function drain(queue: AddressQueue<{ name: string }>): string[] {
  const taken: string[] = [];
  for (;;) {
    const next = queue.take();
    if (next === undefined) return taken;
    taken.push(next.name);
  }
}

test("addresses take turns, and the clients of one are in order", () => {
  const queue = queueOf("a1", "a2", "a3", "b1", "a4", "b2");
  expect(queue.size).toBe(6);
  expect(drain(queue)).toEqual(["a1", "b1", "a2", "b2", "a3", "a4"]);
  expect(queue.size).toBe(0);
});

test("a client that comes again is behind the others of its address, and its address behind the others", () => {
  const queue = queueOf("a1", "a2", "b1", "b2");
  const first = queue.take()!;
  queue.add(first, "1.1.1.1");
  expect(drain(queue)).toEqual(["b1", "a2", "b2", "a1"]);
});

test("a client waits once, and not after it was deleted", () => {
  const queue = queueOf("a1");
  const client = { name: "b1" };
  queue.add(client, "2.2.2.2");
  queue.add(client, "2.2.2.2");
  queue.delete(client);
  queue.delete(client);
  expect(drain(queue)).toEqual(["a1"]);
});

test("clients of unix sockets have one address", () => {
  const queue = queueOf("a1");
  queue.add({ name: "unix" }, undefined);
  expect(drain(queue)).toEqual(["a1", "unix"]);
});

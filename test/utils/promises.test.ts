import { randomBytes } from "node:crypto";
import { promisify } from "node:util";
import { Slots, waitAtMost, withTimeout } from "../../src/utils/promises";

const late = () => "too late";

test("work that takes too long is given up", async () => {
  const never = new Promise(() => undefined);
  await expect(
    withTimeout(10, never, "AH_REDIS_TIMEOUT", late),
  ).rejects.toMatchObject({ code: "AH_REDIS_TIMEOUT", message: "too late" });
});

test("what arrived while this process stood still is in time", async () => {
  const work = promisify(randomBytes)(8); // done at once, by another thread
  const outcome = withTimeout(20, work, "AH_REDIS_TIMEOUT", late);
  const end = performance.now() + 200;
  while (performance.now() < end);
  expect(await outcome).toHaveLength(8);
});

test.each([2 ** 31, Infinity])(
  "work that may take %d ms is waited for",
  async (ms) => {
    const slow = () =>
      new Promise((resolve) => setTimeout(resolve, 50, "done"));
    expect(await withTimeout(ms, slow(), "AH_REDIS_TIMEOUT", late)).toBe(
      "done",
    );
    expect(await waitAtMost(ms, slow())).toBe(true);
  },
);

test("groups that wait for a slot take turns", async () => {
  const slots = new Slots(1);
  await slots.take();
  const order: string[] = [];
  const wait = (group: string, name: string) =>
    slots.take(group).then(() => order.push(name));
  const waiting = [
    wait("many", "m1"),
    wait("many", "m2"),
    wait("many", "m3"),
    wait("one", "o1"),
  ];
  for (let i = 0; i < waiting.length; i++) slots.release();
  await Promise.all(waiting);
  expect(order).toEqual(["m1", "o1", "m2", "m3"]);
  slots.release();
  expect(slots.takeNow()).toBe(true);
  expect(slots.takeNow()).toBe(false);
});

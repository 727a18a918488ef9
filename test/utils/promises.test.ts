import { randomBytes } from "node:crypto";
import { promisify } from "node:util";
import { waitAtMost, withTimeout } from "../../src/utils/promises";

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

import { Batcher } from "../../src/cache/objects";

function batcher(maxItems = 100, maxWeight = 100) {
  const batches: number[][] = [];
  const alone: number[] = [];
  const doubled = (item: number) => {
    if (item === -1) throw new Error("no luck");
    return item * 2;
  };
  const made = new Batcher(
    {
      one: async (item: number) => {
        alone.push(item);
        return doubled(item);
      },
      many: async (items: number[]) => {
        batches.push(items);
        return items.map(doubled);
      },
      weightOf: (item) => Math.abs(item),
    },
    maxItems,
    maxWeight,
  );
  return { add: (item: number) => made.add(item), batches, alone };
}

test("items of one turn are sent together, each with its own result", async () => {
  const { add, batches, alone } = batcher();
  const later = Promise.resolve().then(() => add(3));
  expect(await Promise.all([add(1), add(2), later])).toEqual([2, 4, 6]);
  expect(await add(4)).toBe(8);
  expect(batches).toEqual([[1, 2, 3]]);
  expect(alone).toEqual([4]);
});

test("a full batch does not wait, and a too heavy item is sent alone", async () => {
  const { add, batches, alone } = batcher(2, 50);
  await Promise.all([add(1), add(2), add(3), add(60), add(5)]);
  expect(batches).toEqual([
    [1, 2],
    [3, 60],
  ]);
  expect(alone).toEqual([5]);
});

test("a failure is that of all in the batch, and of no other", async () => {
  const { add } = batcher(2);
  await expect(add(-1)).rejects.toThrow("no luck");
  const all = await Promise.allSettled([add(1), add(-1), add(3)]);
  expect(all.map(({ status }) => status)).toEqual([
    "rejected",
    "rejected",
    "fulfilled",
  ]);
});

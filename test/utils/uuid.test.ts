import { newId } from "../../src/utils/uuid";

const UUID = /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/;

test("ids are UUIDs of version 4", () => {
  const ids = Array.from({ length: 600 }, () => newId());
  expect(ids.filter((id) => !UUID.test(id))).toEqual([]);
});

test("ids differ within a block and between blocks", () => {
  const ids = Array.from({ length: 2_000 }, () => newId());
  expect(new Set(ids).size).toBe(2_000);
  const blocks = new Set(ids.map((id) => id.slice(0, -2)));
  expect(blocks.size).toBeGreaterThan(5);
});

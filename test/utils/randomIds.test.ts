import { randomHex, randomId } from "../../src/utils/ids";

const COUNT = 1000;

test("ids are UUIDs of version 4, and none of many is repeated", () => {
  const ids = new Set(Array.from({ length: COUNT }, randomId));
  expect(ids.size).toBe(COUNT);
  for (const id of ids)
    expect(id).toMatch(
      /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/,
    );
});

test("fingerprints have 40 hexadecimal digits, and none of many is repeated", () => {
  const ids = new Set(Array.from({ length: COUNT }, randomHex));
  expect(ids.size).toBe(COUNT);
  for (const id of ids) expect(id).toMatch(/^[\da-f]{40}$/);
});

test("every digit of the ids is random", () => {
  const seen = Array.from({ length: 36 }, () => new Set<string>());
  for (let i = 0; i < COUNT; i++)
    [...randomId()].forEach((digit, place) => seen[place].add(digit));
  const counts = seen.map(({ size }) => size);
  const fixed = { 8: 1, 13: 1, 14: 1, 18: 1, 19: 4, 23: 1 };
  expect(counts).toEqual(Object.assign(Array(36).fill(16), fixed));
});

import * as fc from "fast-check";
import type { Connection } from "../../src/connection/connection";
import { ConnectionTable } from "../../src/connection/registry";

let table: ConnectionTable;

beforeEach(() => {
  table = new ConnectionTable();
});

const connect = (id: string) => {
  const connection = { id } as Connection;
  table.add(connection);
  return connection;
};

test("the object holds the open connections, in the order in which they came", () => {
  const a = connect("b");
  const b = connect("c");
  const c = connect("a");
  table.remove(b);
  expect(Object.entries(table.all)).toEqual([
    ["b", a],
    ["a", c],
  ]);
  expect(Object.getPrototypeOf(table.all)).toBe(Object.prototype);
});

test("any order of coming and going leaves those that stay, in the order in which they came", () => {
  const moves = fc.array(fc.nat({ max: 400 }), { maxLength: 600 });
  fc.assert(
    fc.property(moves, (list) => {
      const open: Connection[] = [];
      const tried = new ConnectionTable();
      list.forEach((move, i) => {
        const place = move % 5;
        // three of five come, and what leaves is at any place
        if (place < 3 || open.length === 0) {
          const connection = { id: `c${i}` } as Connection;
          open.push(connection);
          return tried.add(connection);
        }
        const [gone] = open.splice(move % open.length, 1);
        tried.remove(gone);
        tried.remove(gone);
      });
      expect(tried.count).toBe(open.length);
      expect(tried.list()).toEqual(open);
    }),
    { numRuns: 200 },
  );
});

test("connections that pass leave nothing behind", () => {
  const stays = connect("stays");
  for (let i = 0; i < 10_000; i++) {
    const [first, second] = [connect(`a${i}`), connect(`b${i}`)];
    table.remove(first);
    table.remove(second);
  }
  expect(table.count).toBe(1);
  expect(
    (table as unknown as { unindexed: unknown[] }).unindexed.length,
  ).toBeLessThan(200);
  expect(table.list()).toEqual([stays]);
});

test("who holds the object sees what comes and goes", () => {
  const before = connect("before");
  const held = table.all;
  const after = connect("after");
  expect(held).toEqual({ before, after });
  table.remove(before);
  expect(held).toEqual({ after });
  expect(table.all).toBe(held);
});

test("what others put into the object or take out of it counts", () => {
  const mine = connect("mine");
  const other = { id: "other" } as Connection;
  table.all.other = other;
  expect(table.find("other")).toBe(other);
  delete table.all.mine;
  expect(table.find("mine")).toBeUndefined();
  expect(table.list()).toEqual([other]);
  table.remove(mine);
  expect(table.count).toBe(1);
});

test("the object can be replaced, also while connections have not been asked for", () => {
  const old = connect("old");
  const replacement = {};
  table.all = replacement;
  expect(table.all).toBe(replacement);
  expect(table.count).toBe(0);
  table.remove(old);
  const fresh = connect("fresh");
  expect(replacement).toEqual({ fresh });
});

describe.each(["asked for", "not asked for"])("the object %s", (state) => {
  beforeEach(() => {
    if (state === "asked for") void table.all;
  });

  test("connections are found, counted and listed", () => {
    const a = connect("a");
    expect(table.find("a")).toBe(a);
    const b = connect("b");
    expect(table.count).toBe(2);
    expect(table.find("b")).toBe(b);
    expect(table.list()).toEqual([a, b]);
    table.remove(a);
    expect(table.find("a")).toBeUndefined();
    expect(table.count).toBe(1);
  });

  test("names of Object.prototype are not connections, but can be ids", () => {
    expect(table.find("toString")).toBeUndefined();
    expect(table.find("__proto__")).toBeUndefined();
    const odd = connect("constructor");
    expect(table.find("constructor")).toBe(odd);
    table.remove(odd);
    expect(table.find("constructor")).toBeUndefined();
  });

  test("of two with one id the later is found, and the end of the earlier does not remove it", () => {
    const first = connect("twin");
    const second = connect("twin");
    expect(table.find("twin")).toBe(second);
    table.remove(first);
    expect(table.find("twin")).toBe(second);
    table.remove(second);
    expect(table.count).toBe(0);
  });
});

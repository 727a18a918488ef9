import * as fc from "fast-check";
import { hashMerge } from "../../src/utils/objects";

describe("hashMerge", () => {
  test("merges deeply and changes neither side", () => {
    const a = { one: { x: 1, y: { z: 1 } } };
    const b = { one: { y: { w: 2 } }, two: 2 };
    expect(hashMerge(a, b)).toEqual({
      one: { x: 1, y: { z: 1, w: 2 } },
      two: 2,
    });
    expect(a).toEqual({ one: { x: 1, y: { z: 1 } } });
    expect(b).toEqual({ one: { y: { w: 2 } }, two: 2 });
  });

  test("arrays replace, empty objects never wipe", () => {
    expect(hashMerge({ a: [1, 2], b: { c: 1 } }, { a: [3], b: {} })).toEqual({
      a: [3],
      b: { c: 1 },
    });
    expect(hashMerge({}, { a: {} })).toEqual({ a: {} });
  });

  test("null deletes a present key and is kept for an absent one; undefined is ignored", () => {
    expect(
      hashMerge({ a: 1, b: 1 }, { a: null, b: undefined, c: null }),
    ).toEqual({ b: 1, c: null });
  });

  test("functions of both sides are called with the argument", () => {
    const merged = hashMerge(
      { a: (n: number) => ({ x: n }), b: (n: number) => n + 1 },
      { a: (n: number) => ({ y: n * 2 }) },
      5,
    );
    expect(merged).toEqual({ a: { x: 5, y: 10 }, b: 6 });
  });

  test("an object marked _toExpand:false is carried over with its functions", () => {
    const keep = () => "kept";
    const base = { errors: { _toExpand: false, keep, deep: { keep } } };
    expect(hashMerge(base, {}).errors.keep).toBe(keep);
  });

  test("merging over an object marked _toExpand:false calls none of its functions", () => {
    const keep = jest.fn();
    const base = {
      tasks: { _toExpand: false, queues: keep, deep: { keep, a: 1 } },
    };
    const merged = hashMerge(base, { tasks: { timeout: 5, deep: { b: 2 } } });
    expect(keep).not.toHaveBeenCalled();
    expect(merged.tasks).toEqual({
      _toExpand: false,
      queues: keep,
      deep: { keep, a: 1, b: 2 },
      timeout: 5,
    });
  });

  test("an object marked _toExpand:false replaces one that is marked, too, as in version 29", () => {
    const [keep, other] = [() => "kept", () => "other"];
    const merged = hashMerge(
      { redis: { _toExpand: false, keep, client: { keep } } },
      { redis: () => ({ _toExpand: false, client: { other } }) },
    );
    expect(merged.redis).toEqual({ _toExpand: false, client: { other } });
  });

  test("a __proto__ key never changes what the result inherits", () => {
    const hostile = JSON.parse('{"__proto__": {"polluted": true}}') as object;
    const merged = hashMerge({}, hostile) as { polluted?: boolean };
    expect(merged.polluted).toBeUndefined();
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  const plainHash = fc.dictionary(
    fc.stringMatching(/^[a-z]{1,3}$/),
    fc.oneof(
      fc.integer(),
      fc.string(),
      fc.dictionary(fc.stringMatching(/^[a-z]$/), fc.integer(), { minKeys: 1 }),
    ),
  );

  test("merging with nothing is a copy, and merging twice is merging once", () => {
    fc.assert(
      fc.property(plainHash, plainHash, (a, b) => {
        expect(hashMerge(a, {})).toEqual({ ...a });
        const once = hashMerge(a, b);
        expect(hashMerge(once, b)).toEqual(once);
      }),
    );
  });
});

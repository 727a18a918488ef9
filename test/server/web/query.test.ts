import * as fc from "fast-check";
import * as qs from "qs";
import { countPairs, parseQuery } from "../../../src/server/web/params";

const piece = fc.constantFrom(
  "a",
  "b",
  "key",
  "=",
  "&",
  "+",
  "%20",
  "%",
  "%C3%A4",
  "%5B",
  "[",
  "]",
  "0",
  "__proto__",
  "toString",
  ".",
  ",",
  ";",
  "ä",
  "%zz",
);

test("any query string is parsed as qs parses it", () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 14 }), (pieces) => {
      const query = pieces.join("");
      expect(parseQuery(query)).toEqual(qs.parse(query));
    }),
    { numRuns: 5000 },
  );
});

test("nested values, arrays and options reach qs", () => {
  expect(parseQuery("a[b]=1&c=1&c=2")).toEqual({
    a: { b: "1" },
    c: ["1", "2"],
  });
  expect(parseQuery("a.b=1", { allowDots: true })).toEqual({ a: { b: "1" } });
});

test("a prototype key in a query is dropped", () => {
  const parsed = parseQuery("__proto__=x&__proto__[y]=1&a=1");
  expect(Object.getPrototypeOf(parsed)).toBe(Object.prototype);
  expect(({} as { y?: unknown }).y).toBeUndefined();
});

test("the pairs of a query are limited", () => {
  expect([countPairs(""), countPairs("a=1"), countPairs("a&b&c")]).toEqual([
    0, 1, 3,
  ]);
});

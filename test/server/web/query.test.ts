import * as fc from "fast-check";
import * as qs from "qs";
import { compileCoercion } from "../../../src/input/coercion";
import { countPairs, parseQuery } from "../../../src/server/web/params";

const LIMITS = { maxBodyDepth: 200 };

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
      expect(parseQuery(query, LIMITS)).toEqual(
        qs.parse(query, { allowPrototypes: true, depth: 200 }),
      );
    }),
    { numRuns: 5000 },
  );
});

test("nested values, arrays and options reach qs", () => {
  expect(parseQuery("a[b]=1&c=1&c=2", LIMITS)).toEqual({
    a: { b: "1" },
    c: ["1", "2"],
  });
  const dots = { ...LIMITS, queryParseOptions: { allowDots: true } };
  expect(parseQuery("a.b=1", dots)).toEqual({ a: { b: "1" } });
});

test("the indexes of a list are keys where a schema asks for an object", () => {
  const numbers = { type: "object", additionalProperties: { type: "number" } };
  const schema = {
    type: "object",
    properties: {
      a: numbers,
      b: { anyOf: [numbers, { type: "null" }] },
      c: { type: "object", additionalProperties: numbers },
      d: { type: "array", items: { type: "number" } },
      e: { type: ["array", "object"] },
      f: { type: "object", properties: { 1: { type: "string" } } },
    },
  };
  const query =
    "a[3]=1&a[7]=2&b[0]=1&c[5][2]=1&c[k][1]=2&d[3]=1&d[7]=2&e[1]=x&f[1]=x";
  const coerce = compileCoercion(schema, schema)!;
  expect(coerce(parseQuery(query, LIMITS))).toEqual({
    a: { 3: 1, 7: 2 },
    b: { 0: 1 },
    c: { 5: { 2: 1 }, k: { 1: 2 } },
    d: [1, 2],
    e: ["x"],
    f: { 1: "x" },
  });
});

test("a prototype key in a query is dropped", () => {
  const parsed = parseQuery("__proto__=x&__proto__[y]=1&a=1", LIMITS);
  expect(Object.getPrototypeOf(parsed)).toBe(Object.prototype);
  expect(({} as { y?: unknown }).y).toBeUndefined();
});

test("the pairs of a query are limited", () => {
  expect([countPairs(""), countPairs("a=1"), countPairs("a&b&c")]).toEqual([
    0, 1, 3,
  ]);
});

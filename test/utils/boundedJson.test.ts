/** JSON from outside: what is counted, what is refused before it is parsed, what is removed. */
import * as fc from "fast-check";
import {
  JsonLimitError,
  parseBoundedJson,
  topLevelScalar,
  type JsonLimits,
} from "../../src/utils/boundedJson";

const roomy: JsonLimits = { maxDepth: 50, maxKeys: 1000, maxItems: 1000 };

/** The limit that a text exceeds, or what it parses to. */
function outcome(text: string, limits: Partial<JsonLimits>): unknown {
  try {
    return { value: parseBoundedJson(text, { ...roomy, ...limits }) };
  } catch (error) {
    return error instanceof JsonLimitError ? error.exceeded : "malformed";
  }
}

/** The same numbers, taken from the parsed value. */
function measure(value: unknown): JsonLimits {
  if (typeof value !== "object" || value === null)
    return { maxDepth: 0, maxKeys: 0, maxItems: 0 };
  const children = Object.values(value).map(measure);
  const sum = (name: "maxKeys" | "maxItems") =>
    children.reduce((total, child) => total + child[name], 0);
  const own = Object.keys(value).length;
  return {
    maxDepth: 1 + Math.max(0, ...children.map(({ maxDepth }) => maxDepth)),
    maxKeys: sum("maxKeys") + (Array.isArray(value) ? 0 : own),
    maxItems: sum("maxItems") + (Array.isArray(value) ? own : 0),
  };
}

test.each([
  ["maxItems", "[0,0,0]", 3],
  ["maxItems", "[[ ],[\n],{}]", 3],
  ["maxItems", '{"a":[1],"b":[{"c":[2]}]}', 3],
  ["maxKeys", '{"a":{"b":{}},"c":[{}]}', 3],
  ["maxDepth", "[[[]],{}]", 3],
  ["maxDepth", '{"a":{"b":[]}}', 3],
] as const)("%s of %s is %d", (name, text, count) => {
  expect(outcome(text, { [name]: count })).toEqual({ value: JSON.parse(text) });
  expect(outcome(text, { [name]: count - 1 })).toBe(name);
});

test.each([
  '["[[[[[[",{"}}{{":"]]"},"a,b,c:d:e"]',
  '["\\"[[[[[","\\\\",[1],"\\\\\\"{"]',
])("brackets, commas and quotes in strings do not count: %s", (text) => {
  expect(outcome(text, { maxDepth: 2, maxKeys: 1, maxItems: 5 })).toEqual({
    value: JSON.parse(text),
  });
});

test("the counts of a text are those of its value, for any JSON", () => {
  fc.assert(
    fc.property(
      fc.json({ maxDepth: 6 }),
      fc.constantFrom(0, 2),
      (json, space) => {
        const value: unknown = JSON.parse(json);
        const text = JSON.stringify(value, null, space);
        const counts = measure(value);
        expect(outcome(text, counts)).not.toEqual(expect.any(String));
        for (const name of ["maxDepth", "maxKeys", "maxItems"] as const) {
          if (counts[name] === 0) continue;
          const tighter = { ...counts, [name]: counts[name] - 1 };
          expect(outcome(text, tighter)).toBe(name);
        }
      },
    ),
  );
});

test("malformed texts are malformed, or exceed a limit, but never hang or pass", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom(...'[]{},:"\\0 a\u00e9') }),
      (text) => {
        let expected: unknown = "malformed";
        try {
          expected = { value: JSON.parse(text) as unknown };
        } catch {
          // it stays malformed
        }
        expect(outcome(text, {})).toEqual(expected);
      },
    ),
  );
});

test("a bomb is refused without being parsed", () => {
  const parse = jest.spyOn(JSON, "parse");
  try {
    const bomb = `{"a":[${"{},".repeat(5000)}{}]}`;
    expect(outcome(bomb, {})).toBe("maxItems");
    expect(outcome(`${"[".repeat(500_000)}`, {})).toBe("maxDepth");
    expect(parse).not.toHaveBeenCalled();
  } finally {
    parse.mockRestore();
  }
});

test.each([
  '{"__proto__":{"x":1},"a":{"__proto__":{"x":1},"b":[{"__proto__":1}]}}',
  '{"__pr\\u006fto__":{"x":1},"a":{"\\u005f_proto__":{"x":1},"b":[{"__proto__":1}]}}',
])("__proto__ is removed at every level: %s", (text) => {
  const value = parseBoundedJson(text, roomy) as any;
  expect(value).toEqual({ a: { b: [{}] } });
  for (const object of [value, value.a, value.a.b[0]])
    expect(Object.hasOwn(object, "__proto__")).toBe(false);
});

test("a scalar of the outermost object is found without parsing", () => {
  const nested = '{"messageId":"inner"}';
  const text = `{"event":"action","params":${nested},"list":[${nested}], "messageId" : "outer"}`;
  expect(topLevelScalar(text, "messageId")).toBe("outer");
  expect(topLevelScalar('{"messageId":12}', "messageId")).toBe(12);
  expect(topLevelScalar('{"a":"messageId","b":1}', "messageId")).toBe(
    undefined,
  );
  expect(topLevelScalar('{"messageId":{"a":1}}', "messageId")).toBe(undefined);
  expect(topLevelScalar(`{"a":${nested}}`, "messageId")).toBe(undefined);
  expect(topLevelScalar('{"messageId":1.2.3', "messageId")).toBe(undefined);
  expect(topLevelScalar('{"messageId', "messageId")).toBe(undefined);
});

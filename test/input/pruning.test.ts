/** What a JSON Schema leaves of a value, whatever the shapes of both. */
import fc from "fast-check";
import { compilePruner } from "../../src/input/pruning";

const object = (properties: object, others: object | boolean = false) => ({
  type: "object",
  properties,
  additionalProperties: others,
});
const list = (items: object) => ({ type: "array", items });
const text = { type: "string" };
const user = object({ id: { type: "number" }, name: text });

/** @returns what is sent of the value */
function pruned(schema: object, value: unknown): unknown {
  const sent = compilePruner(schema)(value);
  return sent === undefined
    ? undefined
    : (JSON.parse(JSON.stringify(sent)) as unknown);
}

const secret = { id: 1, hash: "x" };

test.each<[name: string, schema: object, value: unknown, sent: unknown]>([
  ["a list in place of an object", user, [secret], [{ id: 1 }]],
  ["lists of lists in place of an object", user, [[secret]], [[{ id: 1 }]]],
  ["an object in place of a list", list(user), secret, { id: 1 }],
  ["an object in place of lists", list(list(user)), secret, { id: 1 }],
  ["a list in place of an item", list(user), [[secret]], [[{ id: 1 }]]],
  [
    "an object in place of a text",
    object({ a: text }),
    { a: secret },
    { a: {} },
  ],
  [
    "a list in place of a text",
    object({ a: text }),
    { a: ["b", secret] },
    { a: ["b", {}] },
  ],
  ["an object among texts", list(text), ["a", secret, null], ["a", {}, null]],
  ["an object in place of a constant", { enum: ["a", 1, null] }, secret, {}],
  [
    "an object that must not be",
    object({ a: { not: {} }, b: false as never, c: { type: [] } }),
    { a: secret, b: secret, c: 1 },
    { c: 1 },
  ],
  [
    "an object in place of a list of itself",
    { type: "array", items: { $ref: "#" } },
    [secret],
    [{}],
  ],
  [
    "items after those of a tuple",
    { prefixItems: [user], items: false },
    [secret, secret],
    [{ id: 1 }],
  ],
  [
    "items after those of an open tuple",
    { prefixItems: [user], items: list(user) },
    [secret, [secret]],
    [{ id: 1 }, [{ id: 1 }]],
  ],
  [
    "the toJSON of an object that is a list",
    user,
    { toJSON: () => [secret] },
    [{ id: 1 }],
  ],
  [
    "a list with a toJSON",
    list(user),
    Object.assign([1], { toJSON: () => [secret] }),
    [{ id: 1 }],
  ],
  [
    "a list of an intersection",
    { allOf: [list(user), { minItems: 1 }] },
    [secret],
    [{ id: 1 }],
  ],
  ["an intersection with anything", { allOf: [user, {}] }, secret, { id: 1 }],
  [
    "properties beside a union",
    {
      ...object({ id: {} }),
      anyOf: [object({ name: text }), { required: ["id"] }],
    },
    { ...secret, name: "a" },
    { id: 1, name: "a" },
  ],
  [
    "properties beside a reference",
    { $defs: { user }, $ref: "#/$defs/user", properties: { at: text } },
    { ...secret, at: "b" },
    { id: 1, at: "b" },
  ],
  ["a reference that leads nowhere", { $ref: "#/$defs/none" }, secret, {}],
  [
    "a union of lists",
    { anyOf: [list(user), list(object({ a: text }))] },
    [{ ...secret, a: "b" }],
    [{ id: 1, a: "b" }],
  ],
  [
    "names of a record",
    {
      type: "object",
      propertyNames: { enum: ["a"] },
      additionalProperties: user,
    },
    { a: secret, b: secret },
    { a: { id: 1 } },
  ],
  [
    "names of a pattern",
    {
      type: "object",
      patternProperties: {
        "^x": user,
        y$: { type: "object", properties: { hash: text } },
      },
    },
    { x: secret, xy: secret, b: secret },
    { x: { id: 1 }, xy: secret },
  ],
  [
    "scalars of another type beside named properties",
    object({ id: { type: "number" } }, { type: ["integer", "null"] }),
    { id: "1", hash: "x", age: 3, no: null, isSo: true },
    { id: "1", age: 3, no: null },
  ],
  [
    "dates, constants and objects beside named properties",
    object({ id: text }, { anyOf: [text, { enum: [1] }, user] }),
    { id: 1, at: new Date(0), one: 1, isSo: true, of: secret },
    { id: 1, at: "1970-01-01T00:00:00.000Z", one: 1, of: { id: 1 } },
  ],
  [
    "scalars of any type in a record",
    { type: "object", additionalProperties: { type: "number" } },
    { price: "1.50" },
    { price: "1.50" },
  ],
  [
    "names of an invalid pattern",
    { type: "object", patternProperties: { "(": user } },
    { "(": secret },
    {},
  ],
  [
    "a record",
    {
      type: "object",
      propertyNames: { pattern: "^x" },
      additionalProperties: user,
    },
    { x: secret, b: secret },
    { x: { id: 1 } },
  ],
  [
    "another property of an option that is open",
    { anyOf: [object({ a: user }), object({}, list(text))] },
    { a: secret, b: [secret] },
    { a: { id: 1 }, b: [{}] },
  ],
  ["an object or null", { anyOf: [{}, { type: "null" }] }, secret, secret],
  [
    "anything",
    object({ a: {}, b: true as never, c: { description: "any" } }),
    { a: secret, b: secret, c: [secret] },
    { a: secret, b: secret, c: [secret] },
  ],
  ["a list of anything", { type: "array" }, [secret], [secret]],
])(
  "%s: nothing but what the schema names is sent",
  (_, schema, value, sent) => {
    expect(pruned(schema, value)).toEqual(sent);
  },
);

describe("a union whose options have constant properties", () => {
  test("an option whose constant is optional is not ruled out by a value without it", () => {
    const kind = (value: string) => ({ const: value });
    const optional = object({ kind: kind("a"), x: text });
    const required = {
      ...object({ kind: kind("b"), y: text }),
      required: ["kind"],
    };
    const schema = { anyOf: [optional, required, object({ z: text })] };
    expect(pruned(schema, { x: "1", y: "2", hash: "3" })).toEqual({ x: "1" });
    expect(pruned(schema, { kind: "b", x: "1", y: "2" })).toEqual({
      kind: "b",
      y: "2",
    });
  });

  const kind = (...kinds: string[]) =>
    kinds.length > 1 ? { enum: kinds } : { const: kinds[0] };
  const schema = {
    oneOf: [
      object({ t: kind("public"), name: text, of: user }),
      object({ t: kind("full", "own"), name: text, hash: text, of: {} }),
      { $ref: "#/$defs/other" },
    ],
    $defs: { other: object({ t: kind("other"), at: text }) },
  };
  const row = { name: "Ada", hash: "x", of: secret, at: "b" };

  test.each([
    ["public", { name: "Ada", of: { id: 1 } }],
    ["full", { name: "Ada", hash: "x", of: secret }],
    ["own", { name: "Ada", hash: "x", of: secret }],
    ["other", { at: "b" }],
  ])("sends of %s what that option names", (t, sent) => {
    const value = { t, ...row };
    expect(pruned(schema, value)).toEqual({ t, ...sent });
    const nested = { ...object({ a: list(schema) }), $defs: schema.$defs };
    expect(pruned(nested, { a: [value, value] })).toEqual({
      a: [
        { t, ...sent },
        { t, ...sent },
      ],
    });
  });

  test("sends of an unknown one what any of them names", () => {
    expect(
      Object.keys(pruned(schema, { t: "new", x: 1, ...row }) as object),
    ).toEqual(["t", "name", "hash", "of", "at"]);
  });

  test("is no choice by a property that only one of them has", () => {
    const both = { allOf: [object({ state: kind("a", "b") }), user] };
    expect(pruned(both, { state: "c", ...secret })).toEqual({
      state: "c",
      id: 1,
    });
  });
});

test("a union of recursive schemas is compiled at once", () => {
  const names = ["left", "right", "test", "then"];
  const branch = (kind: string) =>
    object({
      kind: { const: kind },
      ...Object.fromEntries(names.map((name) => [name, { $ref: "#" }])),
    });
  const schema = { oneOf: [branch("a"), branch("b"), branch("c")] };
  const value = { kind: "a", left: { kind: "b", right: secret } };
  expect(pruned(schema, value)).toEqual({
    kind: "a",
    left: { kind: "b", right: {} },
  });
});

describe("random schemas and values", () => {
  /** Each property has a name of its own: `parents` says what it is a property of. */
  function named(
    schema: any,
    parents: Map<string, string>,
    parent = "root",
  ): any {
    const within = (part: any) => named(part, parents, parent);
    if (schema.fields) {
      const properties: Record<string, unknown> = {};
      for (const field of schema.fields) {
        const name = `p${parents.size}`;
        parents.set(name, parent);
        properties[name] = named(field, parents, name);
      }
      return object(properties);
    }
    if (schema.items) return list(within(schema.items));
    if (schema.tuple) {
      const prefixItems = schema.tuple.map(within);
      return { type: "array", prefixItems, items: false };
    }
    for (const union of ["anyOf", "oneOf", "allOf"])
      if (schema[union]) return { [union]: schema[union].map(within) };
    return schema;
  }

  const schemas = fc.letrec<{ schema: any }>((tie) => {
    const some = (maxLength: number) =>
      fc.array(tie("schema"), { minLength: 1, maxLength });
    return {
      schema: fc.oneof(
        { maxDepth: 4, withCrossShrink: true },
        fc.constantFrom(
          { type: "string" },
          { type: ["number", "null"] },
          { const: "a" },
          { enum: [1, "b"] },
        ),
        fc.record({ fields: some(4) }),
        fc.record({ fields: some(4) }),
        fc.record({ items: tie("schema") }),
        fc.record({ tuple: some(3) }),
        fc.record({ anyOf: some(3) }),
        fc.record({ oneOf: some(3) }),
        fc.record({ allOf: some(2) }),
      ),
    };
  }).schema;

  const keys = fc.oneof(
    fc.integer({ min: 0, max: 12 }).map((number) => `p${number}`),
    fc.constantFrom("secret", "toString", "constructor", "length", "0", ""),
  );
  const values = fc.letrec<{ value: unknown }>((tie) => {
    const objects = fc.dictionary(keys, tie("value"), { maxKeys: 5 });
    return {
      value: fc.oneof(
        { maxDepth: 6 },
        fc.oneof(fc.integer(), fc.string(), fc.boolean(), fc.constant(null)),
        objects,
        objects,
        fc.array(tie("value"), { maxLength: 3 }),
        tie("value").map((sent) => ({ toJSON: () => sent, secret: 1 })),
      ),
    };
  }).value;

  /** Each name of a value with the one that it is below. */
  function pairsOf(value: unknown, parent = "root"): string[] {
    if (typeof value !== "object" || value === null) return [];
    if (Array.isArray(value))
      return value.flatMap((item) => pairsOf(item, parent));
    return Object.entries(value).flatMap(([name, item]) => [
      `${parent}/${name}`,
      ...pairsOf(item, name),
    ]);
  }

  test("a name is sent only where the schema has it", () => {
    fc.assert(
      fc.property(schemas, values, (raw, value) => {
        const parents = new Map<string, string>();
        const schema = named(raw, parents);
        const allowed = [...parents].map(
          ([name, parent]) => `${parent}/${name}`,
        );
        const unnamed = pairsOf(pruned(schema, value)).filter(
          (pair) => !allowed.includes(pair),
        );
        expect(unnamed).toEqual([]);
      }),
      { numRuns: 1500 },
    );
  });

  /** A value that fits the schema, and the same with properties that it does not name. */
  function fitting(schema: any, pick: number): [unknown, unknown] {
    if (schema.properties) {
      const both = Object.entries(schema.properties).map(
        ([name, part]) => [name, fitting(part, pick)] as const,
      );
      const plain = Object.fromEntries(
        both.map(([name, [value]]) => [name, value]),
      );
      const more = Object.fromEntries(
        both.map(([name, [, value]]) => [name, value]),
      );
      return [plain, { secret: 1, ...more, p: { secret: 2 } }];
    }
    const union = schema.anyOf ?? schema.oneOf;
    if (union) return fitting(union[pick % union.length], pick);
    const items =
      schema.prefixItems ??
      (schema.items ? [schema.items, schema.items] : undefined);
    if (items) {
      const both = items.map((item: unknown) => fitting(item, pick));
      return [
        both.map(([value]: any) => value),
        both.map(([, value]: any) => value),
      ];
    }
    return ["a", "a"];
  }

  test("a value that fits is sent whole", () => {
    fc.assert(
      fc.property(schemas, fc.nat(5), (raw, pick) => {
        fc.pre(!JSON.stringify(raw).includes("allOf"));
        const [value, more] = fitting(named(raw, new Map()), pick);
        expect(pruned(named(raw, new Map()), more)).toEqual(value);
      }),
      { numRuns: 500 },
    );
  });
});

describe("the compiled code", () => {
  test("keeps names that every object inherits only where the object has them", () => {
    const prune = compilePruner(
      object({ constructor: {}, toString: {}, id: {} }),
    );
    expect(Object.keys(prune({ id: 1, x: 1 }) as object)).toEqual(["id"]);
    expect(prune({ toString: "a", constructor: "b" })).toEqual({
      toString: "a",
      constructor: "b",
    });
  });

  test("takes names as names, whatever they contain", () => {
    const names = ['"];throw 1;["', "a\\", "\n", "\u2028", "`${1}`", ""];
    const all = Object.fromEntries(names.map((name) => [name, 1]));
    const schema = object(Object.fromEntries(names.map((name) => [name, {}])));
    expect(compilePruner(schema)({ ...all, other: 1 })).toEqual(all);
  });

  test("makes the same of plain objects and of those without a prototype or of a class", () => {
    class Row {
      id = 1;
      hash = "x";
      address = { city: "London", secret: 1 };
      get name() {
        return "inherited";
      }
    }
    const prune = compilePruner(
      object({ id: {}, name: {}, address: object({ city: {} }) }),
    );
    const expected = { id: 1, address: { city: "London" } };
    const row = new Row();
    const bare = Object.assign(Object.create(null) as object, row);
    for (const value of [row, bare, { ...row }])
      expect(prune(value)).toStrictEqual(expected);
  });

  test("leaves a value of another type than the named one to the encoder, without an error", () => {
    const prune = compilePruner(
      object({
        user: object({ id: { type: "number" } }),
        tags: { type: "array", items: { type: "string" } },
      }),
    );
    for (const value of [
      null,
      "text",
      5,
      { user: "none", tags: 1 },
      { user: null, tags: null },
      { user: true },
    ])
      expect(prune(value)).toEqual(value);
    expect(prune({ user: [{ id: 1, x: 1 }] })).toBeDefined();
  });

  test("works where node may not make code of texts", () => {
    const { Function: original } = globalThis;
    globalThis.Function = function () {
      throw new EvalError("Code generation from strings disallowed");
    } as unknown as FunctionConstructor;
    try {
      const prune = compilePruner(object({ id: {}, row: object({ a: {} }) }));
      expect(prune({ id: 1, x: 1, row: { a: 1, b: 1 } })).toEqual({
        id: 1,
        row: { a: 1 },
      });
    } finally {
      globalThis.Function = original;
    }
  });

  test("takes objects of very many properties, and nested ones of a recursive schema", () => {
    const names = Array.from({ length: 1000 }, (_, index) => `p${index}`);
    const all = Object.fromEntries(names.map((name) => [name, 1]));
    const wide = compilePruner(
      object(Object.fromEntries(names.map((name) => [name, {}]))),
    );
    expect(wide({ ...all, other: 1 })).toEqual(all);
    const tree = compilePruner({
      ...object({ id: {}, children: { type: "array", items: { $ref: "#" } } }),
    });
    const leaf = { id: 2, secret: 1 };
    expect(tree({ id: 1, children: [leaf], secret: 1 })).toEqual({
      id: 1,
      children: [{ id: 2 }],
    });
  });
});

test("keys that are named like a prototype are left out", () => {
  const prune = compilePruner({ type: "object", additionalProperties: true });
  const value = JSON.parse('{"__proto__": {"a": 1}, "constructor": 2}');
  const pruned = prune(value) as object;
  expect(Object.keys(pruned)).toEqual(["constructor"]);
  expect(Object.getPrototypeOf(pruned)).toBe(Object.prototype);
});

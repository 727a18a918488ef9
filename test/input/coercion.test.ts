/** What texts become by a JSON Schema, and what schemas of each library make of params. */
import { execFileSync } from "node:child_process";
import * as path from "node:path";
import * as v from "valibot";
import { toStandardJsonSchema } from "@valibot/to-json-schema";
import { z } from "zod";
import { compileCoercion } from "../../src/input/coercion";
import {
  NO_TEXT,
  type InputErrors,
  type TextParams,
} from "../../src/input/field";
import { problemsOf, type StandardSchema } from "../../src/input/types";
import { applySchema } from "../../src/input/schemaParams";
import { planOf, prepareInputs, tableOf } from "../../src/input/schemaPlan";

const ALL_TEXT = { has: () => true };

/** Check params that came as text. */
async function check(
  schema: StandardSchema,
  params: object,
  text: TextParams = ALL_TEXT,
) {
  const errors: InputErrors = { missingParams: [], validatorErrors: [] };
  const safeParams = ["action", "apiVersion"];
  const call = { errors, safeParams, text };
  const result = await applySchema(planOf(schema), params, call);
  const problems = problemsOf(errors).map(({ path, code }) => [path, code]);
  return { params: result, problems, ...errors };
}

function coerce(schema: Record<string, unknown>, value: unknown): unknown {
  return (compileCoercion(schema, schema) ?? ((same) => same))(value);
}

describe("a text becomes the type that a JSON Schema names", () => {
  const number = { type: "number" };
  const cases: [name: string, schema: object, value: unknown, to: unknown][] = [
    ["a number", number, "5", 5],
    ["a negative number", number, "-1.5e3", -1500],
    ["a number without a leading digit", number, ".5", 0.5],
    ["an infinite number stays text", number, "1e400", "1e400"],
    ["an empty text stays text", number, "", ""],
    ["a number with spaces stays text", number, " 5 ", " 5 "],
    ["a hexadecimal number stays text", number, "0x10", "0x10"],
    ["NaN stays text", number, "NaN", "NaN"],
    [
      "an inexact whole number stays text",
      number,
      "9007199254740993",
      "9007199254740993",
    ],
    ["an integer", { type: "integer" }, "7", 7],
    ["true", { type: "boolean" }, "true", true],
    ["0 as a boolean", { type: "boolean" }, "0", false],
    ["another word stays text", { type: "boolean" }, "yes", "yes"],
    ["null", { type: "null" }, "null", null],
    [
      "a date stays text",
      { type: "string", format: "date-time" },
      "2026-01-01",
      "2026-01-01",
    ],
    [
      "a type list with text stays text",
      { type: ["number", "string"] },
      "5",
      "5",
    ],
    ["a type list", { type: ["number", "null"] }, "null", null],
    ["one value of a list", { type: "array", items: number }, "5", [5]],
    ["a list", { type: "array", items: number }, ["5", "x"], [5, "x"]],
    [
      "a long list of a query",
      { type: "array", items: number },
      { 0: "1", 1: "2" },
      [1, 2],
    ],
    [
      "a tuple",
      { type: "array", prefixItems: [number, { type: "string" }] },
      ["1", "2"],
      [1, "2"],
    ],
    [
      "a nested object",
      {
        type: "object",
        properties: { a: { type: "object", properties: { b: number } } },
      },
      { a: { b: "1", c: "1" } },
      { a: { b: 1, c: "1" } },
    ],
    [
      "a record",
      { type: "object", additionalProperties: number },
      { a: "1" },
      { a: 1 },
    ],
    ["a member of an enum", { enum: [1, 2, "3"] }, "2", 2],
    ["a text of an enum", { enum: [1, 2, "3"] }, "3", "3"],
    ["a constant", { const: true }, "true", true],
    ["anyOf with text", { anyOf: [number, { type: "string" }] }, "5", "5"],
    ["anyOf with a literal", { anyOf: [{ const: "auto" }, number] }, "5", 5],
    [
      "the literal of anyOf",
      { anyOf: [{ const: "auto" }, number] },
      "auto",
      "auto",
    ],
    [
      "oneOf objects, by their fixed property",
      {
        oneOf: [
          {
            type: "object",
            properties: { kind: { const: "a" }, n: { type: "string" } },
          },
          {
            type: "object",
            properties: { kind: { const: "b" }, n: number },
          },
        ],
      },
      { kind: "b", n: "5" },
      { kind: "b", n: 5 },
    ],
    [
      "allOf",
      {
        allOf: [
          { type: "object", properties: { a: number } },
          { type: "object", properties: { b: number } },
        ],
      },
      { a: "1", b: "2" },
      { a: 1, b: 2 },
    ],
    ["a $ref", { $defs: { "n/1": number }, $ref: "#/$defs/n~11" }, "5", 5],
    ["a $ref that leads nowhere", { $ref: "#/$defs/none" }, "5", "5"],
    ["a $ref in a circle", { $ref: "#" }, "5", "5"],
    ["a $ref to another document", { $ref: "https://a.test/b" }, "5", "5"],
    [
      "a recursive schema",
      {
        type: "object",
        properties: { n: number, child: { $ref: "#" } },
      },
      { n: "1", child: { n: "2", child: { n: "3" } } },
      { n: 1, child: { n: 2, child: { n: 3 } } },
    ],
    ["no schema at all", {}, "5", "5"],
    ["a value that is not a text", number, true, true],
  ];

  test.each(cases)("%s", (_name, schema, value, expected) => {
    const before = JSON.stringify(value);
    expect(coerce(schema as never, value)).toEqual(expected);
    expect(JSON.stringify(value)).toBe(before);
  });

  test("keys that are named like a prototype are dropped", () => {
    const value = JSON.parse('{"__proto__": {"a": "1"}, "constructor": "2"}');
    const schema = { type: "object", additionalProperties: { type: "number" } };
    const coerced = coerce(schema, value) as object;
    expect(Object.keys(coerced)).toEqual(["constructor"]);
    expect(Object.getPrototypeOf(coerced)).toBe(Object.prototype);
    expect(({} as any).a).toBeUndefined();
  });

  test("10,000 items take no more than a moment", () => {
    const schema = { type: "array", items: { type: "number" } };
    const items = Array.from({ length: 10_000 }, (_, index) => String(index));
    expect(coerce(schema, items)).toEqual(items.map(Number));
  });
});

const zodUser = z.object({
  id: z.int(),
  isAdmin: z.boolean().default(false),
  tags: z.array(z.string()).optional(),
  address: z.object({ city: z.string(), zip: z.number() }).optional(),
});

const valibotUser = toStandardJsonSchema(
  v.object({
    id: v.pipe(v.number(), v.integer()),
    isAdmin: v.optional(v.boolean(), false),
    tags: v.optional(v.array(v.string())),
    address: v.optional(v.object({ city: v.string(), zip: v.number() })),
  }),
);

describe.each([
  ["zod", zodUser as StandardSchema],
  ["valibot", valibotUser as StandardSchema],
])("a schema of %s", (_name, schema) => {
  test("gets coerced values, and no params that it does not know", async () => {
    const given = {
      id: "5",
      tags: "one",
      address: { city: "Oslo", zip: "1" },
      unknown: "x",
      action: "a",
    };
    expect(await check(schema, given)).toMatchObject({
      params: {
        id: 5,
        isAdmin: false,
        tags: ["one"],
        address: { city: "Oslo", zip: 1 },
        action: "a",
      },
      problems: [],
    });
    const { params } = await check(schema, given);
    expect(params).not.toHaveProperty("unknown");
  });

  test("lists what is missing and what is bad, with paths", async () => {
    const { problems, missingParams, validatorErrors } = await check(schema, {
      tags: [{}],
      address: { zip: "x" },
    });
    expect(problems.map(([path]) => path).sort()).toEqual([
      "address.city",
      "address.zip",
      "id",
      "tags.0",
    ]);
    expect([...missingParams].sort()).toEqual(["address.city", "id"]);
    expect(validatorErrors.map(String)).toEqual([
      expect.stringMatching(/^Error: tags\.0: /),
      expect.stringMatching(/^Error: address\.zip: /),
    ]);
  });

  test("does not get values of JSON coerced", async () => {
    const { problems } = await check(schema, { id: "5" }, NO_TEXT);
    expect(problems).toEqual([["id", expect.any(String)]]);
    expect((await check(schema, { id: 5 }, NO_TEXT)).problems).toEqual([]);
  });

  test("is described as a table", () => {
    expect(tableOf(schema)).toMatchObject({
      id: { required: true },
      isAdmin: { required: false },
      tags: { required: false },
    });
  });
});

describe("a schema", () => {
  test("without a JSON Schema gets all params as they came, without those of the framework", async () => {
    const seen: unknown[] = [];
    const schema: StandardSchema = {
      "~standard": {
        version: 1,
        vendor: "own",
        validate: (value) => {
          seen.push(value);
          return { value: { n: 1 } };
        },
      },
    };
    const given = { id: "5", other: "x", action: "a", apiVersion: 1 };
    const { params } = await check(schema, given);
    expect(seen).toEqual([{ id: "5", other: "x" }]);
    expect(params).toEqual({ n: 1, action: "a", apiVersion: 1 });
  });

  test("of valibot without its converter has no coercion, and is warned of", async () => {
    const schema = v.object({ id: v.number() });
    expect(prepareInputs(schema)).toEqual([
      expect.stringMatching(
        /^have no JSON Schema \(their library, valibot, provides none\)/,
      ),
    ]);
    expect((await check(schema, { id: "5" })).problems).toHaveLength(1);
    expect((await check(schema, { id: 5 })).params).toEqual({ id: 5 });
  });

  test("may be asynchronous, and may transform", async () => {
    const schema = z.object({
      id: z
        .string()
        .refine(async (id) => id !== "taken", "is taken")
        .transform((id) => id.length),
    });
    expect((await check(schema, { id: "four" })).params).toEqual({ id: 4 });
    const { validatorErrors } = await check(schema, { id: "taken" });
    expect(validatorErrors.map(String)).toEqual(["Error: id: is taken"]);
  });

  test("that throws, or makes no object, is an error of the server", async () => {
    const broken = z.object({ id: z.string() }).transform(() => {
      throw new Error("broken");
    });
    await expect(check(broken, { id: "a" })).rejects.toThrow("broken");
    const list = z.object({ id: z.string() }).transform(({ id }) => [id]);
    await expect(check(list, { id: "a" })).rejects.toThrow("makes no object");
  });

  test("of a union takes the params of all options", async () => {
    const schema = z.discriminatedUnion("kind", [
      z.object({ kind: z.literal("circle"), radius: z.number() }),
      z.object({ kind: z.literal("square"), side: z.number() }),
    ]);
    const given = { kind: "square", side: "2", unknown: "1" };
    const { params } = await check(schema, given);
    expect(params).toEqual({ kind: "square", side: 2 });
    expect(Object.keys(tableOf(schema))).toEqual(["kind", "radius", "side"]);
  });

  describe("that is a union", () => {
    const cat = z.object({ kind: z.literal("cat"), n: z.number() });
    const dog = z.object({ kind: z.literal("dog"), n: z.string() });
    const bird = z.object({ kind: z.enum(["owl", "tit"]), n: z.boolean() });
    const pets = z.discriminatedUnion("kind", [cat, dog, bird]);

    test.each([
      [pets, { kind: "cat", n: "1" }, { kind: "cat", n: 1 }],
      [pets, { kind: "dog", n: "1" }, { kind: "dog", n: "1" }],
      [pets, { kind: "tit", n: "1" }, { kind: "tit", n: true }],
      [
        z.object({ id: z.int() }).and(pets),
        { id: "7", kind: "cat", n: "1" },
        { id: 7, kind: "cat", n: 1 },
      ],
      [
        z.union([
          pets,
          z.object({ kind: z.literal("x"), n: z.array(z.int()) }),
        ]),
        { kind: "x", n: "1" },
        { kind: "x", n: [1] },
      ],
      [
        z.union([z.object({ a: z.string() }), z.object({ b: z.boolean() })]),
        { b: "true" },
        { b: true },
      ],
    ])("follows the option that fits: %#", async (schema, given, params) => {
      const checked = await check(schema, given);
      expect(checked.problems).toEqual([]);
      expect(checked.params).toEqual(params);
      const inner = await check(z.object({ inner: schema }), { inner: given });
      expect(inner.params).toEqual({ inner: params });
    });

    test("takes the kind from the path, and leaves values of JSON alone", async () => {
      const text = { has: (name: string) => name === "kind" };
      const good = await check(pets, { kind: "cat", n: 1 }, text);
      expect(good.params).toEqual({ kind: "cat", n: 1 });
      const bad = await check(pets, { kind: "cat", n: "1" }, text);
      expect(bad.problems).toEqual([["n", expect.any(String)]]);
    });
  });

  test.each([
    ["optional", (schema: z.ZodType) => schema.optional()],
    ["nullable", (schema: z.ZodType) => schema.nullable()],
    ["nullish", (schema: z.ZodType) => schema.nullish()],
  ])("that is %s as a whole is coerced, and described", async (_how, wrap) => {
    const schema = wrap(z.object({ n: z.int(), ok: z.boolean() }));
    const { params, problems } = await check(schema, { n: "5", ok: "true" });
    expect(problems).toEqual([]);
    expect(params).toEqual({ n: 5, ok: true });
    expect(Object.keys(tableOf(schema))).toEqual(["n", "ok"]);
  });

  test("that its library cannot describe as a whole is coerced in its other properties", async () => {
    const jsonSchema = {
      input: () => {
        throw new RangeError("it has no end");
      },
    };
    const whole = z.object({
      n: z.int(),
      list: z.array(z.number()),
      tree: z.unknown(),
    });
    const broken = (schema: z.ZodType) => ({
      "~standard": { ...schema["~standard"], jsonSchema },
    });
    const schema = {
      ...broken(whole),
      shape: { ...whole.shape, tree: broken(whole.shape.tree) },
    } as unknown as StandardSchema;
    expect(prepareInputs(schema)).toEqual([
      expect.stringContaining("(RangeError: it has no end)"),
    ]);
    const { params } = await check(schema, { n: "5", list: "1" });
    expect(params).toEqual({ n: 5, list: [1] });
    expect(tableOf(schema)).toEqual({
      n: { required: true },
      list: { required: true },
      tree: { required: false },
    });
  });

  test("that is open keeps what it does not name", async () => {
    const loose = z.looseObject({ id: z.int() });
    const given = { id: "1", other: "x" };
    expect((await check(loose, given)).params).toEqual({ id: 1, other: "x" });
    const rest = z.object({ id: z.int() }).catchall(z.number());
    expect((await check(rest, { id: "1", n: "2" })).params).toEqual({
      id: 1,
      n: 2,
    });
  });

  test("that takes a Date is described as far as JSON can", async () => {
    const schema = z.object({ id: z.int(), at: z.coerce.date() });
    const { params } = await check(schema, { id: "1", at: "2026-01-01" });
    expect(params).toEqual({ id: 1, at: new Date("2026-01-01") });
  });

  test("refers to itself", async () => {
    const node = z.object({
      n: z.number(),
      get child() {
        return node.optional();
      },
    });
    const given = { n: "1", child: { n: "2", child: { n: "x" } } };
    const { problems, params } = await check(node, given);
    expect(problems).toEqual([["child.child.n", "invalid_type"]]);
    expect(params).toMatchObject({ n: 1, child: { n: 2 } });
  });

  test("lists the first 100 of many errors", async () => {
    const schema = z.object({ list: z.array(z.number()) });
    const list = Array.from({ length: 10_000 }, () => "x");
    const { problems, validatorErrors } = await check(schema, { list });
    expect(problems).toHaveLength(100);
    expect(validatorErrors).toHaveLength(100);
  });
});

test("a schema of arktype, which is an ES module, is coerced and checked", () => {
  const root = path.join(__dirname, "../..");
  const script = `
    import { type } from "arktype";
    import { createRequire } from "node:module";
    const require = createRequire(${JSON.stringify(path.join(root, "package.json"))});
    require("tsx/cjs");
    const { applySchema } = require("./src/input/schemaParams.ts");
    const { planOf } = require("./src/input/schemaPlan.ts");
    const plan = planOf(type({ id: "number.integer", "tags?": "string[]", "deep?": { "kind?": "string" } }));
    const check = (params) => {
      const errors = { missingParams: [], validatorErrors: [] };
      const text = { has: () => true };
      const made = applySchema(plan, params, { errors, safeParams: [], text });
      return [made, errors.missingParams, errors.validatorErrors.map(String)];
    };
    console.log(JSON.stringify([check({ id: "5", tags: "a", b: "1" }), check({ tags: "a" }), check({ id: "1.5" }), check({ id: 1, tags: undefined, deep: { kind: undefined } })]));
  `;
  const output = execFileSync(
    process.execPath,
    ["--no-warnings", "--input-type=module", "-e", script],
    { cwd: root, encoding: "utf8", timeout: 60_000 },
  );
  const [good, missing, bad, absent] = JSON.parse(
    output.trim().split("\n").at(-1)!,
  );
  expect(good).toEqual([{ id: 5, tags: ["a"] }, [], []]);
  expect(missing).toEqual([{ tags: ["a"] }, ["id"], []]);
  expect(bad[2]).toEqual([expect.stringMatching(/^Error: id: .*integer/)]);
  expect(absent).toEqual([{ id: 1, deep: {} }, [], []]);
});

test("null as a text is null for a nullable list", async () => {
  const schema = z.object({
    list: z.array(z.string()).nullable(),
    text: z.string().nullable(),
  });
  const { params } = await check(schema, { list: "null", text: "null" });
  expect(params).toEqual({ list: null, text: "null" });
});

describe("types that JSON does not have", () => {
  const gapOf = (at: z.ZodType) => {
    const schema = z.object({ list: z.array(z.object({ at })) });
    return prepareInputs(schema).join();
  };

  test.each([
    [z.date(), "list.at is a Date (use z.coerce.date())"],
    [z.date().nullable().optional(), "list.at is a Date"],
    [z.map(z.string(), z.int()), "list.at is a Map"],
    [z.set(z.int()), "list.at is a Set"],
    [z.bigint(), "list.at is a BigInt (use z.coerce.bigint())"],
    [z.array(z.date()), "list.at is a Date"],
  ])("are named (%#)", (at, text) => {
    expect(gapOf(at)).toContain(
      `take what JSON cannot hold, so that clients and jobs cannot have it: ${text}`,
    );
  });

  test.each([
    z.coerce.date(),
    z.iso.datetime(),
    z.preprocess((value) => new Date(String(value)), z.date()),
    z.string().transform((text) => new Date(text)),
    z.codec(z.iso.datetime(), z.date(), {
      decode: (text) => new Date(text),
      encode: (date) => date.toISOString(),
    }),
    z.union([z.string(), z.date()]),
    z.date().catch(new Date(0)),
    z.custom<string>(),
    z.any(),
  ])("are not what a value of JSON can become (%#)", (at) => {
    expect(gapOf(at)).toBe("");
  });
});

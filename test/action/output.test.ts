/** Output schemas: what is checked while developing, and what of a response is sent. */
import * as v from "valibot";
import { toStandardJsonSchema } from "@valibot/to-json-schema";
import { z } from "zod";
import { addAction, useApp } from "../support/app";
import { action, type Action } from "../../src/index";
import { fitted } from "../../src/action/output";
import { compilePruner } from "../../src/input/pruning";
import type { StandardSchema } from "../../src/input/standardSchema";

useApp();

const user = z.object({
  id: z.number(),
  name: z.string().optional(),
  tags: z.array(z.object({ text: z.string() })).optional(),
});

/** Run an action that responds with this. */
async function respond(output: StandardSchema, response: unknown) {
  addAction("answer", { name: "answer", output, run: () => response });
  return (await action.run("answer")) as unknown;
}

/** What is sent in production, where nothing is checked. */
function sent(output: StandardSchema, response: unknown): unknown {
  return fitted({ name: "answer" } as Action, output, response, false);
}

const misfit = (text: string) =>
  `the response of the action \`answer\` does not fit its output: ${text}`;

describe("in development and test", () => {
  test("a response that does not fit is an error that names the path", async () => {
    await expect(respond(user, { name: "Ada" })).rejects.toThrow(
      misfit("id is missing"),
    );
    await expect(
      respond(user, { id: 1, tags: [{ text: "a" }, { text: 2 }] }),
    ).rejects.toThrow(misfit("tags.1.text: Invalid input: expected string"));
    await expect(respond(user, undefined)).rejects.toThrow(misfit("Invalid"));
  });

  test("one that fits has no properties but the named ones", async () => {
    const response = {
      id: 1,
      passwordHash: "x",
      tags: [{ text: "a", by: "Eve" }],
    };
    expect(await respond(user, response)).toEqual({
      id: 1,
      tags: [{ text: "a" }],
    });
    expect(response.passwordHash).toBe("x");
  });

  test("the schema may be asynchronous", async () => {
    const schema = z.object({
      id: z.number().refine(async (id) => id > 0, "is too small"),
    });
    expect(await respond(schema, { id: 1, other: 1 })).toEqual({ id: 1 });
    await expect(respond(schema, { id: 0 })).rejects.toThrow(
      misfit("id: is too small"),
    );
  });

  test("a BigInt is an error that names the path", async () => {
    await expect(respond(user, { id: 1n })).rejects.toThrow(
      misfit("id: Invalid input: expected number, received bigint"),
    );
  });
});

describe("in production", () => {
  test("nothing is checked, and unnamed properties are left out", () => {
    const response = { id: "wrong", passwordHash: "x", tags: [{ by: 1 }] };
    expect(sent(user, response)).toEqual({ id: "wrong", tags: [{}] });
  });

  test("the same for valibot", () => {
    const schema = toStandardJsonSchema(
      v.object({ id: v.number(), list: v.array(v.object({ a: v.string() })) }),
    );
    const response = { id: 1, secret: 1, list: [{ a: "a", secret: 1 }] };
    expect(sent(schema, response)).toEqual({ id: 1, list: [{ a: "a" }] });
  });

  test("a schema that is open keeps what it does not name", () => {
    const loose = z.looseObject({ id: z.number() });
    expect(sent(loose, { id: 1, more: 1 })).toEqual({ id: 1, more: 1 });
    const rest = z.object({}).catchall(z.object({ a: z.number() }));
    expect(sent(rest, { x: { a: 1, b: 2 } })).toEqual({ x: { a: 1 } });
  });

  test("a schema without a JSON Schema leaves the response as it is", () => {
    const response = { id: 1, more: 1 };
    expect(sent(v.object({ id: v.number() }), response)).toBe(response);
  });

  test("a union keeps what any of its options names", () => {
    const either = z.object({
      found: z.union([user, z.object({ code: z.number() }), z.null()]),
    });
    const response = { found: { code: 1, id: 2, secret: 3 } };
    expect(sent(either, response)).toEqual({ found: { code: 1, id: 2 } });
    expect(sent(either, { found: null })).toEqual({ found: null });
  });

  test("an intersection keeps what either names", () => {
    const both = z.intersection(
      z.object({ a: z.number() }),
      z.object({ b: z.number() }),
    );
    expect(sent(both, { a: 1, b: 2, c: 3 })).toEqual({ a: 1, b: 2 });
  });

  test("a Date stays one, and an object of a class is what its toJSON returns", () => {
    const at = new Date(0);
    const schema = z.object({ at: z.date(), row: z.object({ id: z.int() }) });
    const row = { hash: 1, toJSON: () => ({ id: 5, hash: 1 }) };
    expect(sent(schema, { at, row })).toEqual({ at, row: { id: 5 } });
  });

  test("what JSON cannot hold is left to the encoder, and a circle is an error", () => {
    const node = z.object({
      id: z.any(),
      get next() {
        return node.optional();
      },
    });
    expect(sent(node, { id: 1n, next: { id: 2, x: 1 } })).toEqual({
      id: 1n,
      next: { id: 2 },
    });
    const circle: Record<string, unknown> = { id: 1 };
    circle.next = circle;
    expect(() => sent(node, circle)).toThrow("in a circle");
  });

  test("keys that are named like a prototype are left out", () => {
    const prune = compilePruner({ type: "object", additionalProperties: true });
    const value = JSON.parse('{"__proto__": {"a": 1}, "constructor": 2}');
    const pruned = prune(value) as object;
    expect(Object.keys(pruned)).toEqual(["constructor"]);
    expect(Object.getPrototypeOf(pruned)).toBe(Object.prototype);
  });
});

describe("what leaves properties out", () => {
  const object = (properties: object) => ({
    type: "object",
    properties,
    additionalProperties: false,
  });

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

test("an action without an output schema responds with all that it returns", async () => {
  addAction("free", { name: "free", output: { a: 1 }, run: () => ({ b: 1 }) });
  expect(await action.run("free")).toMatchObject({ b: 1 });
});

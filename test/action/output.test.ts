/** Output schemas: what is checked while developing, and what of a response is sent. */
import * as v from "valibot";
import { toStandardJsonSchema } from "@valibot/to-json-schema";
import { z } from "zod";
import { addAction, useApp } from "../support/app";
import { LogLines } from "../support/logLines";
import { addAction as registerAction } from "../../src/action/registry";
import { action, defineAction, type Action } from "../../src/index";
import { fitted, outputGap } from "../../src/action/output";
import type { StandardSchema } from "../../src/input/types";

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
    await expect(respond(user, "Ada")).rejects.toThrow(misfit("Invalid"));
  });

  test.each([undefined, null])(
    "what `run` writes to the response, returning %s, is sent as it is",
    async (returned) => {
      const write = ({ response }: { response: Record<string, unknown> }) => {
        response.at = "x";
        return returned;
      };
      const runs = [write, async (data: any) => write(data)];
      for (const run of runs) {
        addAction("answer", { name: "answer", output: user, run });
        expect(await action.run("answer")).toEqual({ at: "x" });
      }
    },
  );

  test("a response that fits has only the named properties", async () => {
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

  test("a schema of valibot has the same effect", () => {
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

  test("beside named properties a catchall keeps the values of its types only", () => {
    const values = {
      number: 1,
      text: "secret",
      none: null,
      big: 1n,
      date: new Date(0),
      list: ["secret"],
      object: { id: 1, secret: 1 },
    };
    const kept = (type: z.ZodType) =>
      sent(z.object({ a: z.string() }).catchall(type), { a: "a", ...values });
    const date = "1970-01-01T00:00:00.000Z";
    expect(kept(z.number())).toEqual({ a: "a", number: 1 });
    expect(kept(z.string().nullable())).toEqual({
      a: "a",
      text: "secret",
      none: null,
      date,
    });
    expect(kept(z.array(z.string()))).toEqual({ a: "a", list: ["secret"] });
    expect(kept(z.object({ id: z.number() }))).toEqual({
      a: "a",
      object: { id: 1 },
    });
    expect(kept(z.unknown())).toEqual({ a: "a", ...values });
  });

  test("a schema of values that JSON does not have is warned of", () => {
    const gapOf = (output: z.ZodType<any>) =>
      outputGap(defineAction({ name: "one", output, run: () => ({}) as any }));
    const at = new Date(0);
    expect(
      gapOf(z.object({ total: z.bigint(), names: z.set(z.string()) })),
    ).toBe(
      "the output of the action `one` has what JSON cannot hold: names is a Set, total is a BigInt",
    );
    expect(gapOf(z.object({ at: z.date().default(at) }))).toBeUndefined();
  });

  test("a schema without a JSON Schema leaves the response unchanged, with a warning", () => {
    const response = { id: 1, more: 1 };
    const output = v.object({ id: v.number() });
    expect(sent(output, response)).toBe(response);

    const log = new LogLines();
    const run = () => ({ id: 1 });
    registerAction(defineAction({ name: "all", output, run }), "test");
    registerAction(defineAction({ name: "one", output: user, run }), "test");
    expect(log.at("warning", /JSON Schema/)).toEqual([
      "the output of the action `all` has no JSON Schema: properties that it does not name are sent, too",
    ]);
    log.stop();
  });

  test("schemas with transforms and preprocessing remove nothing", () => {
    const row = { id: 1, passwordHash: "x", name: { first: "Ada" } };
    const after = user.transform((given) => given);
    const before = z.preprocess((given) => given, user);
    const text = z.string().transform((name) => name.length);
    const schema = z.object({ after, before, text, rows: z.array(after) });
    expect(
      sent(schema, { after: row, before: row, text: row, rows: [row] }),
    ).toEqual({
      after: { id: 1, name: {} },
      before: { id: 1, name: {} },
      text: {},
      rows: [{ id: 1, name: {} }],
    });
  });

  test("of a schema whose sides name different properties, those that are checked are sent", () => {
    const before = z.object({ first_name: z.string() });
    const after = z.object({ firstName: z.string() });
    const renamed = before
      .transform((row) => ({ firstName: row.first_name }))
      .pipe(after);
    const codec = z.codec(before, after, {
      decode: (row) => ({ firstName: row.first_name }),
      encode: (row) => ({ first_name: row.firstName }),
    });
    const row = { first_name: "Ada", firstName: "Eve", passwordHash: "x" };
    expect(sent(renamed, row)).toEqual({ first_name: "Ada" });
    const nested = z.object({ rows: z.array(codec), one: codec.optional() });
    expect(sent(nested, { rows: [row], one: row })).toEqual({
      rows: [{ first_name: "Ada" }],
      one: { first_name: "Ada" },
    });
    const options = z.discriminatedUnion("kind", [
      before.extend({ kind: z.literal("name") }),
      z.object({ kind: z.literal("code"), passwordHash: z.string() }),
    ]);
    const union = options.transform(() => ({ id: 1 })).pipe(user);
    expect(sent(union, { kind: "name", ...row })).toEqual({
      kind: "name",
      first_name: "Ada",
    });
  });

  test("where the checked side accepts any property, the other side names those to send", () => {
    const row = { id: 1, name: "Ada", passwordHash: "x" };
    const kept = { id: 1, name: "Ada" };
    for (const open of [
      z.any().pipe(user),
      z.record(z.string(), z.any()).pipe(user as z.ZodType<any, any>),
      z.looseObject({ id: z.number() }).pipe(user as z.ZodType<any, any>),
    ]) {
      expect(sent(open, row)).toEqual(kept);
      const nested = z.object({ rows: z.array(open) });
      expect(sent(nested, { rows: [row] })).toEqual({ rows: [kept] });
    }
    const loose = z.looseObject({ name: z.string() });
    for (const own of [loose.pipe(z.any()), loose.transform(() => 1)])
      expect(sent(own, row)).toEqual(row);
  });

  test("properties may have the names of keywords", () => {
    const schema = z.object({
      default: z.any().pipe(z.object({ id: z.number() })),
      required: z.string(),
      $defs: z.number(),
    });
    const row = { id: 1, passwordHash: "x" };
    expect(sent(schema, { default: row, required: "a", $defs: 1 })).toEqual({
      default: { id: 1 },
      required: "a",
      $defs: 1,
    });
  });

  test("a tuple and the options of a union send their own properties", () => {
    const row = { id: 1, passwordHash: "x" };
    const pair = z.tuple([user, z.string()]);
    expect(sent(z.object({ pair }), { pair: [row, "a"] })).toEqual({
      pair: [{ id: 1 }, "a"],
    });
    const account = z.discriminatedUnion("type", [
      z.object({ type: z.literal("public"), id: z.number() }),
      z.object({ type: z.literal("own"), passwordHash: z.string() }),
    ]);
    expect(
      sent(z.object({ account }), { account: { type: "public", ...row } }),
    ).toEqual({
      account: { type: "public", id: 1 },
    });
  });

  test("a value of another shape than the schema hides nothing", () => {
    const row = { id: 1, passwordHash: "x" };
    expect(sent(user, [row])).toEqual([{ id: 1 }]);
    const list = z.object({ rows: z.array(user), name: z.string() });
    expect(sent(list, { rows: row, name: row })).toEqual({
      rows: { id: 1 },
      name: {},
    });
  });

  test("a union keeps the properties that any of its options names", () => {
    const either = z.object({
      found: z.union([user, z.object({ code: z.number() }), z.null()]),
    });
    const response = { found: { code: 1, id: 2, secret: 3 } };
    expect(sent(either, response)).toEqual({ found: { code: 1, id: 2 } });
    expect(sent(either, { found: null })).toEqual({ found: null });
  });

  test("an intersection keeps the properties that either side names", () => {
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

  test("values that JSON cannot represent are left to the encoder, and a circular reference is an error", () => {
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
});

test("an action without an output schema responds with all that it returns", async () => {
  addAction("free", { name: "free", output: { a: 1 }, run: () => ({ b: 1 }) });
  expect(await action.run("free")).toMatchObject({ b: 1 });
});

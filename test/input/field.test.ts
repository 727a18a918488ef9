import * as fc from "fast-check";
import { api, config, rebuildConfig } from "../../src/index";
import {
  applyInputs,
  isMissing,
  isReduced,
  reduceParams,
  type InputErrors,
} from "../../src/input/field";
import type { Inputs } from "../../src/input/types";

/** What comes out of one pass over the inputs. */
async function apply(
  inputs: Inputs,
  params: Record<string, unknown>,
  scope: unknown = {},
): Promise<InputErrors & { params: Record<string, any> }> {
  const errors: InputErrors = { missingParams: [], validatorErrors: [] };
  await applyInputs(inputs, params, {
    errors,
    scope,
    safeParams: ["action"],
  });
  return { ...errors, params };
}

function messages(errors: unknown[]): string[] {
  return errors.map((error) => (error as Error).message);
}

afterEach(() => {
  rebuildConfig();
  delete (api as any).mine;
});

describe("defaults", () => {
  test("are used for absent params only", async () => {
    const inputs = { a: { default: 1 }, b: { default: 2 }, c: { default: 3 } };
    const { params } = await apply(inputs, { b: null, c: undefined });
    expect(params).toEqual({ a: 1, b: null, c: 3 });
  });

  test("a function is called with the scope, and may be async", async () => {
    const seen: unknown[] = [];
    const scope = { who: "the action" };
    const inputs: Inputs = {
      now: {
        default(this: unknown, ...args: unknown[]) {
          seen.push(this, ...args);
          return "now";
        },
      },
      later: { default: async () => "later" },
    };
    const { params } = await apply(inputs, {}, scope);
    expect(params).toEqual({ now: "now", later: "later" });
    expect(seen).toEqual([scope, undefined]);
  });

  test("falsy defaults are used", async () => {
    const inputs = { no: { default: false }, zero: { default: 0 } };
    expect((await apply(inputs, {})).params).toEqual({ no: false, zero: 0 });
  });
});

describe("formatters", () => {
  test("run in order, with value and key and the scope", async () => {
    const seen: unknown[] = [];
    const scope = {};
    const inputs: Inputs = {
      n: {
        formatter: [
          function (this: unknown, value: string, key: string) {
            seen.push(this === scope, value, key);
            return Number(value);
          },
          async (value: number) => value + 1,
        ],
      },
    };
    expect((await apply(inputs, { n: "1" }, scope)).params.n).toBe(2);
    expect(seen).toEqual([true, "1", "n"]);
  });

  test("do not run for absent params, but for defaults", async () => {
    const inputs = {
      a: { formatter: () => "formatted" },
      b: { default: "x", formatter: (v: string) => v + v },
    };
    expect((await apply(inputs, {})).params).toEqual({ b: "xx" });
  });

  test("what they throw is thrown", async () => {
    const inputs = {
      a: {
        formatter: () => {
          throw new Error("bad format");
        },
      },
    };
    await expect(apply(inputs, { a: 1 })).rejects.toThrow("bad format");
  });
});

describe("validators", () => {
  test.each([undefined, null, true])(
    "%p makes the param valid",
    async (result) => {
      const inputs = { a: { validator: () => result } };
      expect((await apply(inputs, { a: 1 })).validatorErrors).toEqual([]);
    },
  );

  test("false, strings, errors, objects and thrown values make the param invalid", async () => {
    const problem = { code: 1 };
    const inputs: Inputs = {
      no: { validator: () => false },
      text: { validator: async () => "a text" },
      error: { validator: () => new Error("returned") },
      object: { validator: () => problem },
      thrown: {
        validator: () => {
          throw new Error("thrown");
        },
      },
    };
    const params = { no: 1, text: 1, error: 1, object: 1, thrown: 1 };
    const { validatorErrors } = await apply(inputs, params);
    expect(validatorErrors).toHaveLength(5);
    expect((validatorErrors[0] as Error).message).toBe(
      'Input for parameter "no" failed validation!',
    );
    expect(validatorErrors[1]).toBe("a text");
    expect(messages([validatorErrors[2], validatorErrors[4]])).toEqual([
      "returned",
      "thrown",
    ]);
    expect(validatorErrors[3]).toBe(problem);
  });

  test("one that returns nothing skips neither the next nor the check for required", async () => {
    const nothing = () => undefined;
    const never = () => "never good";
    const inputs = {
      a: { validator: [nothing, never] },
      b: { required: true, validator: nothing },
    };
    const result = await apply(inputs, { a: 1, b: "" });
    expect(result.validatorErrors).toEqual(["never good"]);
    expect(result.missingParams).toEqual(["b"]);
  });

  test("validators get the formatted value and the scope", async () => {
    const scope = {};
    const inputs: Inputs = {
      a: {
        formatter: Number,
        validator(this: unknown, value: number, key: string) {
          return this === scope && value === 4 && key === "a";
        },
      },
    };
    expect((await apply(inputs, { a: "4" }, scope)).validatorErrors).toEqual(
      [],
    );
  });

  test("every input is looked at, even after an error", async () => {
    const bad = { validator: () => "bad" };
    const result = await apply(
      { a: bad, b: { required: true }, c: bad },
      { a: 1, c: 1 },
    );
    expect(result.missingParams).toEqual(["b"]);
    expect(result.validatorErrors).toEqual(["bad", "bad"]);
  });
});

describe("methods named by text", () => {
  beforeEach(() => {
    (api as any).mine = {
      deep: {
        double: (value: number) => value * 2,
        isEven: (value: number) => value % 2 === 0,
      },
    };
  });

  test("are found below api, alone or in a list", async () => {
    const inputs: Inputs = {
      a: { formatter: "api.mine.deep.double" },
      b: {
        formatter: ["api.mine.deep.double", (v: number) => v + 1],
        validator: ["api.mine.deep.isEven"],
      },
    };
    const { params, validatorErrors } = await apply(inputs, { a: 1, b: 1 });
    expect(params).toEqual({ a: 2, b: 3 });
    expect(messages(validatorErrors)).toEqual([
      'Input for parameter "b" failed validation!',
    ]);
    expect(inputs.a.formatter).toBe("api.mine.deep.double"); // the template is left alone
  });

  test("outside of api they are refused", async () => {
    const text = "cannot operate on a method outside of the api object";
    await expect(
      apply({ a: { formatter: "process.exit" } }, { a: 1 }),
    ).rejects.toThrow(text);
    const { validatorErrors } = await apply(
      { a: { validator: ["process.exit"] } },
      { a: 1 },
    );
    expect(messages(validatorErrors)).toEqual([text]);
  });

  test.each(["api.mine.nothing", "api.mine.deep", "api.mine.constructor"])(
    "%s is refused as the name of a function",
    async (formatter) => {
      const run = apply({ a: { formatter } }, { a: 1 });
      await expect(run).rejects.toThrow(TypeError);
    },
  );
});

describe("required", () => {
  test("null, empty text and absence are missing; false, 0 and [] are not", async () => {
    const required = { required: true };
    const inputs = Object.fromEntries(
      "abcdef".split("").map((k) => [k, required]),
    );
    const params = { a: null, b: "", d: false, e: 0, f: [] };
    expect((await apply(inputs, params)).missingParams).toEqual([
      "a",
      "b",
      "c",
    ]);
  });

  test("config.general.missingParamChecks decides", () => {
    config.general.missingParamChecks = [null, undefined, "none"];
    expect([isMissing(""), isMissing("none"), isMissing(null)]).toEqual([
      false,
      true,
      true,
    ]);
  });
});

describe("schemas", () => {
  const inputs: Inputs = {
    user: {
      required: true,
      schema: {
        name: { required: true },
        role: { default: "reader" },
        age: { formatter: Number, validator: (n: number) => n < 150 },
        address: {
          schema: {
            city: { required: true, formatter: (c: string) => c.trim() },
            geo: { schema: { lat: { required: true } } },
          },
        },
      },
    },
  };

  test("defaults, formatters and scrubbing at any depth", async () => {
    const given = {
      name: "Ada",
      age: "36",
      secret: 1,
      action: "kept: a safe name",
      address: { city: " London ", geo: { lat: 51, lon: 0 } },
    };
    const { params, missingParams, validatorErrors } = await apply(inputs, {
      user: given,
    });
    expect(missingParams).toEqual([]);
    expect(validatorErrors).toEqual([]);
    expect(params.user).toEqual({
      name: "Ada",
      role: "reader",
      age: 36,
      action: "kept: a safe name",
      address: { city: "London", geo: { lat: 51 } },
    });
    expect(given).toHaveProperty("secret"); // what the client sent is left alone
  });

  test("missing params have dotted names", async () => {
    const result = await apply(inputs, {
      user: { age: "200", address: { geo: {} } },
    });
    expect(result.missingParams).toEqual([
      "user.name",
      "user.address.city",
      "user.address.geo.lat",
    ]);
    expect(messages(result.validatorErrors)).toEqual([
      'Input for parameter "age" failed validation!',
    ]);
  });

  test("an empty object is checked, too", async () => {
    expect((await apply(inputs, { user: {} })).missingParams).toEqual([
      "user.name",
    ]);
  });

  test.each([0, false, ""])("%p is not looked into", async (user) => {
    const result = await apply(
      { user: { schema: inputs.user.schema } },
      { user },
    );
    expect(result.missingParams).toEqual([]);
    expect(result.validatorErrors).toEqual([]);
  });

  test.each(["text", 7, [1], true])(
    "%p is not accepted as an object",
    async (user) => {
      const { validatorErrors } = await apply(inputs, { user });
      expect(messages(validatorErrors)).toEqual([
        'Input for parameter "user" is not an object',
      ]);
    },
  );

  test("a __proto__ key in nested JSON is an ordinary name", async () => {
    const user = JSON.parse('{"name": "x", "__proto__": {"polluted": 1}}');
    const { params } = await apply(inputs, { user });
    expect(params.user.polluted).toBeUndefined();
    expect(Object.getPrototypeOf(params.user)).toBe(Object.prototype);
  });
});

describe("reduceParams", () => {
  test("keeps what is declared, and safe names", () => {
    const params = { a: 1, b: 2, action: "x", toString: 3 };
    expect(reduceParams(params, { a: {} }, ["action"])).toEqual({
      a: 1,
      action: "x",
    });
    expect(params.b).toBe(2);
  });

  test("keeps everything when scrubbing is off", () => {
    config.general.disableParamScrubbing = true;
    expect(reduceParams({ a: 1, b: 2 }, {}, [])).toEqual({ a: 1, b: 2 });
  });

  test("an inherited name is not a declared one", () => {
    expect(reduceParams({ constructor: 1 }, {}, [])).toEqual({});
  });
});

describe("isReduced", () => {
  const name = fc.constantFrom("a", "b", "action", "toString", "constructor");
  const reduce = (params: Record<string, unknown>) =>
    reduceParams(params, { a: {} }, ["action"]);

  test("is true if reduceParams drops nothing", () => {
    fc.assert(
      fc.property(fc.array(name), fc.boolean(), (names, isOff) => {
        config.general.disableParamScrubbing = isOff;
        const params = Object.fromEntries(names.map((key) => [key, 1]));
        const isSame =
          Object.keys(reduce(params)).length === Object.keys(params).length;
        expect(isReduced(params, { a: {} }, ["action"])).toBe(isSame);
      }),
    );
  });

  test("is false for __proto__, declared or not", () => {
    const params = JSON.parse('{"__proto__":{"x":1}}');
    expect(isReduced(params, params, ["__proto__"])).toBe(false);
  });
});

/** Functions of inputs that throw, judge or change: at once, or when somebody has waited for them. */
const METHODS: Record<string, (value: any) => unknown> = {
  double: (value) => `${value}${value}`,
  clear: () => undefined,
  accept: () => true,
  refuse: () => false,
  complain: () => "a text",
  fail: () => {
    throw new Error("failed");
  },
};

function inputsOf(specs: Spec[], isLate: boolean): Inputs {
  const methodsOf = (names: readonly string[]) =>
    names.map((name) =>
      isLate ? async (value: any) => METHODS[name](value) : METHODS[name],
    );
  return Object.fromEntries(
    specs.map(({ formatters, validators, given, nested }, i) => [
      `input${i}`,
      {
        required: i % 2 === 0,
        default: given
          ? undefined
          : isLate
            ? async () => "default"
            : () => "default",
        formatter: methodsOf(formatters) as never,
        validator: methodsOf(validators) as never,
        schema: nested
          ? { inner: { validator: methodsOf(["refuse"]) } }
          : undefined,
      },
    ]),
  );
}

interface Spec {
  formatters: string[];
  validators: string[];
  given: boolean;
  nested: boolean;
}

test("functions that answer later lead to the same params and errors as those that answer at once", async () => {
  const spec = fc.record({
    formatters: fc.array(fc.constantFrom("double", "clear", "accept", "fail"), {
      maxLength: 3,
    }),
    validators: fc.array(
      fc.constantFrom("accept", "refuse", "complain", "fail"),
      { maxLength: 3 },
    ),
    given: fc.boolean(),
    nested: fc.boolean(),
  });
  const outcomeOf = (specs: Spec[], isLate: boolean) =>
    apply(
      inputsOf(specs, isLate),
      Object.fromEntries(
        specs.flatMap(({ given, nested }, i) =>
          given
            ? [[`input${i}`, nested ? { inner: i, other: i } : `value${i}`]]
            : [],
        ),
      ),
    ).then(
      (result) =>
        JSON.stringify(result, (_key, value: unknown) =>
          value instanceof Error ? String(value) : value,
        ),
      String,
    );
  await fc.assert(
    fc.asyncProperty(fc.array(spec, { maxLength: 4 }), async (specs) => {
      expect(await outcomeOf(specs, true)).toBe(await outcomeOf(specs, false));
    }),
    { numRuns: 200 },
  );
});

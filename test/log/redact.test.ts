import { redact } from "../../src/log/filters";

const F = "[FILTERED]";

test.each([
  [["password"], { password: 1, other: 1 }, { password: F, other: 1 }],
  [
    ["user.token"],
    { user: { token: 1, name: 2 } },
    { user: { token: F, name: 2 } },
  ],
  [
    ["users.token"],
    { users: [{ token: 1 }, { name: 2 }] },
    { users: [{ token: F }, { name: 2 }] },
  ],
  [
    ["users.1.token"],
    { users: [{ token: 1 }, { token: 2 }] },
    { users: [{ token: 1 }, { token: F }] },
  ],
  [["a.b"], [[{ a: [{ b: 1 }] }]], [[{ a: [{ b: F }] }]]],
  [
    ["*token*"],
    { accessToken: 1, in: { token: 1 } },
    { accessToken: F, in: { token: 1 } },
  ],
  [["user.*"], { user: { a: 1, b: { c: 2 } } }, { user: { a: F, b: F } }],
  [
    ["*.secret"],
    { a: { secret: 1 }, secret: 2 },
    { a: { secret: F }, secret: 2 },
  ],
  [
    ["**.*password*"],
    { newPassword: 1, deep: [{ er: { PASSWORD_2: 2, name: 3 } }] },
    { newPassword: F, deep: [{ er: { PASSWORD_2: F, name: 3 } }] },
  ],
  [
    ["**.card*number", "**.cvc"],
    { cardNumber: 1, pay: { card_number: 2, cvc: 3, card: 4 } },
    { cardNumber: F, pay: { card_number: F, cvc: F, card: 4 } },
  ],
  [
    ["user.**.key"],
    { key: 1, user: { key: 2, a: { b: { key: 3 } } } },
    { key: 1, user: { key: F, a: { b: { key: F } } } },
  ],
  [["a.**"], { a: { b: 1 }, c: 2 }, { a: { b: F }, c: 2 }],
  [["a.b", "a.c"], { a: { b: 1, c: 2, d: 3 } }, { a: { b: F, c: F, d: 3 } }],
  [
    ["a+b.(c)*"],
    { "a+b": { "(c)1": 1, c1: 2 } },
    { "a+b": { "(c)1": F, c1: 2 } },
  ],
])("%j filters %j", (paths, value, filtered) => {
  const before = structuredClone(value);
  expect(redact(value, paths)).toEqual(filtered);
  expect(value).toEqual(before);
});

test("a value without filtered fields is not copied", () => {
  const value = { a: { b: [1] } };
  expect(redact(value, ["**.c", "a.x"])).toBe(value);
});

test("lists of paths are distinguished, however they alternate", () => {
  const value = { a: 1, b: 2 };
  for (let i = 0; i < 20; i++) {
    expect(redact(value, ["a"])).toEqual({ a: F, b: 2 });
    expect(redact(value, ["b", `x${i}`])).toEqual({ a: 1, b: F });
  }
});

test("an object that contains itself is filtered once", () => {
  const circle: Record<string, unknown> = { password: 1 };
  circle.self = circle;
  expect(redact(circle, ["**.password"])).toMatchObject({ password: F });
});

describe("what JSON shows of an object is filtered", () => {
  const paths = ["**.password", "**.headers.authorization"];
  const inJson = (value: unknown) =>
    JSON.parse(JSON.stringify(redact({ value }, paths))) as unknown;
  const config = { url: "u", headers: { authorization: "secret" } };
  const shown = { url: "u", headers: { authorization: F } };

  test("the properties of an error, which keeps its text and stack", () => {
    const error = Object.assign(new TypeError("refused"), {
      config,
      password: "secret",
    });
    const { value } = redact({ value: error }, paths) as { value: Error };
    expect(value).toBeInstanceOf(TypeError);
    expect(String(value)).toBe("TypeError: refused");
    expect(value.stack).toBe(error.stack);
    const { name, message, stack } = error;
    const whole = { name, message, stack, config: shown, password: F };
    expect(inJson(error)).toEqual({ value: whole });
    expect(inJson([{ error }])).toEqual({ value: [{ error: whole }] });
    expect(error.password).toBe("secret");
  });

  test("what toJSON returns, of errors, too", () => {
    class Refused extends Error {
      toJSON() {
        return { code: 1, config };
      }
    }
    expect(inJson(new Refused("no"))).toEqual({
      value: { code: 1, config: shown },
    });
    expect(String((redact([new Refused("no")], paths) as [Error])[0])).toBe(
      "Error: no",
    );
    expect(inJson({ toJSON: () => ({ password: "secret" }) })).toEqual({
      value: { password: F },
    });
    expect(
      inJson({
        password: "secret",
        toJSON() {
          return this;
        },
      }),
    ).toEqual({ value: { password: F } });
  });

  test("an instance with a text of its own, and an error whose message is a getter", () => {
    class Call {
      password = "secret";
      toString() {
        return "call";
      }
    }
    class Odd extends Error {
      readonly #text = "odd";
      password = "secret";
      override get message() {
        return this.#text;
      }
    }
    expect(inJson(new Call())).toEqual({ value: { password: F } });
    expect(String((redact([new Odd()], paths) as [Error])[0])).toBe(
      "Error: odd",
    );
  });

  test("other values stay as they are", () => {
    const value = {
      date: new Date(),
      bytes: Buffer.from("a"),
      map: new Map([["password", 1]]),
      url: new URL("http://a.org"),
      error: new Error("plain"),
      failing: {
        toJSON() {
          throw new Error("no");
        },
      },
    };
    expect(redact(value, paths)).toBe(value);
  });
});

/** @returns processor time of this process, in ms */
function costOf(work: () => unknown): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

test.each(["a", "card", "cardnumbe", "CARDnumber "])(
  "a long key of %j is looked up in time in proportion to its length",
  (part) => {
    const key = part.repeat(1_000_000 / part.length);
    const cost = costOf(() => redact({ [key]: 1 }, ["**.*card*number*x"]));
    expect(cost).toBeLessThan(2_000); // it takes milliseconds, and took minutes
  },
);

test("lists in lists cost as much as their elements", () => {
  let value: unknown = { password: 1 };
  for (let i = 0; i < 60; i++) value = [{ a: value }];
  let filtered: unknown;
  const cost = costOf(() => {
    filtered = redact(value, ["**.*password*", "a.**.b"]);
  });
  expect(JSON.stringify(filtered)).toContain('"password":"[FILTERED]"');
  expect(cost).toBeLessThan(2_000);
});

test.each([
  ["*a*a*", "aa", true],
  ["*a*a*", "a", false],
  ["ab*ba", "aba", false],
  ["ab*ba", "abba", true],
  ["*", "", true],
  ["a*", "A\nb", true],
])("the pattern %j against the key %j: %j", (pattern, key, isFiltered) => {
  expect(redact({ [key]: 1 }, [pattern])).toEqual({
    [key]: isFiltered ? F : 1,
  });
});

import { redact } from "../../src/log/redact";

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

test("a value that nothing is filtered of is not copied", () => {
  const value = { a: { b: [1] } };
  expect(redact(value, ["**.c", "a.x"])).toBe(value);
});

test("an object that contains itself is filtered once", () => {
  const circle: Record<string, unknown> = { password: 1 };
  circle.self = circle;
  expect(redact(circle, ["**.password"])).toMatchObject({ password: F });
});

test("a name of many wildcards is matched in linear time", () => {
  const begin = process.hrtime.bigint();
  redact({ ["a".repeat(50_000)]: 1 }, ["**.*card*number*"]);
  expect(Number(process.hrtime.bigint() - begin) / 1e6).toBeLessThan(500);
});

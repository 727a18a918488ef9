/** JSON for clients has the texts of errors, and leaves the prototype of errors as it found it. */
import { jsonForClients } from "../../src/exposure/json";

const prototype = Error.prototype as { toJSON?: unknown };
const broken = () =>
  Object.assign(new Error("no"), { path: "/srv/secret", errno: -2 });

afterEach(() => {
  prototype.toJSON = undefined;
});

test("values without errors are encoded as JSON.stringify does", () => {
  const value = { a: [1, "\u2028", null], at: new Date(0), b: undefined };
  expect(jsonForClients(value)).toBe(JSON.stringify(value));
  expect(jsonForClients(value, 2)).toBe(JSON.stringify(value, null, 2));
  expect(jsonForClients(undefined)).toBeUndefined();
});

test("errors are their messages, or else their names", () => {
  const value = { list: [broken()], of: { of: new TypeError() } };
  expect(JSON.parse(jsonForClients(value, 2))).toEqual({
    list: ["no"],
    of: { of: "TypeError" },
  });
});

test("an error with a toJSON of its own is its message, unless it is meant for clients", () => {
  class Telling extends Error {
    constructor(readonly expose: boolean) {
      super("no");
    }
    toJSON() {
      return { config: "secret" };
    }
  }
  const list = [{ a: [new Telling(false)] }, new Telling(true), broken()];
  const shown = [{ a: ["no"] }, { config: "secret" }, "no"];
  expect(JSON.parse(jsonForClients(list, 2))).toEqual(shown);
  expect(jsonForClients(new Telling(false))).toBe('"no"');
  let deep: unknown = new Telling(false);
  for (let i = 0; i < 500; i++) deep = { deep };
  expect(jsonForClients(deep)).toMatch(/:"no"\}+$/);
});

test("values that say themselves what they are in JSON do so, once", () => {
  let asked = 0;
  const model = { toJSON: () => ({ asked: ++asked }), hidden: 1 };
  const value = { model, at: new Date(0), bytes: Buffer.from("a"), n: null };
  expect(JSON.parse(jsonForClients(value))).toEqual({
    model: { asked: 1 },
    at: "1970-01-01T00:00:00.000Z",
    bytes: { type: "Buffer", data: [97] },
    n: null,
  });
});

test("other encodings of errors stay what they are, also after a failure", () => {
  const circle: { self?: object } = {};
  circle.self = circle;
  expect(() => jsonForClients(circle)).toThrow(TypeError);
  const error = broken();
  expect(JSON.parse(JSON.stringify(error))).toEqual({
    path: "/srv/secret",
    errno: -2,
  });
  const keys = [];
  for (const key in error) keys.push(key);
  expect(keys).toEqual(["path", "errno"]);
});

test("what a project shows of errors elsewhere is not sent, and stays there", () => {
  const stackOf = function (this: Error) {
    return { stack: this.stack };
  };
  prototype.toJSON = stackOf;
  expect(jsonForClients([broken()])).toBe('["no"]');
  expect(prototype.toJSON).toBe(stackOf);
});

test("where the prototype is frozen, errors are their messages, too", () => {
  jest.isolateModules(() => {
    const define = jest.spyOn(Reflect, "defineProperty");
    define.mockImplementation(() => false);
    // once more, as at the start of a process
    const frozen = require("../../src/exposure/json") as {
      jsonForClients: typeof jsonForClients;
    };
    expect(frozen.jsonForClients({ list: [broken(), 1] })).toBe(
      '{"list":["no",1]}',
    );
    define.mockRestore();
  });
});

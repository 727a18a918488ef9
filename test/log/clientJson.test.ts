/** JSON for clients has the texts of errors, and leaves the prototype of errors as it found it. */
import { jsonForClients } from "../../src/log/clientJson";

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
    const frozen = require("../../src/log/clientJson") as {
      jsonForClients: typeof jsonForClients;
    };
    expect(frozen.jsonForClients({ list: [broken(), 1] })).toBe(
      '{"list":["no",1]}',
    );
    define.mockRestore();
  });
});

import { runInNewContext } from "node:vm";
import { api, resolveApiMethod } from "../src/api";

type OpenApi = typeof api & Record<string, unknown>;

describe("resolveApiMethod", () => {
  class Counter {
    count = 0;
    add(n: number) {
      this.count += n;
      return this.count;
    }
  }

  beforeAll(() => {
    (api as OpenApi).testOnly = {
      plain: () => "plain",
      counter: new Counter(),
    };
  });

  afterAll(() => {
    delete (api as OpenApi).testOnly;
  });

  test("finds own functions and methods inherited from a user's class", () => {
    const plain = resolveApiMethod("api.testOnly.plain")!;
    expect(plain.method.call(plain.owner)).toBe("plain");
    const add = resolveApiMethod("api.testOnly.counter.add")!;
    expect(add.method.call(add.owner, 2)).toBe(2);
  });

  test("reaches nothing of the language's own prototypes", () => {
    for (const path of [
      "api.constructor",
      "api.testOnly.constructor",
      "api.testOnly.counter.constructor",
      "api.testOnly.toString",
      "api.testOnly.plain.call",
      "api.testOnly.counter.constructor.prototype.add",
      "api.__proto__.hasOwnProperty",
      "api.testOnly.missing",
      "api.missing.method",
      "api",
    ]) {
      expect(resolveApiMethod(path)).toBeUndefined();
    }
  });

  test("nor of those of another realm", () => {
    (api as OpenApi).foreign = runInNewContext(
      "({ list: [], method() {}, inner: Object.create({}) })",
    );
    for (const path of [
      "api.foreign.toString",
      "api.foreign.list.push",
      "api.foreign.method.call",
      "api.foreign.inner.hasOwnProperty",
    ])
      expect(resolveApiMethod(path)).toBeUndefined();
    expect(resolveApiMethod("api.foreign.method")).toBeDefined();
    delete (api as OpenApi).foreign;
  });

  test("finds static methods, inherited ones too", () => {
    class Base {
      static make = () => "base";
    }
    (api as OpenApi).Derived = class extends Base {};
    expect(resolveApiMethod("api.Derived.make")).toBeDefined();
    expect(resolveApiMethod("api.Derived.call")).toBeUndefined();
    delete (api as OpenApi).Derived;
  });

  test("refuses paths outside of api", () => {
    expect(() => resolveApiMethod("process.exit")).toThrow(
      "cannot operate on a method outside of the api object",
    );
  });
});

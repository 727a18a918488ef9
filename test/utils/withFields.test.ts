import { withFields } from "../../src/utils/objects";

describe("withFields", () => {
  test("the result is that of a spread: order, symbols and values", () => {
    const symbol = Symbol("own");
    const source = { b: 1, a: undefined, level: "given", [symbol]: 2 };
    const more = { level: "set", c: 3 };
    const made = withFields(source, more);
    expect(Reflect.ownKeys(made)).toEqual(
      Reflect.ownKeys({ ...source, ...more }),
    );
    expect(made).toEqual({ ...source, ...more });
    expect(source.level).toBe("given");
  });

  test("a field named __proto__ stays a field", () => {
    const source = JSON.parse('{"__proto__":{"polluted":true}}') as object;
    const made = withFields(source, { a: 1 });
    expect(Object.getPrototypeOf(made)).toBe(Object.prototype);
    expect(Object.keys(made)).toEqual(["__proto__", "a"]);
    expect("polluted" in made).toBe(false);
  });

  test("fields of a prototype are left out, and getters are read", () => {
    class Source {
      own = 1;
      get inherited() {
        return 2;
      }
    }
    const source = Object.defineProperty(new Source(), "read", {
      get: () => 3,
      enumerable: true,
    });
    expect(withFields(source, { a: 4 })).toEqual({ own: 1, read: 3, a: 4 });
  });

  test("what is added can be changed", () => {
    const made: { a?: number; b: number } = withFields({ a: 1 }, { b: 2 });
    delete made.a;
    made.b = 3;
    expect(made).toEqual({ b: 3 });
  });
});

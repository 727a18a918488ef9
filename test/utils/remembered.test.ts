import { isUnchanged, remembered, snapshotOf } from "../../src/utils/objects";

describe("remembered", () => {
  test("computes once for each run of one argument", () => {
    const make = jest.fn((text: string) => ({ text }));
    const of = remembered(make);
    expect(of("a")).toBe(of("a"));
    expect(of("b")).toEqual({ text: "b" });
    expect(of("a")).toEqual({ text: "a" });
    expect(make.mock.calls).toEqual([["a"], ["b"], ["a"]]);
  });

  test("computes for undefined, too, and keeps an undefined result", () => {
    const make = jest.fn(() => undefined);
    const of = remembered<undefined, undefined>(make);
    expect([of(undefined), of(undefined)]).toEqual([undefined, undefined]);
    expect(make).toHaveBeenCalledTimes(1);
  });

  test("keeps nothing when the computation throws", () => {
    let isBroken = true;
    const of = remembered((text: string) => {
      if (isBroken) throw new Error("broken");
      return text;
    });
    expect(() => of("a")).toThrow("broken");
    isBroken = false;
    expect(of("a")).toBe("a");
  });
});

describe("a snapshot", () => {
  test("is unchanged while nobody writes into its record", () => {
    const record = { a: 1, b: 2 };
    const snapshot = snapshotOf(record);
    expect(isUnchanged(snapshot, record)).toBe(true);
    expect(isUnchanged(snapshot, { a: 1, b: 2 })).toBe(false);
  });

  test.each([
    ["a value", (record: Record<string, unknown>) => (record.a = 2)],
    ["a new name", (record: Record<string, unknown>) => (record.c = 3)],
    ["a lost name", (record: Record<string, unknown>) => delete record.b],
  ])("notices %s", (_what, change) => {
    const record = { a: 1, b: 2 };
    const snapshot = snapshotOf(record);
    change(record);
    expect(isUnchanged(snapshot, record)).toBe(false);
  });

  test("of nothing is that of nothing only", () => {
    expect(isUnchanged(snapshotOf(undefined), undefined)).toBe(true);
    expect(isUnchanged(snapshotOf(undefined), {})).toBe(false);
  });
});

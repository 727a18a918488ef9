import * as fc from "fast-check";
import { hashMerge, mergeBlock } from "../../src/utils/objects";

type Hash = Record<string, any>;

const key = fc.constantFrom("web", "general", "a", "b", "_toExpand");

/** What files of a configuration say: also functions, with and without the configuration, and what deletes a setting. */
const setting = fc.letrec<{ value: unknown; object: Hash }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom<unknown>(1, "text", true, false, null, undefined, [1]),
    tie("object"),
    tie("object").map((object) => () => object),
    tie("object").map((object) => (config: Hash) => ({
      ...object,
      seen: JSON.stringify(config.web),
    })),
    fc.constant(() => () => 1),
  ),
  object: fc.dictionary(key, tie("value"), { maxKeys: 4 }),
}));

describe("mergeBlock", () => {
  test("is hashMerge with the configuration as its argument", () => {
    const blocks = fc.array(setting.object, { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(blocks, (list) => {
        let merged: Hash = { web: { port: 1 } };
        let expected: Hash = { web: { port: 1 } };
        for (const block of list) {
          merged = mergeBlock(merged, block);
          expected = hashMerge(expected, block, expected);
        }
        expect(shapeOf(merged)).toEqual(shapeOf(expected));
      }),
      { numRuns: 500 },
    );
  });

  test("shares what the block does not name", () => {
    const config = { web: { port: 1 }, general: { id: "a" } };
    const merged = mergeBlock(config, { web: () => ({ host: "b" }) });
    expect(merged).toEqual({
      web: { port: 1, host: "b" },
      general: { id: "a" },
    });
    expect(merged.general).toBe(config.general);
    expect(config.web).toEqual({ port: 1 });
  });

  test("keeps what a function changes in the configuration that it is given to that one", () => {
    const config = { web: { port: 1 }, general: { id: "a" } };
    const merged = mergeBlock(config, {
      web: (given: typeof config) => {
        given.general.id = "changed";
        return {};
      },
    });
    expect(merged.general).toEqual({ id: "a" });
  });
});

/** Functions in settings are compared by what they are, not which. */
function shapeOf(value: unknown): unknown {
  if (typeof value === "function") return "a function";
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return value;
  return Object.entries(value).map(([name, each]) => [name, shapeOf(each)]);
}

import * as fc from "fast-check";
import { paramsForLogging } from "../../src/log/filters";
import { config } from "../../src/index";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

const values = fc.oneof(
  fc.string(),
  fc.string({ minLength: 101, maxLength: 103 }),
  fc.constantFrom("\u0085", "a\nb", "x".repeat(100), undefined, null, NaN, 10n),
  fc.constantFrom(Symbol("s"), () => 1, new Date(0), new Error("e")),
  fc.double(),
  fc.boolean(),
  fc.array(fc.string({ maxLength: 200 }), { maxLength: 12 }),
  fc.dictionary(fc.string(), fc.string({ maxLength: 200 })),
);
const params = fc.dictionary(
  fc.string().filter((name) => name !== "__proto__"),
  values,
);

test("params of which nothing is cut or hidden are logged as those that are copied first", () => {
  fc.assert(
    fc.property(params, fc.constantFrom(0, 5, 100), (all, max) => {
      config.logger.maxLogStringLength = max;
      config.general.filteredParams = [];
      const logged = paramsForLogging(all);
      config.general.filteredParams = ["\u0000 hides nothing"];
      expect(logged).toBe(paramsForLogging(all));
    }),
    { numRuns: 500 },
  );
});

test("hidden and long params are replaced in the copy", () => {
  config.logger.maxLogStringLength = 20;
  config.general.filteredParams = ["secret"];
  expect(paramsForLogging({ secret: "s", long: "x".repeat(30) })).toBe(
    `{"secret":"[FILTERED]","long":"${"x".repeat(20)}"}`,
  );
});

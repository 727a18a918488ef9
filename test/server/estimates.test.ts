/** The estimates of `src/server/estimates.ts` by themselves; `test/hostile/estimates.test.ts` compares them with the heap. */
import * as fc from "fast-check";
import { documentBytes, messageBytes } from "../../src/server/estimates";

test("the size of a parsed document is the same from its bytes and its text", () => {
  const ascii = fc.string({ unit: "grapheme-ascii", maxLength: 3000 });
  fc.assert(
    fc.property(
      fc.oneof(
        ascii,
        fc.json().map((one) => one.repeat(40)),
      ),
      (text) => {
        const bytes = Buffer.from(text);
        const extra = documentBytes(bytes) - bytes.length;
        if (bytes.length === text.length)
          expect(extra).toBe(messageBytes(text) - text.length);
        else expect(extra).toBeGreaterThanOrEqual(0);
      },
    ),
  );
  expect(documentBytes(Buffer.from("{},".repeat(1000)))).toBe(
    3000 + 1000 * 24 + 1000 * 56,
  );
});

/** Bodies that wait to be inflated. */
import * as zlib from "node:zlib";
import "../../../src/index";
import { BodyError } from "../../../src/server/web/bodyRefusal";
import { inflate } from "../../../src/server/web/inflate";

test("addresses take turns", async () => {
  let many = 0;
  const body = zlib.brotliCompressSync("{}");
  const inflateFor = (clientAddress: string) =>
    inflate(body, "br", {
      clientAddress,
      limit: 1_000,
      tooLarge: () => BodyError.noRoom(),
      hold: () => undefined,
    });
  const others = Array.from({ length: 40 }, () =>
    inflateFor("127.0.0.2").then(() => many++),
  );
  await inflateFor("127.0.0.3");
  expect(many).toBeLessThan(20);
  await Promise.all(others);
});

import { newMessageId } from "../../../src/server/web/messageIds";

test("message ids have the form of random UUIDs, and none comes twice", () => {
  const ids = Array.from({ length: 10_000 }, newMessageId);
  expect(new Set(ids).size).toBe(ids.length);
  const form =
    /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/;
  expect(ids.filter((id) => !form.test(id))).toEqual([]);
});

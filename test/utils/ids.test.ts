import { SerialIds } from "../../src/utils/ids";

const UUID =
  /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

describe("serial ids", () => {
  const ids = new SerialIds();
  const made = Array.from({ length: 150_000 }, () => ids.next());

  test("are unique, over several rows", () => {
    expect(new Set(made).size).toBe(made.length);
    const rows = new Set(made.map((id) => id.slice(0, 32)));
    expect(rows.size).toBe(3);
  });

  test("are UUIDs", () => {
    expect(made.filter((id) => !UUID.test(id))).toEqual([]);
  });

  test("differ between two of them", () => {
    const other = new SerialIds().next();
    expect(other.slice(0, 32)).not.toBe(made[0].slice(0, 32));
  });
});

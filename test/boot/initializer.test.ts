import { Initializer } from "../../src";

class Named extends Initializer {
  constructor(properties: Partial<Initializer>) {
    super();
    Object.assign(this, properties);
  }
}

describe("Initializer#validate", () => {
  test("accepts a name and the default priorities", () => {
    const initializer = new Named({ name: "x" });
    initializer.validate();
    expect(initializer.loadPriority).toBe(1000);
  });

  test("an initializer without a name is refused", () => {
    expect(() => new Named({}).validate()).toThrow(
      "name is required for this initializer",
    );
  });

  test.each(["loadPriority", "startPriority", "stopPriority"] as const)(
    "demands a positive %s",
    (property) => {
      for (const wrong of [0, -1, "high" as unknown as number]) {
        expect(() =>
          new Named({ name: "x", [property]: wrong }).validate(),
        ).toThrow(
          `${property} is a required property for the initializer \`x\``,
        );
      }
    },
  );
});

import { requireNode } from "../../src/environment/runtime";

test.each(["20.19.0", "20.20.2", "22.12.0", "23.0.0", "26.1.0"])(
  "%s will do",
  (version) => expect(() => requireNode(version)).not.toThrow(),
);

test.each(["18.20.8", "20.18.3", "8.0.0", "21.7.3", "22.11.0"])(
  "%s is too old",
  (version) =>
    expect(() => requireNode(version)).toThrow(
      `actionhero needs Node.js 20.19, or 22.12 or newer; this is ${version}`,
    ),
);

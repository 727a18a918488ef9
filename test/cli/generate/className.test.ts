import { className } from "../../../src/cli/generate/component";

test.each([
  ["listUsers", "action.ts", "ListUsers"],
  ["list-users", "action.ts", "ListUsers"],
  ["admin/users", "action.ts", "Users"],
  ["größe", "task.ts", "Größe"],
  ["2fa", "action.ts", "MyAction2fa"],
  ["action", "action.ts", "MyActionAction"],
  ["---", "cli.ts", "MyCommand"],
])("%s of %s is the class %s", (name, template, expected) => {
  expect(className(name, template)).toBe(expected);
});

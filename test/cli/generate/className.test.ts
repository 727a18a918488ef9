import { className, valueName } from "../../../src/cli/generate/component";

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

test.each([
  ["listUsers", "action.schema.ts", "listUsers"],
  ["ListUsers", "action.ts", "listUsers"],
  ["list-users", "action.ts", "listUsers"],
  ["admin/users", "action.ts", "users"],
  ["größe", "task.ts", "größe"],
  ["2fa", "action.schema.ts", "myAction2fa"],
  ["delete", "action.ts", "myActionDelete"],
  ["z", "task.ts", "myTaskZ"],
  ["---", "task.ts", "myTask"],
])("%s of %s is the constant %s", (name, template, expected) => {
  expect(valueName(name, template)).toBe(expected);
});

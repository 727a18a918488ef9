/** The texts of errors that a project's `config.errors` lacks. */
import { DEFAULT } from "../../config/errors";
import {
  errorMessage,
  wordedError,
  type ErrorName,
} from "../../src/config/errorMessage";
import { config } from "../../src/index";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

type Message = (...facts: unknown[]) => unknown;

const defaults = DEFAULT.errors() as unknown as Record<string, unknown>;
/** Null by default: then these errors have the texts of other errors. */
const names = Object.keys(defaults).filter(
  (name) => typeof defaults[name] === "function",
) as ErrorName[];

const data = { connection: { type: "web" } };
const FACTS: Partial<Record<ErrorName, unknown[]>> = {
  internalError: ["1f"],
  invalidParams: [data, ["wrong"]],
  missingParams: [data, ["a"]],
  rateLimited: [data, { requests: 2, perMs: 1000 }, 5],
  timedOut: [data, 50],
  genericError: [data, "boom"],
  fileReadError: [data, new Error("no disk")],
  connectionRoomHasBeenDeleted: ["room"],
  dataLengthTooLarge: [10, 11],
};
const factsOf = (name: ErrorName) => FACTS[name] ?? [data, "thing"];

test("there are as many as in config/errors.ts", () => {
  expect(names.length).toBeGreaterThan(20);
});

test.each(names)("%s has the words of config/errors.ts", async (name) => {
  config.errors = {} as never;
  const expected = await (defaults[name] as Message)(...factsOf(name));
  expect(await errorMessage(name)(...factsOf(name))).toEqual(expected);
  expect(expected).toEqual(expect.any(String));
});

test("an unknown action names the methods that it takes", () => {
  const known = { connection: { type: "web", otherMethods: ["GET"] } };
  config.errors = undefined as never;
  expect(errorMessage("unknownAction")(known)).toBe(
    (defaults.unknownAction as Message)(known),
  );
});

test("a function of the project that answers nothing leaves the framework's text", async () => {
  config.errors = { connectionRoomExists: () => undefined } as never;
  expect(await wordedError("connectionRoomExists")).toBe("room exists");
});

import { types } from "node:util";
import { errorOfText, isErrorOfText, ownFields } from "../src/errors";

test("an error of a text is an Error for those who use it", () => {
  const error = errorOfText("no such thing");
  expect(error).toBeInstanceOf(Error);
  expect(String(error)).toBe("Error: no such thing");
  expect(error.name).toBe("Error");
  expect(error.constructor).toBe(Error);
  expect(Object.prototype.toString.call(error)).toBe("[object Error]");
  expect(JSON.stringify(error)).toBe("{}");
  expect({ ...error }).toEqual({});
  expect(error.stack).toBe("Error: no such thing");
  expect(ownFields(error, "message")).toEqual({
    stack: "Error: no such thing",
  });
  expect(ownFields(error, "message", "stack")).toEqual({});
  expect(() => {
    throw error;
  }).toThrow("no such thing");
  // the difference, which docs/migrating-from-v29.md names
  expect(types.isNativeError(error)).toBe(false);
});

test("its fields can be set as those of any error", () => {
  const error = Object.assign(errorOfText("a"), { code: 429 });
  error.message = "b";
  error.stack = "c";
  expect(error).toMatchObject({ message: "b", stack: "c", code: 429 });
  expect(ownFields(error, "message")).toEqual({ code: 429, stack: "c" });
});

test("it is told from other errors", () => {
  expect(isErrorOfText(errorOfText("a"))).toBe(true);
  expect(isErrorOfText(Object.create(errorOfText("a")))).toBe(false);
  for (const other of [new Error("a"), {}, null, undefined, "a"])
    expect(isErrorOfText(other)).toBe(false);
});

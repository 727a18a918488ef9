import { Command } from "commander";
import type { CLIInputs } from "../../src/cli/cli";
import { optionFor } from "../../src/cli/runner";

function parse(inputs: CLIInputs, ...words: string[]) {
  let stderr = "";
  const command = new Command("test")
    .exitOverride()
    .configureOutput({ writeErr: (text) => (stderr += text) });
  for (const [key, input] of Object.entries(inputs))
    command.addOption(optionFor(key, input));
  try {
    command.parse(words, { from: "user" });
  } catch {
    return { error: stderr };
  }
  return command.opts();
}

test("a required option must be given", () => {
  expect(parse({ name: { required: true, letter: "n" } })).toEqual({
    error: "error: required option '-n, --name <name>' not specified\n",
  });
});

test("a required option takes its default, unformatted", () => {
  const formatter = (word: string) => word.toUpperCase();
  const inputs = { name: { required: true, default: "x", formatter } };
  expect(parse(inputs)).toEqual({ name: "x" });
  expect(parse(inputs, "--name", "y")).toEqual({ name: "Y" });
});

test("an option that must have a value refuses to have none", () => {
  expect(parse({ name: { requiredValue: true } }, "--name")).toEqual({
    error: "error: option '--name <name>' argument missing\n",
  });
  expect(parse({ name: {} }, "--name")).toEqual({ name: true });
});

test("flags are switches", () => {
  const inputs = { loud: { flag: true, letter: "l" } };
  expect(parse(inputs)).toEqual({});
  expect(parse(inputs, "-l")).toEqual({ loud: true });
});

test("a flag needs a letter", () => {
  expect(() => optionFor("loud", { flag: true })).toThrow(
    'flag inputs require a short letter ({"flag":true})',
  );
});

test("the placeholder names the value", () => {
  expect(optionFor("name", { placeholder: "word" }).flags).toBe(
    "--name [word]",
  );
  expect(optionFor("all", { variadic: true, letter: "a" }).flags).toBe(
    "-a, --all [all...]",
  );
});

test("what a validator throws is shown with the option", () => {
  const validator = (word: string) => {
    if (word.includes(".")) throw new Error("too many periods");
  };
  expect(
    parse({ title: { required: true, letter: "t", validator } }, "-t", "Esq."),
  ).toEqual({
    error:
      "error: option '-t, --title <title>' argument 'Esq.' is invalid. too many periods\n",
  });
});

test("a validator may return the message, as those of actions do", () => {
  const inputs = { a: { validator: (word: string) => word === "1" || "no" } };
  expect(parse(inputs, "--a", "1")).toEqual({ a: "1" });
  expect(parse(inputs, "--a", "2").error).toContain("is invalid. no");
  const strict = { a: { validator: () => false } };
  expect(parse(strict, "--a", "2").error).toContain("it failed validation");
});

test("values of a variadic option are formatted and validated one by one", () => {
  const inputs = {
    countries: {
      variadic: true,
      formatter: (word: string) => word.trim(),
      validator: (word: string) => {
        if (!/^[A-Z]/.test(word)) throw new Error("country not capitalized");
      },
    },
  };
  expect(parse(inputs, "--countries", "Peru ", "Chad")).toEqual({
    countries: ["Peru", "Chad"],
  });
  expect(parse(inputs, "--countries", "Peru", "italy")).toEqual({
    error:
      "error: option '--countries [countries...]' argument 'italy' is invalid. country not capitalized\n",
  });
});

import { z } from "zod";
import { givenInputs, withAllProblems } from "../../bin/inputs";
import { api } from "../../src/api";
import { describeInputFlags, readInputFlags } from "../../src/cli/inputFlags";
import { file } from "../../src/input/file";

const inputs = z.object({
  id: z.int().describe("which one"),
  tags: z.array(z.string()).default([]),
  urgent: z.boolean().optional(),
  kind: z.enum(["small", "large"]).optional(),
  address: z.object({ city: z.string(), zip: z.number() }).optional(),
});
const table = {
  to: { required: true as const, description: "the mail" },
  at: { default: 5 },
  place: { schema: z.object({ zip: z.number() }) },
};
const read = (...words: string[]) =>
  readInputFlags(words, inputs, { name: "thing" });

test.each([
  [["--id=5"], { id: 5 }],
  [["--id", "-5"], { id: -5 }],
  [["--id", "five"], { id: "five" }],
  [["--tags", "a", "--tags=b"], { tags: ["a", "b"] }],
  [["--tags=a"], { tags: ["a"] }],
  [["--urgent", "--id=1"], { urgent: true, id: 1 }],
  [["--urgent=false"], { urgent: false }],
  [
    ["--address.city=Bonn", "--address.zip=53111"],
    { address: { city: "Bonn", zip: 53111 } },
  ],
  [["--id="], { id: "" }],
  [["--id=5", "--", "--tags=a"], { id: 5, tags: ["a"] }],
  [[], {}],
])("%j are %j", (words, expected) => {
  expect(read(...words)).toEqual(expected);
});

test("flags for a table of inputs stay strings, and a schema in it converts them", () => {
  const words = ["--to=5", "--place.zip=150"];
  expect(readInputFlags(words, table, { name: "mail" })).toEqual({
    to: "5",
    place: { zip: 150 },
  });
});

test.each([
  [["--idd=5"], "thing has no input --idd; it has --id, --tags, --urgent"],
  [["--id"], "--id needs a value"],
  [["--id", "--tags", "a"], "--id needs a value"],
  [["5"], "`5` is no flag of thing"],
  [["-i", "5"], "`-i` is no flag of thing"],
  [["--address.__proto__.polluted=1"], "has no input --address.__proto__"],
  [["--__proto__=1"], "thing has no input --__proto__"],
])("%j is refused", (words, message) => {
  expect(() => read(...words)).toThrow(message);
});

test("an open schema accepts any flag, and an action without inputs accepts none", () => {
  const open = z.looseObject({ id: z.int() });
  expect(readInputFlags(["--other=1"], open, { name: "thing" })).toEqual({
    other: "1",
  });
  expect(
    readInputFlags(["--other=1"], table, { name: "mail", isOpen: true }),
  ).toEqual({ other: "1" });
  expect(() => readInputFlags(["--other=1"], {}, { name: "thing" })).toThrow(
    "thing has no inputs: --other is none of them",
  );
  expect(readInputFlags(["--other=1"], undefined, { name: "thing" })).toEqual(
    {},
  );
});

test("the help has the type, the description and the default of each", () => {
  expect(describeInputFlags(inputs).map((line) => line.trim())).toEqual([
    expect.stringMatching(/^--id <integer> +which one \(required\)$/),
    expect.stringMatching(
      /^--tags <value, may be repeated> +\(default: \[\]\)$/,
    ),
    "--urgent",
    "--kind <small|large>",
    "--address <its properties as --name.property>",
  ]);
  expect(
    describeInputFlags(table).map((line) => line.trim().replace(/ +/g, " ")),
  ).toEqual([
    "--to <text> the mail (required)",
    "--at <text> (default: 5)",
    "--place <its properties as --name.property>",
  ]);
});

test("the help has the values of a choice, also of one that may be null, and of lists", () => {
  const choices = z.object({
    kind: z.enum(["a", "b"]).nullable(),
    only: z.literal(5),
    either: z.union([z.literal("x"), z.number()]),
    several: z.array(z.enum(["c", "d"])),
  });
  expect(
    describeInputFlags(choices).map((line) => line.trim().replace(/ +/g, " ")),
  ).toEqual([
    "--kind <a|b> (required)",
    "--only <5> (required)",
    "--either <x|number> (required)",
    "--several <c|d, may be repeated> (required)",
  ]);
});

test("the help has tuples, whose further items may have the schema false, and properties of any value", () => {
  // as arktype describes tuples
  const pair = { type: "array", prefixItems: [{}, {}], items: false };
  const json = { type: "object", properties: { pair, some: true } };
  const described = {
    "~standard": {
      version: 1 as const,
      vendor: "own",
      validate: (value: unknown) => ({ value }),
      jsonSchema: { input: () => json, output: () => json },
    },
  };
  expect(describeInputFlags(described)).toEqual([
    "  --pair <value, may be repeated>",
    "  --some <text>",
  ]);
});

test("the help has no default that is another one for each call", () => {
  let count = 0;
  const counted = z.object({ id: z.int().default(() => ++count) });
  expect(describeInputFlags(counted)).toEqual(["  --id <integer>"]);
});

test("the help tells which inputs are written after --, and which are files", () => {
  const files = { title: { required: true as const }, picture: file() };
  const [title, picture] = describeInputFlags(files, ["title"]);
  expect(title).toMatch(/--title <text> +\(required\) \(write it after --\)$/);
  expect(picture).toMatch(/ \(a file: not from the command line\)$/);
});

describe("an input whose name is an option of the framework", () => {
  const { argv } = process;
  beforeAll(() => {
    const titled = { name: "titled", inputs: { title: {}, other: {} } };
    api.tasks = { tasks: { titled } } as never;
  });
  afterEach(() => {
    process.argv = argv;
  });
  const given = (words: string[], json?: Record<string, unknown>) => {
    process.argv = ["node", "actionhero", "task-run", "titled", ...words];
    const rest = words.filter((word) => word !== "--title=Hi");
    return givenInputs("task", "titled", { json, words: rest });
  };

  test("is refused when the framework took it, with what to write instead", () => {
    expect(() => given(["--title=Hi", "--other=1"])).toThrow(
      "--title is an option of actionhero: write the input of titled after --, as in `-- --title=...`",
    );
  });

  test("is taken after --, or as JSON", () => {
    expect(given(["--title=Hi"], { title: "Ho" })).toEqual({ title: "Ho" });
    expect(given(["--other=1", "--", "--title=Ho"])).toEqual({
      other: "1",
      title: "Ho",
    });
  });
});

test("several problems of inputs are a line each", () => {
  const errors = [
    { path: "at", message: "at is a required input", code: "missing" },
    { path: "to", message: "too short", code: "too_small" },
  ];
  const thrown = Object.assign(new Error("at is a required input"), { errors });
  expect((withAllProblems(thrown) as Error).message).toBe(
    "2 inputs are bad:\n  at is a required input\n  to: too short",
  );
  const other = new Error("down");
  expect(withAllProblems(other)).toBe(other);
  // config.errors may make a text of an error
  const fromText = withAllProblems("at is a required input", errors) as Error;
  expect(fromText).toBeInstanceOf(Error);
  expect(fromText.message).toMatch(/^2 inputs are bad:/);
  const frozen = Object.freeze(new Error("frozen"));
  expect((withAllProblems(frozen, errors) as Error).cause).toBe(frozen);
});

test("flags of a union follow the option that fits", () => {
  const inputs = z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("a"), n: z.number() }),
    z.object({ kind: z.literal("b"), n: z.string() }),
  ]);
  const read = (kind: string) =>
    readInputFlags(["--n=5", `--kind=${kind}`], inputs, { name: "thing" });
  expect(read("a")).toEqual({ kind: "a", n: 5 });
  expect(read("b")).toEqual({ kind: "b", n: "5" });
});

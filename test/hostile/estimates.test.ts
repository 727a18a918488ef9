/** What the server expects parsed bodies and queries to take in memory, compared with the heap of V8. */
import { build } from "esbuild";
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import * as fc from "fast-check";
import type { Kind, Measured, Sample } from "./measure";
import { repositoryRoot } from "../support/temporaryProject";

/** Generated samples of each kind. */
const SAMPLES = process.env.HOSTILE_LONG ? 400 : 40;

/** What the heap differs by between two measurements that hold the same. */
const NOISE_BYTES = 6 * 1024;

let folder: string;

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "estimates-"));
  fs.mkdirSync(path.join(folder, "config"));
  // the bundle reads the version where the package would have it
  fs.copyFileSync(
    path.join(repositoryRoot, "package.json"),
    path.join(folder, "package.json"),
  );
  await build({
    entryPoints: [path.join(__dirname, "measure.ts")],
    outfile: path.join(folder, "dist/src/measure.js"),
    bundle: true,
    format: "cjs",
    platform: "node",
    target: "node20",
    logLevel: "error",
  });
});

afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

function measure(samples: Sample[]): Measured[] {
  const output = execFileSync(
    process.execPath,
    ["--expose-gc", "--single-threaded-gc", "dist/src/measure.js"],
    {
      cwd: folder,
      env: {
        ...process.env,
        NODE_OPTIONS: "",
        ACTIONHERO_CONFIG: path.join(folder, "config"),
      },
      input: JSON.stringify(samples),
      maxBuffer: 2 ** 28,
    },
  );
  return JSON.parse(String(output)) as Measured[];
}

const times = (count: number, of: (i: number) => string, separator = ",") =>
  Array.from({ length: count }, (_, i) => of(i)).join(separator);
const short = (i: number) => i.toString(36);
const list = (count: number, of: (i: number) => string) =>
  `[${times(count, of)}]`;
const object = (count: number, of: (i: number) => string) =>
  `{${times(count, of)}}`;
const nested = (depth: number, open: string, close: string, inner = "") =>
  open.repeat(depth) + inner + close.repeat(depth);

const JSONS: Record<string, string> = {
  "empty objects": list(9_000, () => "{}"),
  "empty lists": list(9_000, () => "[]"),
  "lists of one": list(5_000, () => "[0]"),
  "nested lists": list(40, () => nested(190, "[", "]")),
  "nested objects": list(40, () => nested(190, '{"a":', "}", "0")),
  "one new name each": list(5_000, (i) => `{"~${short(i)}":1}`),
  "new names, nested": list(30, (j) =>
    times(190, (i) => `{"~${short(j * 190 + i)}":`, "").concat(
      `0${"}".repeat(190)}`,
    ),
  ),
  "objects of 20 new names": list(400, (j) =>
    object(20, (i) => `"~${short(j * 20 + i)}":1`),
  ),
  "one object of new names": object(5_500, (i) => `"~${short(i)}":1`),
  "a new name after ten": list(800, (j) =>
    object(11, (i) => (i < 10 ? `"a${i}":1` : `"~${short(j)}":1`)),
  ),
  "names in other orders": list(1_500, (j) =>
    object(6, (i) => `"~${i * 4 + ((j >> (i * 2)) & 3)}":1`),
  ),
  ...Object.fromEntries(
    [0, 1, 9, 16, 33, 34, 35, 99, 1023, 4294967294].map((index) => [
      `objects with the index ${index}`,
      list(3_000, () => `{"${index}":1}`),
    ]),
  ),
  "nested indexes": list(40, () => nested(190, '{"33":', "}", "0")),
  "an escaped index": list(3_000, () => `{"\\u0033\\u0034" :1}`),
  "an index and a name": list(3_000, (i) => `{"34":1,"~${short(i)}":1}`),
  "some indexes": list(1_500, () => '{"0":1,"1":1,"2":1,"3":1,"4":1,"142":1}'),
  "indexes of numbers": list(3_000, () => '{"34":-0}'),
  "one object of indexes": object(5_500, (i) => `"${i * 1000}":0`),
  "numbers that are not integers": list(9_000, () => "-0").replace("]", ",{}]"),
  "new short texts": list(9_000, (i) => `"~${short(i)}"`),
  "objects without their __proto__": list(3_000, () => '{"__proto__":1}'),
  "tables without their __proto__": list(3_000, () => '{"__proto__":1,"a":1}'),
  "tables of 4 without their __proto__": list(
    1_500,
    () => '{"__proto__":1,"a":1,"b":1,"c":1,"d":1}',
  ),
  "one name again and again": object(5_000, () => '"a":1'),
  "a long text": `["${"a".repeat(1e6)}"]`,
  "a long text with one wide sign": `["\u0101${"a".repeat(1e6)}"]`,
  "a long text with one escaped wide sign": `["\\u0101${"a".repeat(1e6)}"]`,
  "wide names": list(5_000, (i) => `{"\u0101~${short(i)}":1}`),
  "a long wide text": `["${"\u20ac".repeat(3e5)}"]`,
};

const NAMES: Record<string, (i: number) => string> = {
  flat: (i) => `~${short(i)}`,
  "with a value": (i) => `~${short(i)}=abc~${short(i)}`,
  "with a long value": (i) => `~${short(i)}=${"x".repeat(20)}`,
  escaped: (i) => `%41~${short(i)}=%41${short(i)}`,
  wide: (i) => `%C4%81~${short(i)}=%C4%81aaaaaaaaaaaaaa`,
  "of one name": (i) => `a=~${short(i)}x`,
  "of a list": (i) => `a[]=~${short(i)}x`,
  indexes: (i) => `${i * 7}`,
  "high indexes": (i) => `${i * 1_000}`,
  "one bracket": (i) => `b[~${short(i)}]`,
  "two brackets": (i) => `b[~${short(i)}][a]`,
  "five brackets": (i) => `b[~${short(i)}][a][a][a][a]`,
  "five new names": (i) =>
    `~${short(i)}[~${short(i)}]`.padEnd(1) +
    times(4, () => `[~${short(i)}]`, ""),
  "empty brackets": (i) => `b[~${short(i)}][]`,
  "nested empty brackets": (i) => `b[~${short(i)}][][][]`,
  ...Object.fromEntries(
    [0, 9, 19, 20, 33, 99, 300, 999, 1023, 1024, 3323, 9999].map((index) => [
      `the index ${index}`,
      (i: number) => `b[~${short(i)}][${index}]`,
    ]),
  ),
  "an escaped index": (i) => `b%5B~${short(i)}%5D[%39%39%39]=%zz`,
  "new items of a list": () => "b[][a]",
  "new items of a list, with an index": () => "b[33][][99]",
  "new items of a list, with new names": (i) => `b[][~${short(i)}][a]`,
  "nested indexes": (i) => `b[~${short(i)}][33][33][33]`,
  "a list of lists": (i) => `b[${i % 20}][${i % 19}][${i}]`,
  rows: (i) => `b[${i >> 1}][${"xy"[i % 2]}]=~1`,
  "conflicting names": (i) => (i % 2 ? "b[a][a]" : `b[a][a][~${short(i)}]`),
};

const all = (kind: Kind, texts: Record<string, string>): Sample[] =>
  Object.entries(texts).map(([name, text]) => ({
    name: `${kind}: ${name}`,
    kind,
    text,
  }));

const pairs = (of: (i: number) => string) => times(2_000, of, "&");

const FORMS = Object.fromEntries(
  Object.entries(NAMES).map(([name, of]) => [name, pairs(of)]),
);

const PARAMS: Record<string, string> = Object.fromEntries(
  Object.entries<(i: number) => string>({
    short: (i) => `~${short(i)}=1`,
    "with a value": (i) => `~${short(i)}=abcabcabcabcabc`,
    "with a long name": (i) => `~${short(i)}${"n".repeat(40)}=1`,
    "with a long name and value": (i) =>
      `~${short(i)}${"n".repeat(40)}=${"v".repeat(40)}`,
    "with a wide value": (i) => `~${short(i)}=\u0101aaaaaaaaaaaaaa`,
  }).flatMap(([name, of]) =>
    [300, 2_000, 6_200].map((count) => [
      `${count}, ${name}`,
      times(count, of, "&"),
    ]),
  ),
);

/** Those that take more than `times` what is counted. */
function underestimated(measured: Measured[], times = 1): Measured[] {
  return measured.filter(
    ({ real, estimated }) => real > estimated * times + NOISE_BYTES,
  );
}

test.each([
  ["JSON", all("json", JSONS)],
  ["JSON documents that are short", all("shortJson", JSONS)],
  ["forms", all("form", FORMS)],
  ["queries", all("query", FORMS)],
  ["stored params", all("params", PARAMS)],
])(
  "%s of hostile shapes take no more memory than is counted",
  (_kind, samples) => {
    const measured = measure(samples);
    if (process.env.HOSTILE_LONG) console.table(measured);
    expect(underestimated(measured)).toEqual([]);
  },
  120_000,
);

test("JSON, forms and queries of any shape take at most twice what is counted", () => {
  const word = fc.oneof(
    fc.constantFrom("a", "b", "~", "0", "33", "999", "2500", "", "a=", "]"),
    fc.string({ unit: fc.constantFrom(..."ab~19.%ä€"), maxLength: 8 }),
  );
  const name = fc
    .tuple(word, fc.array(word, { maxLength: 6 }))
    .map(([first, rest]) => first + rest.map((key) => `[${key}]`).join(""));
  const row = fc.array(name, { minLength: 1, maxLength: 12 });
  const key = fc.oneof(
    fc.nat({ max: 3_000 }).map(String),
    fc.string({ unit: fc.constantFrom(..."abc~ä€"), maxLength: 20 }),
  );
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { maxDepth: 8, withCrossShrink: true },
      fc.constantFrom(
        -0.5,
        0,
        2 ** 40,
        null,
        true,
        "~",
        "€uro",
        "x".repeat(50),
      ),
      fc.array(tie("any"), { maxLength: 8 }),
      fc.dictionary(key, tie("any"), { maxKeys: 12 }),
    ),
  })).any;

  const samples: Sample[] = [
    ...fc.sample(value, SAMPLES).flatMap((one, i): Sample[] => {
      const text = JSON.stringify(Array.from({ length: 50 }, () => one));
      return [
        { name: `json ${i}`, kind: "json", text },
        { name: `short json ${i}`, kind: "shortJson", text },
      ];
    }),
    ...fc.sample(row, SAMPLES).flatMap((names, i): Sample[] => {
      const text = times(
        200,
        (at) => names.map((one) => one.replace("a", `a${at}`)).join("&"),
        "&",
      );
      return [
        { name: `form ${i}: ${names.join("&")}`, kind: "form", text },
        { name: `query ${i}: ${names.join("&")}`, kind: "query", text },
      ];
    }),
  ];
  expect(underestimated(measure(samples), 2)).toEqual([]);
}, 240_000);

test("ordinary JSON, forms and queries take no less than a tenth of what is counted", () => {
  const user = (i: number) => ({
    id: i,
    name: `User ~${i}`,
    email: `u${i}@example.com`,
    tags: ["a", "b"],
    at: { x: 1.5, y: 2.5 },
  });
  const rows = (i: number) =>
    ["id", "name", "email", "phone"]
      .map((field) => `rows[${i}][${field}]=~${field}${i}+and+more`)
      .join("&");
  const fields = (i: number) => `field${i}=some+text+~${i}`;
  const documents = {
    users: JSON.stringify(Array.from({ length: 1_000 }, (_, i) => user(i))),
    byId: object(1_000, (i) => `"${i * 31}":${JSON.stringify(user(i))}`),
    text: JSON.stringify({ text: "some text ".repeat(10_000) }),
  };
  const measured = measure([
    ...all("json", documents),
    ...all("shortJson", documents),
    ...all("form", {
      rows: times(1_000, rows, "&"),
      fields: times(1_000, fields, "&"),
    }),
    ...all("query", {
      rows: times(200, rows, "&"),
      fields: times(500, fields, "&"),
    }),
  ]);
  if (process.env.HOSTILE_LONG) console.table(measured);
  expect(underestimated(measured)).toEqual([]);
  expect(
    measured.filter(({ real, estimated }) => estimated > real * 10),
  ).toEqual([]);
}, 120_000);

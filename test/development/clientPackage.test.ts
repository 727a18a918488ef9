/** `generate-client`: the package that it writes, how it calls the server, and what the compiler says of its callers. */
import { execFile } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { promisify } from "node:util";
import * as ts from "typescript";
import { z } from "zod";
import { startWebApp, type WebApp } from "../support/webApp";
import { GenerateClient } from "../../bin/methods/generate/client";
import { addAction } from "../../src/action/registry";
import {
  typeOfSchema,
  writeClientPackage,
} from "../../src/development/clientPackage";
import { config, defineAction, file, withFiles } from "../../src/index";
import { reloadRoutes } from "../../src/route/tables";

const run = promisify(execFile);
const root = path.join(__dirname, "..", "..");
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "ah-package-"));
const out = path.join(folder, "client");
const dist = path.join(folder, "dist");

let app: WebApp;

const node = z.object({
  id: z.int(),
  get children() {
    return z.array(node).optional();
  },
});

beforeAll(async () => {
  config.web.queryRouting = true; // for actions that have no route
  config.session.param = "ticket";
  app = await startWebApp();
  const actions = [
    defineAction({
      name: "document",
      inputs: z.object({ content: z.json() }),
      output: z.object({ content: z.json() }),
      run: ({ params }) => params,
    }),
    defineAction({
      name: "user:show",
      inputs: z.object({
        id: z.int().describe("who */ it is"),
        role: z.enum(["admin", "guest"]).optional(),
      }),
      output: z.object({ id: z.number(), name: z.string().nullable() }),
      route: "get /users/:id",
      run: ({ params }) => ({ id: params.id, name: "Ada" }),
    }),
    defineAction({
      name: "user:show",
      version: 2,
      inputs: z.object({ id: z.int() }),
      output: z.object({ tree: node }),
      run: ({ params }) => ({ tree: { id: params.id } }),
    }),
    defineAction({
      name: "area",
      inputs: z.discriminatedUnion("kind", [
        z.object({ kind: z.literal("circle"), size: z.number() }),
        z.object({ kind: z.literal("icon"), size: z.enum(["s", "m"]) }),
      ]),
      run: ({ params }) => params,
    }),
    defineAction({
      name: "mark",
      inputs: withFiles(
        z.union([z.object({ at: z.number() }), z.object({ by: z.string() })]),
        { picture: file({ required: true }) },
      ),
      run: () => ({}),
    }),
    defineAction({
      name: "picture",
      inputs: withFiles(z.object({ title: z.string() }), {
        picture: file({ required: true }),
      }),
      run: ({ params }) => ({ size: params.picture.size }),
    }),
    defineAction({
      name: "sides",
      inputs: z.looseObject({ id: z.int() }),
      output: z.object({
        number: z.string().transform(Number),
        count: z.number().default(1),
        rows: z.array(z.looseObject({ id: z.int() })),
      }),
      run: () => ({ number: "5", rows: [{ id: 1, more: true }] }),
    }),
    defineAction({ name: "hidden", toDocument: false, run: () => ({}) }),
  ];
  for (const one of actions) addAction(one, "test");
  reloadRoutes();
  await run(process.execPath, [
    path.join(root, "scripts/buildClient.js"),
    dist,
  ]);
  // what the compiler puts beside the bundles
  const types = path.join(root, "src", "client", "node");
  for (const name of ["node.d.ts", "node.d.mts"])
    fs.writeFileSync(
      path.join(dist, "client", name),
      `export * from ${JSON.stringify(types)};\n`,
    );
  fs.mkdirSync(path.join(dist, "src", "client"), { recursive: true });
  writeClientPackage({ out, dist });
}, 60_000);

afterAll(async () => {
  await app.stop();
  fs.rmSync(folder, { recursive: true });
});

test.each([
  [
    "CommonJS",
    "call.cjs",
    `const { createClient, ActionError } = require("things");`,
  ],
  [
    "an ES module",
    "call.mjs",
    `import { createClient, ActionError } from "things";`,
  ],
])(
  "%s calls the server by the routes of the actions",
  async (_, name, load) => {
    const modules = path.join(folder, "node_modules");
    fs.mkdirSync(modules, { recursive: true });
    const ws = path.join(root, "node_modules", "ws");
    for (const [link, target] of Object.entries({ things: out, ws }))
      if (!fs.existsSync(path.join(modules, link)))
        fs.symlinkSync(target, path.join(modules, link), "dir");
    const script = path.join(folder, name);
    fs.writeFileSync(
      script,
      `${load}
    const api = createClient({ url: process.argv[2] });
    (async () => {
      const shown = await api.call("user:show@1", { id: 5 });
      const tree = await api.user.show({ id: 6 });
      const picture = await api.picture({ title: "a", picture: new Blob(["abc"]) });
      const error = await api.user.show({ id: "x" }).catch((thrown) => thrown);
      const isKnown = error instanceof ActionError;
      const { code } = await api.user.show({ id: 6, ticket: "x" }).catch((thrown) => thrown);
      console.log(JSON.stringify({ shown, tree, picture, isKnown, code, paths: error.errors.map(({ path }) => path) }));
    })();`,
    );
    const { stdout } = await run(process.execPath, [script, app.url]);
    expect(JSON.parse(stdout)).toEqual({
      shown: { id: 5, name: "Ada" },
      tree: { tree: { id: 6 } },
      picture: { size: 3 },
      isKnown: true,
      code: "UNSUPPORTED", // a session is no param
      paths: ["id"],
    });
  },
);

test("a package without its dependency calls over HTTP, and tells that websockets need it", async () => {
  // no folder above this one has `ws`
  const caller = fs.mkdtempSync(path.join(os.tmpdir(), "ah-caller-"));
  writeClientPackage({ out: path.join(caller, "client"), dist });
  const script = path.join(caller, "call.mjs");
  fs.writeFileSync(
    script,
    `import { createClient } from "./client/index.mjs";
    const url = process.argv[2];
    const shown = await createClient({ url }).user.show({ id: 6 });
    const socket = createClient({ url: url.replace("http", "ws"), reconnect: { min: 60_000, max: 60_000 } });
    const { code, message } = await socket.user.show({ id: 6 }).catch((thrown) => thrown);
    socket.close();
    console.log(JSON.stringify({ shown, code, message }));`,
  );
  try {
    const { stdout } = await run(process.execPath, [script, app.url]);
    expect(JSON.parse(stdout)).toEqual({
      shown: { tree: { id: 6 } },
      code: "UNSUPPORTED",
      message:
        "websockets need the package `ws` outside of browsers: npm install ws",
    });
  } finally {
    fs.rmSync(caller, { recursive: true });
  }
});

const CALLERS = `
import { createClient, createHttpClient, ActionError } from "./client";

export async function callers(picture: Blob) {
  const api = createClient({ url: "" });
  const name: string | null = (await api.call("user:show@1", { id: 1, role: "admin" })).name;
  const deep: number | undefined = (await api.user.show({ id: 1 })).tree.children?.[0]?.children?.[0]?.id;
  await api.picture({ title: "a", picture });
  await api.area({ kind: "circle", size: 1 });
  // @ts-expect-error the size of an icon is a text
  await api.area({ kind: "icon", size: 1 });
  await api.mark({ at: 1, picture });
  // @ts-expect-error one of both is needed
  await api.mark({ picture });
  // @ts-expect-error the picture is missing
  await api.mark({ by: "a" });
  await api.document({ content: { a: ["b", { c: 1 }] } });
  // @ts-expect-error no JSON
  await api.document({ content: () => 1 });
  const sides = await api.sides({ id: 1, more: "a" });
  const sent: string = sides.number;
  const more: boolean = sides.rows[0]!.more;
  // @ts-expect-error it is optional
  const count: number = sides.count;
  // @ts-expect-error the id is a number
  await api.sides({ id: "1" });
  await createHttpClient({ url: "" }).status();
  // @ts-expect-error there is no such action
  await api.call("user:shown", { id: 1 });
  // @ts-expect-error it is not shown
  await api.hidden();
  // @ts-expect-error the id is missing
  await api.user.show();
  // @ts-expect-error the id is a number
  await api.user.show({ id: "1" });
  // @ts-expect-error there is no such role
  await api.call("user:show@1", { id: 1, role: "nobody" });
  // @ts-expect-error the picture is missing
  await api.picture({ title: "a" });
  // @ts-expect-error the response has no such property
  void (await api.user.show({ id: 1 })).name;
  return [name, deep, sent, more, count, ActionError];
}
`;

test("names, params, files and responses are known to the compiler", () => {
  const caller = path.join(folder, "callers.ts");
  fs.writeFileSync(caller, CALLERS);
  const program = ts.createProgram([caller], {
    strict: true,
    noEmit: true,
    skipLibCheck: false,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.Node16,
    moduleResolution: ts.ModuleResolutionKind.Node16,
    types: ["node"],
    typeRoots: [path.join(root, "node_modules", "@types")],
  });
  const own = program
    .getSourceFiles()
    .filter(({ fileName }) => fileName.startsWith(folder));
  expect(own.length).toBeGreaterThan(1);
  const messages = own
    .flatMap((source) => [
      ...program.getSyntacticDiagnostics(source),
      ...program.getSemanticDiagnostics(source),
    ])
    .map(({ messageText, start, file: at }) => [
      at?.getLineAndCharacterOfPosition(start!).line,
      ts.flattenDiagnosticMessageText(messageText, "\n"),
    ]);
  expect(messages).toEqual([]);
}, 60_000);

test("the folder of another package is left alone, and an own one is written again", () => {
  const other = path.join(folder, "other");
  fs.mkdirSync(other);
  fs.writeFileSync(path.join(other, "package.json"), "{}");
  expect(() => writeClientPackage({ out: other, dist })).toThrow(
    "is that of another package",
  );
  for (const name of ["Bad Name!", "../up", ".hidden", "node_modules"])
    expect(() => writeClientPackage({ out, dist, name })).toThrow(
      "npm takes no package with the name",
    );
  writeClientPackage({ out, dist, name: "things" });
  const { name } = JSON.parse(
    fs.readFileSync(path.join(out, "package.json"), "utf8"),
  ) as { name: string };
  expect(name).toBe("things");
});

test("a framework that is not built has no client to give away", () => {
  expect(() =>
    writeClientPackage({ out, dist: path.join(folder, "missing") }),
  ).toThrow("the framework is not built");
  expect(new GenerateClient().inputs).toHaveProperty("out.required", true);
});

test.each([
  [{ type: "integer" }, "number"],
  [{ type: ["string", "null"] }, "string | null"],
  [{ enum: ["a", 1, null] }, '"a" | 1 | null'],
  [{ const: "a" }, '"a"'],
  [{ anyOf: [{ type: "string" }, { type: "null" }] }, "string | null"],
  [{ allOf: [{ type: "string" }, { const: "a" }] }, '(string) & ("a")'],
  [{ type: "array", items: { type: "string" } }, "(string)[]"],
  [
    { prefixItems: [{ type: "string" }, {}], items: { type: "number" } },
    "[string, any, ...(number)[]]",
  ],
  [{ type: "object" }, "Record<string, any>"],
  [
    { type: "object", additionalProperties: { type: "number" } },
    "{ [key: string]: number }",
  ],
  [{ type: "object", properties: { "a-b": {} } }, '{ "a-b"?: any; }'],
  [
    { type: "object", properties: { a: {} }, additionalProperties: {} },
    '{ "a"?: any; } & Record<string, any>',
  ],
  [
    {
      type: "object",
      properties: { a: {} },
      additionalProperties: { type: "number" },
    },
    '{ "a"?: any; } & Record<string, any>',
  ],
  [{ $ref: "#/x" }, "<#/x>"],
  [{}, "any"],
  [true, "any"],
  [false, "never"],
  [undefined, "any"],
])("the type of %j is %s", (schema, type) => {
  expect(typeOfSchema(schema, (ref) => `<${ref}>`)).toBe(type);
});

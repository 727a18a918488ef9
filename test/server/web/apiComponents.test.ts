/** The schemas of the OpenAPI document: what requests and responses really are, in a form that generators of clients read. */
import { randomUUID } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import * as vm from "node:vm";
import * as ts from "typescript";
import SwaggerParser = require("@apidevtools/swagger-parser");
import * as v from "valibot";
import { z } from "zod";
import { repositoryRoot } from "../../support/temporaryProject";
import { startWebApp, type WebApp } from "../../support/webApp";
import {
  type Action,
  api,
  config,
  defineAction,
  file,
  rebuildConfig,
  withFiles,
} from "../../../src/index";
import { addAction } from "../../../src/action/registry";
import { reloadRoutes } from "../../../src/route/tables";
import { describeApi } from "../../../src/server/web/openapi";
import { restoreConfig } from "../../support/withConfig";

restoreConfig();

let app: WebApp;
let document: any;

/** A validator of JSON Schema 2020-12, the dialect of OpenAPI 3.1. */
const Ajv2020 = require(
  require.resolve("ajv/dist/2020", {
    paths: [require.resolve("@apidevtools/swagger-parser")],
  }),
).default;

const tree = z.object({
  id: z.int().readonly(),
  get children() {
    return z.array(tree).optional();
  },
});
const user = z
  .object({ id: z.int(), role: z.enum(["admin", "guest"]).default("guest") })
  .meta({ id: "User" });

/** Actions with responses of which the two sides of their schemas differ, and a query that calls them. */
const responding: [action: Action, query: string][] = [
  [
    defineAction({
      name: "sides",
      output: z.object({
        number: z.string().transform(Number),
        list: z.array(z.object({ count: z.number().default(1) })),
        more: z.number().default(1),
      }),
      run: () => ({ number: "5", list: [{}] }),
    }),
    "",
  ],
  [
    defineAction({
      name: "renamed",
      output: z
        .object({ first_name: z.string() })
        .transform((row) => ({ firstName: row.first_name }))
        .pipe(z.object({ firstName: z.string() })),
      run: () => ({ first_name: "Ada" }),
    }),
    "",
  ],
  [
    defineAction({
      name: "entities",
      inputs: z.object({ depth: z.int().optional() }),
      output: z.object({ users: z.array(user), tree }),
      run: () => ({
        users: [{ id: 1 }, { id: 2, role: "admin" as const }],
        tree: { id: 1, children: [{ id: 2 }] },
      }),
    }),
    "depth=2",
  ],
  [
    defineAction({
      name: "strict",
      output: z.discriminatedUnion("kind", [
        z.strictObject({ kind: z.literal("a"), inner: z.strictObject({}) }),
        z.strictObject({ kind: z.literal("b") }),
      ]),
      run: () => ({ kind: "a" as const, inner: {} }),
    }),
    "",
  ],
];

let counter = 0;

const taking = [
  defineAction({
    name: "entity:add",
    inputs: z.object({
      user,
      tree,
      tags: z.array(z.string()).readonly(),
    }),
    route: ["post /entity", "get /entity"],
    run: () => ({}),
  }),
  defineAction({
    name: "record",
    inputs: z.record(z.string(), z.number()),
    route: ["post /record", "get /record"],
    run: ({ params }) => ({ params }),
  }),
  defineAction({
    name: "loose",
    inputs: z.looseObject({ id: z.int() }),
    route: ["post /loose", "put /loose/:id"],
    run: () => ({}),
  }),
  defineAction({
    name: "tables",
    inputs: { one: { schema: user }, other: { schema: tree } },
    route: "post /tables",
    run: () => ({}),
  }),
  defineAction({
    name: "form",
    inputs: withFiles(
      z.object({
        title: z.string(),
        tags: z.array(z.string()).optional(),
        address: z.object({ city: z.string() }).nullish(),
        rows: z.array(tree).optional(),
      }),
      {
        picture: file({ types: ["image/png", "image/*"] }),
        more: file({ maxFiles: 2 }),
      },
    ),
    route: "post /form",
    run: ({ params: { title, tags, address, rows } }) => ({
      sent: { title, tags, address, rows },
    }),
  }),
  defineAction({
    name: "form:table",
    inputs: {
      address: { schema: { city: {} } },
      node: { schema: tree },
      title: {},
      picture: file(),
    },
    route: "post /form/table",
    run: ({ params: { address, title } }) => ({ sent: { title, address } }),
  }),
  defineAction({
    name: "defaults",
    inputs: z.object({
      id: z.string().default(() => randomUUID()),
      tags: z.array(z.string()).default(() => ["a"]),
      default: z.object({ count: z.int().default(() => ++counter) }),
    }),
    route: "post /defaults",
    run: () => ({}),
  }),
  defineAction({
    name: "undescribed",
    inputs: v.object({ id: v.number() }),
    route: ["post /undescribed", "get /undescribed"],
    run: () => ({}),
  }),
  ...["a:b", "a_b"].map((name) =>
    defineAction({
      name,
      inputs: z.object({ [name]: user }),
      output: z.object({ [name]: z.string() }),
      run: () => ({ [name]: "" }),
    }),
  ),
  ...[1, 2].map((version) =>
    defineAction({
      name: "versions",
      version,
      description: `version ${version}`,
      inputs: z.object({ user }),
      run: () => ({}),
    }),
  ),
];

beforeAll(async () => {
  config.web.openapi = true;
  config.web.queryRouting = config.web.formBrackets = true;
  config.web.automaticRoutes = ["get", "post"];
  app = await startWebApp();
  for (const action of [
    ...responding.map(([action]) => action),
    ...taking,
    ...templateActions(),
  ])
    addAction(action, "test");
  config.routes = {
    ...config.routes,
    get: [
      ...((config.routes as any)?.get ?? []),
      { path: "/versions/one", action: "versions", apiVersion: 1 },
    ],
  };
  reloadRoutes();
  document = (await app.ask("/api/openapi.json")).json;
});

afterAll(async () => {
  await app.stop();
  rebuildConfig();
});

test("inputs without a JSON Schema take any params", () => {
  const { get, post } = document.paths["/undescribed"];
  expect(post.requestBody.content["application/json"].schema).toEqual({
    type: "object",
    properties: {},
    required: [],
    additionalProperties: {},
  });
  expect(get.parameters).toMatchObject([
    { in: "query", explode: true, schema: { additionalProperties: {} } },
  ]);
});

/** The actions that new projects get. */
function templateActions(): Action[] {
  const folder = path.join(repositoryRoot, "bin", "templates", "project");
  return fs
    .readdirSync(folder)
    .filter((name) => name.endsWith(".ts.template"))
    .map((name) => fs.readFileSync(path.join(folder, name), "utf8"))
    .filter((text) => text.includes("defineAction"))
    .flatMap((text) => {
      const compiled = ts.transpile(text, { module: ts.ModuleKind.CommonJS });
      const exported: Record<string, Action> = {};
      const load = (name: string) =>
        name === "actionhero" ? require("../../../src/index") : require(name);
      vm.compileFunction(compiled, ["require", "exports"])(load, exported);
      return Object.values(exported);
    });
}

/** The schemas below a value that are references, or hold definitions. */
function find(value: unknown, key: string): unknown[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) =>
    name === key ? [inner] : find(inner, key),
  );
}

/** The schema of a part of the document. */
function validatorOf(schema: object) {
  const ajv = new Ajv2020({ strict: false, logger: false });
  return ajv.compile({ ...schema, components: document.components });
}

function operation(at: string, method = "get") {
  return document.paths[at][method];
}

function responseOf(at: string) {
  return operation(at).responses[200].content["application/json"].schema;
}

function bodyOf(at: string, method = "post") {
  return Object.values<any>(operation(at, method).requestBody.content)[0];
}

describe("responses", () => {
  const calls: [string, string][] = [
    ...responding.map(([{ name }, query]): [string, string] => [name, query]),
    ["status", ""],
    ["swagger", ""],
    ["createChatRoom", "name=lobby"],
    ["randomNumber", ""],
    ["cacheTest", "key=abc&value=def"],
  ];

  test("the actions of the templates are among those that are compared", () => {
    const names = templateActions().map(({ name }) => name);
    expect(names.length).toBeGreaterThan(1);
    expect(calls.map(([name]) => name)).toEqual(expect.arrayContaining(names));
  });

  test.each(calls)("of %s are as the document says", async (name, query) => {
    const { status, json } = await app.ask(`/api/${name}?${query}`);
    expect([status, json.error]).toEqual([200, undefined]);
    const validate = validatorOf(responseOf(`/${name}`));
    expect([validate(json), validate.errors]).toEqual([true, null]);
    expect(validate("a text")).toBe(false);
  });

  test("have the side of the schema that is sent, without defaults", () => {
    const { schemas } = document.components;
    expect(schemas["sides.output"]).toEqual({
      type: "object",
      properties: {
        number: { type: "string" },
        list: {
          type: "array",
          items: {
            type: "object",
            properties: { count: { type: "number" } },
          },
        },
        more: { type: "number" },
      },
      required: ["number", "list"],
    });
    expect(Object.keys(schemas["renamed.output"].properties)).toEqual([
      "first_name",
    ]);
    expect(schemas["entities.output.User"].required).toEqual(["id"]);
  });

  test("whose two sides name different properties are sent", async () => {
    const { json } = await app.ask("/api/renamed");
    expect(json).toMatchObject({ first_name: "Ada" });
  });
});

describe("components", () => {
  test("hold every definition, recursive ones too, under a name that is valid", async () => {
    expect(find(document, "$defs")).toEqual([]);
    const refs = [...new Set(find(document, "$ref"))] as string[];
    const { schemas } = document.components;
    for (const ref of refs)
      expect(Object.keys(schemas)).toContain(
        ref.replace("#/components/schemas/", ""),
      );
    for (const name of Object.keys(schemas)) {
      expect(name).toMatch(/^[\w.-]+$/);
      expect(Object.keys(schemas[name])).not.toContain("id");
    }
    expect(schemas["entity_add.input.User"].properties).toHaveProperty("role");
    expect(refs).toContain("#/components/schemas/entity_add.input.User");
    await SwaggerParser.validate(structuredClone(document));
  });

  test("of actions whose names differ in a sign only are apart", () => {
    const names = ["/a:b", "/a_b"].map((at) => {
      const { $ref } = responseOf(at);
      const component = $ref.replace("#/components/schemas/", "");
      return Object.keys(document.components.schemas[component].properties);
    });
    expect(names).toEqual([["a:b"], ["a_b"]]);
  });

  test("of the inputs of a table are apart", () => {
    expect(bodyOf("/tables").schema.properties).toEqual({
      one: { $ref: "#/components/schemas/tables.input.one" },
      other: { $ref: "#/components/schemas/tables.input.other" },
    });
  });
});

describe("requests", () => {
  test("have no properties that are said to be read only", () => {
    expect(operation("/entity").parameters).toContainEqual({
      name: "tags",
      in: "query",
      required: true,
      schema: { type: "array", items: { type: "string" } },
    });
    const inputs = Object.entries(document.components.schemas).filter(
      ([name]) => name.includes(".input"),
    );
    expect(inputs.length).toBeGreaterThan(1);
    expect(find(inputs, "readOnly")).toEqual([]);
    expect(find(document.paths, "readOnly")).toEqual([]);
  });

  test("have the defaults that are the same for each call", () => {
    const { id, tags, default: nested } = bodyOf("/defaults").schema.properties;
    expect(id).toEqual({ type: "string" });
    expect(tags).toMatchObject({ type: "array", default: ["a"] });
    expect(nested.properties.count.type).toBe("integer");
    expect(nested.properties.count).not.toHaveProperty("default");
  });

  test("of any names are described in bodies and queries", async () => {
    expect(bodyOf("/record")).toEqual({
      schema: {
        type: "object",
        properties: {},
        required: [],
        additionalProperties: { type: "number" },
      },
    });
    expect(operation("/record").parameters).toEqual([
      {
        name: "params",
        in: "query",
        required: false,
        style: "form",
        explode: true,
        schema: { type: "object", additionalProperties: { type: "number" } },
      },
    ]);
    expect(bodyOf("/loose").schema).toMatchObject({
      required: ["id"],
      additionalProperties: {},
    });
    expect(bodyOf("/loose/{id}", "put").schema).toMatchObject({
      properties: {},
      additionalProperties: {},
    });
    const { json } = await app.ask("/api/record?a=1&b=2");
    expect(json.params).toMatchObject({ a: 1, b: 2 });
  });

  test("with files have objects as JSON, and the types of files", () => {
    const { schema, encoding } = bodyOf("/form");
    expect(schema.properties.tags).toEqual({
      type: "array",
      items: { type: "string" },
    });
    expect(encoding).toEqual({
      address: { contentType: "application/json" },
      rows: { contentType: "application/json" },
      picture: { contentType: "image/png, image/*" },
    });
    const byName = { style: "deepObject", explode: true };
    expect(bodyOf("/form/table").encoding).toEqual({
      address: byName,
      node: byName,
    });
  });

  /** The form that the document describes for these values. */
  function formOf(at: string, values: Record<string, unknown>): FormData {
    const { encoding } = bodyOf(at);
    const form = new FormData();
    for (const [name, value] of Object.entries(values))
      for (const item of [value].flat()) {
        const { contentType, style } = encoding[name] ?? {};
        if (style === "deepObject")
          for (const [key, inner] of Object.entries<any>(item as object))
            form.append(`${name}[${key}]`, inner);
        else if (contentType)
          form.append(
            name,
            new Blob([JSON.stringify(item)], { type: contentType }),
          );
        else form.append(name, item);
      }
    return form;
  }

  test.each([
    [
      "/form",
      {
        title: "a",
        tags: ["a", "b"],
        address: { city: "Oslo" },
        rows: [{ id: 1 }, { id: 2, children: [] }],
      },
    ],
    ["/form/table", { title: "a", address: { city: "Oslo" } }],
  ])("in the form of %s arrive as they were", async (at, values) => {
    const body = formOf(at, values);
    const response = await fetch(`${app.url}/api${at}`, {
      method: "POST",
      body,
    });
    const { error, sent } = (await response.json()) as any;
    expect([response.status, error]).toEqual([200, undefined]);
    expect(sent).toEqual(values);
  });
});

test("the latest version is described beside a route of an older one", () => {
  expect(operation("/versions/one").summary).toBe("version 1");
  expect(operation("/versions").summary).toBe("version 2");
});

test("a document is the same each time", () => {
  expect(JSON.parse(JSON.stringify(describeApi()))).toEqual(document);
  expect(api.actions.actions).toHaveProperty("openapi");
});

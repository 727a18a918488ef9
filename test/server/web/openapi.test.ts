/** The OpenAPI document: what it says of routes, inputs and responses, and that it is valid. */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import SwaggerParser = require("@apidevtools/swagger-parser");
import specs = require("@asyncapi/specs");
import Ajv = require("ajv");
import { z } from "zod";
import { describeWithPeers, peerPath } from "../../support/peers";
import { runOk } from "../../support/runCli";
import { startWebApp, type WebApp } from "../../support/webApp";
import {
  action,
  api,
  config,
  defineAction,
  file,
  rebuildConfig,
  withFiles,
} from "../../../src/index";
import { OpenApi } from "../../../bin/methods/openapi";
import { addAction } from "../../../src/action/registry";
import { addRoute, reloadRoutes } from "../../../src/route/tables";
import { addOpenApi, describeApi } from "../../../src/server/web/openapi";
import { breakingChanges } from "../../../src/server/web/openapiChanges";
import { restoreConfig, withConfig } from "../../support/withConfig";

restoreConfig();

let app: WebApp;

const node = z.object({
  id: z.int(),
  get children() {
    return z.array(node).optional();
  },
});

beforeAll(async () => {
  config.web.openapi = {
    info: { title: "Things" },
    securitySchemes: { token: { type: "http", scheme: "bearer" } },
    security: [{ token: [] }],
  };
  app = await startWebApp();
  const actions = [
    defineAction({
      name: "thing:show",
      description: "One thing",
      inputs: z.object({ id: z.int(), full: z.boolean().default(false) }),
      output: z.object({ thing: node }),
      outputExample: { thing: { id: 1 } },
      route: "get /things/:id",
      run: () => ({ thing: { id: 1 } }),
    }),
    defineAction({
      name: "thing:add",
      inputs: z.object({ id: z.int(), node, note: z.string().optional() }),
      route: "post /things/:id",
      run: ({ params }) => ({ added: params.node.id }),
    }),
    defineAction({
      name: "table",
      blockedConnectionTypes: ["socket"],
      inputs: {
        id: { required: true },
        count: { default: 5 },
        any: { formatter: Number },
        address: { schema: { city: { required: true }, zip: {} } },
        nested: { schema: node },
      },
      route: ["get /table", "post /table"],
      run: () => ({}),
    }),
    defineAction({
      name: "picture",
      inputs: withFiles(z.object({ title: z.string() }), {
        picture: file({ required: true }),
        more: file({ maxFiles: 2 }),
      }),
      route: "post /pictures",
      run: () => ({}),
    }),
    defineAction({
      name: "shape:area",
      inputs: z.discriminatedUnion("kind", [
        z.object({ kind: z.literal("circle"), size: z.number() }),
        z.object({ kind: z.literal("icon"), size: z.enum(["s", "m"]) }),
      ]),
      route: "post /areas",
      run: () => ({}),
    }),
    defineAction({
      name: "scan",
      inputs: { page: file({ required: true }) },
      run: () => ({}),
    }),
    defineAction({
      name: "pay",
      idempotent: true,
      inputs: { amount: {} },
      route: "post /payments",
      run: () => ({}),
    }),
    defineAction({
      name: "thing:remove",
      inputs: z.object({ shelf: z.int(), id: z.int().optional() }),
      route: "delete /things/:shelf",
      run: () => ({}),
    }),
    ...(
      [
        ["pair:x", "/a/:x/b/:y"],
        ["pair:id", "/a/:id/b/:id", "post"],
        ["twice:id", "/c/:id/d/:id"],
        ["twice:x", "/c/:x/d/:y", "post"],
        ["named", "/odd/:user.name/v:a-b"],
      ] as const
    ).map(([name, at, method = "get"]) =>
      defineAction({ name, route: `${method} ${at}`, run: () => ({}) }),
    ),
    defineAction({
      name: "hidden",
      toDocument: false,
      route: "get /hidden",
      run: () => ({}),
    }),
    defineAction({
      name: "old",
      version: 1,
      inputs: { a: {} },
      run: () => ({}),
    }),
    defineAction({
      name: "old",
      version: 2,
      inputs: { b: {} },
      run: () => ({}),
    }),
  ];
  for (const one of actions) addAction(one, "test");
  for (const [name, at] of [
    ["user:number", "/u/:id(^\\d+$)"],
    ["user:letters", "/u/:letters(^[a-z]+$)"],
    ["user:name", "/u/:name"],
    ["user:unreachable", "/u/:other"],
  ] as const) {
    addAction(defineAction({ name, run: () => ({}) }), "test");
    addRoute("get", { path: at, action: name }, "code");
  }
  addRoute("get", { path: "/v:apiVersion/old", action: "old" }, "code");
  reloadRoutes();
});

afterAll(async () => {
  await app.stop();
  rebuildConfig();
});

async function described(): Promise<any> {
  return (await app.ask("/api/openapi.json")).json;
}

test("the body of an action whose inputs are a union has its options, beside all properties", async () => {
  const { paths, components } = await described();
  const body = paths["/areas"].post.requestBody;
  const { properties, required, allOf } =
    body.content["application/json"].schema;
  expect(Object.keys(properties)).toEqual(["kind", "size"]);
  expect(required).toEqual(["kind", "size"]);
  expect(allOf).toEqual([{ $ref: "#/components/schemas/shape_area.input" }]);
  expect(components.schemas["shape_area.input"].oneOf).toHaveLength(2);
});

test("GET /api/openapi.json is a valid OpenAPI 3.1 document and nothing else", async () => {
  const { status, headers, json } = await app.ask("/api/openapi.json");
  expect(status).toBe(200);
  expect(headers["content-type"]).toBe("application/json; charset=utf-8");
  expect(Object.keys(json)).toEqual([
    "openapi",
    "info",
    "servers",
    "security",
    "paths",
    "components",
  ]);
  expect(json.openapi).toBe("3.1.0");
  expect(json.info.title).toBe("Things");
  expect(json.servers).toEqual([{ url: "/api" }]);
  await SwaggerParser.validate(json);
});

test("the first allowed host is the server of both documents, with or without its scheme", async () => {
  const headers = { Host: "site.test" };
  for (const host of ["http://site.test", "site.test"]) {
    config.web.allowedRequestHosts = [host];
    const { json } = await app.ask("/api/openapi.json", { headers });
    const async = await app.ask("/api/asyncapi.json", { headers });
    config.web.allowedRequestHosts = [];
    expect(json.servers).toEqual([{ url: "http://site.test/api" }]);
    expect(async.json.servers.websocket).toMatchObject({ host: "site.test" });
  }
});

test("a document that is not valid is refused by the validator", async () => {
  const json = await described();
  json.paths["/status"].get.parameters = [{ in: "nowhere" }];
  await expect(SwaggerParser.validate(json)).rejects.toThrow();
});

test("params are in the path, the query or the body", async () => {
  const { paths } = await described();
  const { get, post } = paths["/things/{id}"];
  expect(get).toMatchObject({
    operationId: "thing:show",
    summary: "One thing",
    tags: ["thing"],
    parameters: [
      { name: "id", in: "path", required: true, schema: { type: "integer" } },
      {
        name: "full",
        in: "query",
        required: false,
        schema: { type: "boolean", default: false },
      },
    ],
  });
  expect(get).not.toHaveProperty("requestBody");
  expect(post.parameters).toHaveLength(1);
  const { schema } = post.requestBody.content["application/json"];
  expect(Object.keys(schema.properties)).toEqual(["node", "note"]);
  expect(schema.required).toEqual(["node"]);
});

test("paths that differ in the names of their variables are one path item", async () => {
  const { paths } = await described();
  const items = Object.keys(paths).filter((name) => name.includes("/things/"));
  expect(items).toEqual(["/things/{id}"]);
  expect(paths["/things/{id}"].delete.parameters).toEqual([
    {
      name: "id",
      in: "path",
      required: true,
      description: "the input `shelf`",
      "x-input": "shelf",
      schema: expect.objectContaining({ type: "integer" }),
    },
    expect.objectContaining({ name: "id", in: "query", required: false }),
  ]);
});

test("a path item has a param for each variable, however its routes name them", async () => {
  const { paths } = await described();
  const inPath = (item: any, method: string) =>
    item[method].parameters.map((param: any) => [
      param.name,
      param["x-input"] ?? param.name,
    ]);
  const pair = paths["/a/{x}/b/{y}"];
  expect(inPath(pair, "get")).toEqual([
    ["x", "x"],
    ["y", "y"],
  ]);
  expect(inPath(pair, "post")).toEqual([
    ["x", "id"],
    ["y", "id"],
  ]);
  const twice = paths["/c/{id}/d/{id2}"];
  expect(inPath(twice, "get")).toEqual([
    ["id", "id"],
    ["id2", "id"],
  ]);
  expect(inPath(twice, "post")).toEqual([
    ["id", "x"],
    ["id2", "y"],
  ]);
});

test("the variables of a path are those of the router, whatever their names are", async () => {
  const { paths } = await described();
  const { parameters } = paths["/odd/{user.name}/v{a-b}"].get;
  expect(parameters.map(({ name }: { name: string }) => name)).toEqual([
    "user.name",
    "a-b",
  ]);
});

test("an operation names the actions that take what its pattern does not", async () => {
  const { paths } = await described();
  const { operationId, description } = paths["/u/{id}"].get;
  expect(operationId).toBe("user:number");
  expect(description).toBe(
    "Other values in the path call: `user:letters` `user:name`",
  );
});

test("responses have the output schema, the example, and the form of errors", async () => {
  const { paths, components } = await described();
  const { responses } = paths["/things/{id}"].get;
  expect(responses[200].content["application/json"]).toEqual({
    schema: { $ref: "#/components/schemas/thing_show.output" },
    example: { thing: { id: 1 } },
  });
  expect(responses.default.content["application/json"].schema.$ref).toBe(
    "#/components/schemas/Error",
  );
  expect(components.schemas["thing_show.output"].properties).toHaveProperty(
    "thing",
  );
  expect(components.schemas.Error.required).toEqual(["error"]);
  expect(components.securitySchemes).toHaveProperty("token");
});

test("tables are described as far as they say what they are", async () => {
  const { paths } = await described();
  const { get, post } = paths["/table"];
  const params = Object.fromEntries(
    get.parameters.map(({ name, schema }: any) => [name, schema]),
  );
  expect(params).toMatchObject({
    id: { type: "string" },
    count: { type: "number", default: 5 },
    any: {},
    address: { type: "object", required: ["city"] },
    nested: { $ref: "#/components/schemas/table.input.nested" },
  });
  const styles = get.parameters.map(({ name, style, explode }: any) => [
    name,
    style,
    explode,
  ]);
  expect(styles).toEqual([
    ["id", undefined, undefined],
    ["count", undefined, undefined],
    ["any", undefined, undefined],
    ["address", "deepObject", true],
    ["nested", "deepObject", true],
  ]);
  expect([get.operationId, post.operationId]).toEqual(["table", "table.post"]);
  const { content } = paths["/pictures"].post.requestBody;
  expect(content["multipart/form-data"].schema.properties).toMatchObject({
    title: { type: "string" },
    picture: { contentMediaType: "application/octet-stream" },
    more: { type: "array" },
  });
});

test("idempotent actions take a key, and others do not", async () => {
  const { paths } = await described();
  expect(paths["/payments"].post.parameters).toEqual([
    {
      name: "Idempotency-Key",
      in: "header",
      required: false,
      schema: {
        description: expect.any(String),
        type: "string",
        pattern: "^[!-~]{1,255}$",
      },
    },
  ]);
  expect(paths["/pictures"].post.parameters).toEqual([]);
});

test("an automatic route is left out for methods that cannot send the files which the action requires", async () => {
  const automaticRoutes = ["get", "post", "put", "delete"];
  await withConfig({ web: { automaticRoutes } }, async () => {
    reloadRoutes();
    const { paths } = await described();
    expect(Object.keys(paths["/scan"]).sort()).toEqual(["post", "put"]);
  });
  reloadRoutes();
});

test("hidden actions, the document itself and automatic routes beside others are left out", async () => {
  const { paths } = await described();
  expect(Object.keys(paths)).toEqual(
    expect.arrayContaining(["/status", "/v{apiVersion}/old"]),
  );
  for (const path of ["/hidden", "/openapi.json", "/thing:show"])
    expect(paths).not.toHaveProperty([path]);
});

test("an action that gets a route keeps its automatic ones: nothing is gone", async () => {
  await withConfig({ web: { automaticRoutes: ["get"] } }, async () => {
    reloadRoutes();
    const before: any = describeApi(true);
    expect(before.paths["/thing:show"]).toHaveProperty("get");
    expect(breakingChanges(before, await described())).toContain(
      "GET /thing:show is gone",
    );
    expect(breakingChanges(await described(), before)).toEqual([]);
  });
  reloadRoutes();
});

test("operations of an action with several versions name theirs", async () => {
  const { paths } = await described();
  expect(paths["/v{apiVersion}/old"].get["x-api-version"]).toBe(2);
  expect(paths["/things/{id}"].get).not.toHaveProperty("x-api-version");
});

test("clients of other transports get the same document as a response", async () => {
  const { openapi, paths } = await action.run("openapi");
  expect(openapi).toBe("3.1.0");
  expect(Object.keys(paths)).toEqual(Object.keys((await described()).paths));
});

test("general.introspection switches it off, and it is off by default", async () => {
  await withConfig({ general: { introspection: false } }, async () =>
    expect((await app.ask("/api/openapi.json")).status).toBe(404),
  );
  delete api.actions.actions.openapi;
  await withConfig({ web: { openapi: false } }, addOpenApi);
  expect(api.actions.actions).not.toHaveProperty("openapi");
  addOpenApi();
  expect(api.actions.actions).toHaveProperty("openapi");
});

describe("the command", () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "openapi-"));
  const out = path.join(folder, "openapi.json");
  afterAll(() => fs.rmSync(folder, { recursive: true }));

  test("writes the document, and finds what breaks clients of an older one", async () => {
    const command = new OpenApi();
    await command.run({ params: { out } });
    const before = JSON.parse(fs.readFileSync(out, "utf8"));
    expect(before).toEqual(await described());

    const log = jest.spyOn(console, "log").mockReturnValue();
    await command.run({ params: { check: out } });
    expect(log).not.toHaveBeenCalled();
    expect(process.exitCode).toBeUndefined();

    before.paths["/gone"] = { get: {} };
    fs.writeFileSync(out, JSON.stringify(before));
    await command.run({ params: { check: out } });
    expect(log.mock.calls).toEqual([["GET /gone is gone"]]);
    expect(process.exitCode).toBe(1);
    process.exitCode = undefined;
    log.mockRestore();
  });

  test.each([
    ["an object of another kind", '{"a":1}'],
    ["a list", "[]"],
    ["a document of Swagger 2", '{"swagger":"2.0","paths":{}}'],
    ["a document without paths", '{"openapi":"3.1.0","paths":null}'],
    ["no JSON", "openapi: 3.1.0"],
  ])("a check against %s fails", async (_what, text) => {
    const file = path.join(folder, "baseline.json");
    fs.writeFileSync(file, text);
    await expect(
      new OpenApi().run({ params: { check: file } }),
    ).rejects.toThrow(`${file} is not an OpenAPI 3 document`);
  });

  test("what breaks clients is listed, and nothing else", async () => {
    const before = await described();
    const after = structuredClone(before);
    const { get, post } = after.paths["/things/{id}"];
    get.parameters[1].required = true;
    get.parameters.push({ name: "extra", in: "query", schema: {} });
    const body = post.requestBody.content["application/json"].schema;
    body.properties.note.type = "number";
    body.required.push("must");
    body.properties.must = { type: "string" };
    const output = after.components.schemas["thing_show.output"];
    output.properties = { more: {} };
    expect(breakingChanges(before, after)).toEqual([
      "GET /things/{id} requires full",
      "GET /things/{id} responds without thing",
      'POST /things/{id} takes note as "number", which was "string"',
      "POST /things/{id} requires must",
    ]);
  });

  test("params of the same name are compared where they stand, and those of the path whatever their names", async () => {
    const before = await described();
    const after = structuredClone(before);
    const item = after.paths["/things/{id}"];
    delete after.paths["/things/{id}"];
    after.paths["/things/{shelf}"] = item;
    for (const { parameters } of [item.get, item.post, item.delete])
      parameters[0].name = "shelf";
    expect(breakingChanges(before, after)).toEqual([]);
    item.delete.parameters[0].schema = { type: "string" };
    item.delete.parameters[1].required = true;
    expect(breakingChanges(before, after)).toEqual([
      'DELETE /things/{id} takes shelf as "string", which was "integer"',
      "DELETE /things/{id} requires id",
    ]);
  });

  test("one change of a recursive schema is one line for all methods", () => {
    const documentOf = (minLength: number) => {
      const node = { $ref: "#/components/schemas/node" };
      const content = { "application/json": { schema: node } };
      const operation = { requestBody: { content } };
      return {
        paths: {
          "/thread": { post: operation, put: operation, patch: operation },
        },
        components: {
          schemas: {
            node: {
              type: "object",
              properties: {
                text: { type: "string", minLength },
                first: node,
                replies: { type: "array", items: node },
              },
            },
          },
        },
      };
    };
    expect(breakingChanges(documentOf(1), documentOf(2))).toEqual([
      "POST, PUT, PATCH /thread takes text with minLength 2",
    ]);
  });

  test("what breaks clients is found in nested objects, lists and enums, too", () => {
    const documentOf = (input: object, output: object) => ({
      paths: {
        "/items": {
          post: {
            requestBody: {
              content: {
                "application/json": {
                  schema: { type: "object", properties: input },
                },
              },
            },
            responses: {
              200: { content: { "application/json": { schema: output } } },
            },
          },
        },
      },
      components: {
        schemas: {
          node: {
            type: "object",
            properties: { child: { $ref: "#/components/schemas/node" } },
          },
        },
      },
    });
    const node = { $ref: "#/components/schemas/node" };
    const address = (zip: string, required: string[]) => ({
      type: "object",
      properties: { zip: { type: zip }, city: { type: "string" } },
      required,
    });
    const kinds = (...values: string[]) => ({ type: "string", enum: values });
    const list = (type: string) => ({ type: "array", items: { type } });
    const item = (properties: object) => ({
      type: "object",
      properties: { item: { type: "object", properties }, node },
    });
    const before = documentOf(
      {
        address: address("string", []),
        kind: kinds("toy", "book"),
        free: { type: "string" },
        tags: list("string"),
        node,
      },
      item({ price: { type: "number" }, name: { type: "string" } }),
    );
    const after = documentOf(
      {
        address: address("number", ["city"]),
        kind: kinds("toy", "car"),
        free: kinds("a"),
        tags: list("number"),
        node,
      },
      item({ price: { type: "string" }, more: {} }),
    );
    expect(breakingChanges(before, after)).toEqual([
      "POST /items requires address.city",
      'POST /items takes address.zip as "number", which was "string"',
      'POST /items takes kind no longer as "book"',
      'POST /items takes free only as "a"',
      'POST /items takes tags.* as "number", which was "string"',
      'POST /items responds with item.price as "string", which was "number"',
      "POST /items responds without item.name",
    ]);
    expect(breakingChanges(before, before)).toEqual([]);

    const compared = (
      old: [input: object, output: object],
      now: [input: object, output: object],
    ) =>
      breakingChanges(documentOf(...old), documentOf(...now)).map((line) =>
        line.replace("POST /items ", ""),
      );
    const nullable = (schema: object) => ({
      anyOf: [schema, { type: "null" }],
    });
    const text = (limits: object = {}) => ({ type: "string", ...limits });
    expect(
      compared(
        [
          {
            count: { type: "integer", minimum: 1, maximum: 9 },
            open: { type: "integer" },
            name: text({ minLength: 2 }),
            code: text({ pattern: "^a" }),
            tags: { type: "array", items: text(), maxItems: 5 },
            address: nullable(address("string", [])),
            kind: { const: "a" },
          },
          {},
        ],
        [
          {
            count: { type: "integer", minimum: 2, maximum: 8 },
            open: { type: "integer", minimum: 0 },
            name: text({ minLength: 3, maxLength: 20 }),
            code: text({ pattern: "^b", format: "email" }),
            tags: { type: "array", items: text({ minLength: 1 }), maxItems: 4 },
            address: nullable(address("string", ["city"])),
            kind: { const: "b" },
          },
          {},
        ],
      ),
    ).toEqual([
      "takes count with minimum 2",
      "takes count with maximum 8",
      "takes open with minimum 0",
      "takes name with minLength 3",
      "takes name with maxLength 20",
      'takes code with pattern "^b"',
      'takes code with format "email"',
      "takes tags with maxItems 4",
      "takes tags.* with minLength 1",
      "requires address.city",
      'takes kind no longer as "a"',
    ]);
    const response = (required: string[], properties: object) => ({
      type: "object",
      required,
      properties: { list: { type: "array", items: { properties, required } } },
    });
    expect(
      compared(
        [
          { count: { type: "integer" }, text: text() },
          response(["list", "kind"], {
            kind: kinds("toy", "book"),
            only: { const: 1 },
            fixed: kinds("a"),
            name: text(),
            price: { type: "number" },
            more: { type: "integer" },
          }),
        ],
        [
          { count: { type: "number" }, text: nullable(text()) },
          response([], {
            kind: kinds("toy", "car"),
            only: { const: 2 },
            fixed: text(),
            name: nullable(text()),
            price: { type: "integer" },
            more: { type: "number" },
          }),
        ],
      ),
    ).toEqual([
      "no longer always responds with list",
      "no longer always responds with list.*.kind",
      'responds with list.*.kind also as "car"',
      "responds with list.*.only also as 2",
      'responds with list.*.fixed not only as "a"',
      'responds with list.*.name as "string" or "null", which was "string"',
      'responds with list.*.more as "number", which was "integer"',
    ]);
    // records and tuples
    const record = (others: unknown) => ({
      type: "object",
      additionalProperties: others,
    });
    const tuple = (...items: object[]) => ({
      type: "array",
      prefixItems: items,
    });
    const number = { type: "number" };
    const user = (...names: string[]) =>
      record({
        type: "object",
        properties: Object.fromEntries(names.map((name) => [name, text()])),
      });
    expect(
      compared(
        [
          {
            ...{ prices: record(number), at: tuple(text(), number) },
            ...{ closed: record(number), pair: tuple(text(), text()) },
          },
          response([], {
            ...{ users: user("id", "name"), at: tuple(text(), number) },
            ...{ gone: record(number), pair: tuple(text(), text()) },
          }),
        ],
        [
          {
            ...{ prices: record(text()), at: tuple(text(), text()) },
            ...{ closed: record(false), pair: tuple(text()) },
          },
          response([], {
            ...{ users: user("id"), at: tuple(number, number) },
            ...{ gone: record(false), pair: tuple(text()) },
          }),
        ],
      ),
    ).toEqual([
      'takes prices.* as "string", which was "number"',
      'takes at.1 as "string", which was "number"',
      "no longer takes closed.*",
      "takes pair with 1 items, which were 2",
      "responds without list.*.users.*.name",
      'responds with list.*.at.0 as "number", which was "string"',
      "responds without list.*.gone.*",
      "responds with list.*.pair with 1 items, which were 2",
    ]);
    // looser inputs and stricter responses break no client
    expect(
      compared(
        [
          { name: text({ minLength: 3 }), kind: kinds("a") },
          response([], { kind: kinds("a", "b") }),
        ],
        [
          { name: text({ minLength: 2 }), kind: kinds("a", "b") },
          response(["list"], { kind: kinds("a") }),
        ],
      ),
    ).toEqual([]);
  });
});

const CALLS = `
import createClient from "openapi-fetch";
import type { paths } from "./api";

const api = createClient<paths>({ baseUrl: process.argv[2]! });

async function calls() {
  const at = { path: { id: 1 } };
  const shown = await api.GET("/things/{id}", { params: { ...at, query: { full: true } } });
  const id: number | undefined = shown.data?.thing.children?.[0]?.id ?? shown.data?.thing.id;
  const added = await api.POST("/things/{id}", { params: at, body: { node: { id: 5 } } });
  const refused = await api.POST("/things/{id}", { params: at, body: { node: {} as never } });
  const message: string | undefined = refused.error?.error;
  const wrong: string[] | undefined = refused.error?.errors?.map(({ path }) => path);
  return { id, added: added.data, message, wrong, status: refused.response.status };
}

export async function refusedByTheCompiler() {
  // @ts-expect-error there is no such path
  await api.GET("/nothing");
  // @ts-expect-error nor this method of it
  await api.DELETE("/things/{id}");
  // @ts-expect-error the id is missing
  await api.GET("/things/{id}");
  // @ts-expect-error the id is a number
  await api.GET("/things/{id}", { params: { path: { id: "1" } } });
  // @ts-expect-error the body is missing
  await api.POST("/things/{id}", { params: { path: { id: 1 } } });
  const { data } = await api.GET("/things/{id}", { params: { path: { id: 1 } } });
  // @ts-expect-error the response has no such property
  return data?.thing.name;
}

calls().then((result) => console.log(JSON.stringify(result)));
`;

describeWithPeers(
  "a client of openapi-typescript",
  () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "openapi-client-"));
    const inside = (name: string) => path.join(folder, name);
    afterAll(() => fs.rmSync(folder, { recursive: true }));

    test("compiles with TypeScript 5, and calls the server", async () => {
      fs.symlinkSync(peerPath(), inside("node_modules"));
      fs.writeFileSync(inside("package.json"), "{}");
      fs.writeFileSync(
        inside("openapi.json"),
        JSON.stringify(await described()),
      );
      fs.writeFileSync(inside("calls.ts"), CALLS);
      const inFolder = { cwd: folder };
      const generator = peerPath("openapi-typescript/bin/cli.js");
      const generated = ["openapi.json", "-o", "api.ts"];
      await runOk(process.execPath, [generator, ...generated], inFolder);
      const types = path.join(__dirname, "../../../node_modules/@types");
      await runOk(
        process.execPath,
        [
          peerPath("typescript/bin/tsc"),
          ...["--strict", "--noUncheckedIndexedAccess", "--skipLibCheck"],
          ...["--module", "node16", "--target", "es2022"],
          ...["--types", "node", "--typeRoots", types, "calls.ts"],
        ],
        inFolder,
      );
      const url = `${app.url}/api`;
      const printed = await runOk(
        process.execPath,
        ["calls.js", url],
        inFolder,
      );
      expect(JSON.parse(printed)).toMatchObject({
        id: 1,
        added: { added: 5 },
        message: "node.id is a required parameter for this action",
        wrong: ["node.id"],
        status: 422,
      });
    });
  },
  "openapi-typescript",
);

describe("the AsyncAPI document", () => {
  // ajv has the dialect of the schema itself
  const { "http://json-schema.org/draft-07/schema": _, ...definitions } = specs
    .schemas["3.0.0"].definitions as Record<string, object>;
  const validate = new Ajv({ unknownFormats: "ignore" }).compile({
    ...specs.schemas["3.0.0"],
    definitions,
  });
  let document: any;

  beforeAll(async () => {
    config.websocket.enabled = config.socket.enabled = true;
    ({ json: document } = await app.ask("/api/asyncapi.json"));
  });

  test("is valid, and its references lead to something", () => {
    expect([validate(document), validate.errors]).toEqual([true, null]);
    const text = JSON.stringify(document);
    const refs = [...text.matchAll(/"\$ref":"#\/([^"]*)"/g)];
    expect(refs.length).toBeGreaterThan(10);
    for (const [, ref] of refs) {
      let found = document;
      for (const key of ref.split("/")) found = found?.[key];
      expect([ref, typeof found]).toEqual([ref, "object"]);
    }
    const bad = structuredClone(document);
    bad.operations["websocket.table"].action = "sends";
    expect(validate(bad)).toBe(false);
  });

  test("has what clients of both transports send, and what they get", () => {
    const { servers, channels, operations, components } = document;
    expect(servers).toMatchObject({
      websocket: { protocol: "ws", pathname: "/primus" },
      socket: { protocol: "tcp" },
    });
    expect(operations["websocket.thing_show"]).toMatchObject({
      action: "receive",
      messages: [{ $ref: "#/channels/websocket/messages/thing_show.request" }],
      reply: {
        messages: [
          { $ref: "#/channels/websocket/messages/thing_show.response" },
          { $ref: "#/channels/websocket/messages/error" },
        ],
      },
    });
    const request = (transport: string, name: string) =>
      channels[transport].messages[`${name}.request`].payload.properties;
    const { params } = request("websocket", "pay");
    expect(Object.keys(params.properties)).toEqual([
      "action",
      "amount",
      "idempotencyKey",
    ]);
    expect(params.required).toEqual(["action"]);
    expect(request("websocket", "thing_show")).toMatchObject({
      event: { const: "action" },
      params: {
        required: ["action", "id"],
        properties: {
          action: { const: "thing:show" },
          id: { type: "integer" },
        },
      },
    });
    expect(request("socket", "thing_show")).toMatchObject({
      action: { const: "thing:show" },
      params: { required: ["id"] },
    });
    expect(components.schemas).toHaveProperty(["thing_show.output"]);
  });

  test("has each version, and leaves out what is hidden, blocked or disabled", async () => {
    const names = (transport: string) =>
      Object.keys(document.operations)
        .filter((name) => name.startsWith(transport))
        .map((name) => name.slice(transport.length + 1));
    expect(names("websocket")).toEqual(
      expect.arrayContaining(["old.v1", "old.v2", "pushed"]),
    );
    const { messages } = document.channels.websocket;
    const paramsOf = (name: string) =>
      messages[`${name}.request`].payload.properties.params;
    expect(paramsOf("old.v1").required).toEqual(["action", "apiVersion"]);
    expect(paramsOf("old.v2").required).toEqual(["action"]);
    for (const name of ["hidden", "picture"])
      expect(names("websocket")).not.toContain(name);
    expect(names("websocket")).toContain("table");
    expect(names("socket")).not.toContain("table");
    config.socket.enabled = false;
    const { json } = await app.ask("/api/asyncapi.json");
    expect(Object.keys(json.channels)).toEqual(["websocket"]);
  });

  test("is written by the command", async () => {
    const log = jest.spyOn(console, "log").mockReturnValue();
    await new OpenApi().run({ params: { asyncapi: true } });
    expect(JSON.parse(log.mock.calls[0][0])).toHaveProperty("asyncapi");
    log.mockRestore();
  });
});

/** Forms for actions whose inputs are a schema: lists as repeated fields, and parts of JSON, as OpenAPI 3.1 has them. */
import { z } from "zod";
import { api, config, file, withFiles } from "../../../src/index";
import { addActions, startWebApp, type WebApp } from "../../support/webApp";
import { restoreConfig } from "../../support/withConfig";

restoreConfig();

let app: WebApp;

const fields = z.object({
  title: z.string().optional(),
  tags: z.array(z.string()).default([]),
  counts: z.array(z.int()).optional(),
  pairs: z.array(z.array(z.int())).optional(),
  parts: z.array(z.object({ n: z.int() })).optional(),
  address: z.object({ city: z.string(), zip: z.string() }).optional(),
  either: z.union([z.string(), z.array(z.string())]).optional(),
  any: z.any().optional(),
});

beforeAll(async () => {
  app = await startWebApp();
  const run = ({ params }: any) => {
    const { action: _action, apiVersion: _version, ...others } = params;
    return { params: others };
  };
  addActions({
    shape: { inputs: withFiles(fields, { picture: file() }), run },
    table: { inputs: { tags: {}, address: {} }, run },
    second: { inputs: { tags: {} }, run },
  });
  api.actions.actions.second[2] = {
    name: "second",
    version: 2,
    description: "second",
    inputs: fields,
    run,
  } as never;
  api.actions.versions.second.push(2);
});

afterAll(() => app.stop());

const JSON_PART = "application/json";

type Part = [name: string, text: string, type?: string, filename?: string];

function multipart(parts: Part[]): string {
  const texts = parts.map(
    ([name, text, type, filename]) =>
      `--b\r\nContent-Disposition: form-data; name="${name}"` +
      (filename === undefined ? "" : `; filename="${filename}"`) +
      (type === undefined ? "" : `\r\nContent-Type: ${type}`) +
      `\r\n\r\n${text}\r\n`,
  );
  return `${texts.join("")}--b--\r\n`;
}

async function post(
  path: string,
  body: string,
  type = "multipart/form-data; boundary=b",
): Promise<any> {
  const { status, json } = await app.ask(`/api/${path}`, {
    method: "POST",
    headers: { "Content-Type": type },
    body,
  });
  return { status, error: json.error, params: json.params };
}

const postParts = (parts: Part[], path = "shape") =>
  post(path, multipart(parts));

describe.each([false, true])("with formBrackets: %p", (formBrackets) => {
  beforeEach(() => {
    config.web.formBrackets = formBrackets;
  });

  test.each<[string, Part[], object]>([
    [
      "repeated fields of a list",
      [
        ["tags", "a"],
        ["tags", "b"],
      ],
      { tags: ["a", "b"] },
    ],
    ["one field of a list", [["tags", "a"]], { tags: ["a"] }],
    [
      "repeated fields of a list of numbers",
      [
        ["counts", "1"],
        ["counts", "2"],
      ],
      { tags: [], counts: [1, 2] },
    ],
    [
      "repeated fields of a text, of which the last one counts",
      [
        ["title", "a"],
        ["title", "b"],
      ],
      { tags: [], title: "b" },
    ],
    [
      "repeated fields of a text or a list",
      [
        ["either", "a"],
        ["either", "b"],
      ],
      { tags: [], either: ["a", "b"] },
    ],
    [
      "one field of a text or a list",
      [["either", "a"]],
      { tags: [], either: "a" },
    ],
    [
      "an object as a part of JSON, without coercion",
      [["address", '{"city":"x","zip":"5"}', JSON_PART]],
      { tags: [], address: { city: "x", zip: "5" } },
    ],
    [
      "an object as a text of JSON without a type",
      [["address", '{"city":"x","zip":"5"}']],
      { tags: [], address: { city: "x", zip: "5" } },
    ],
    [
      "a text that looks like JSON",
      [
        ["title", '{"a":1}'],
        ["tags", '{"b":1}'],
      ],
      { tags: ['{"b":1}'], title: '{"a":1}' },
    ],
    [
      "an object as a Blob of FormData",
      [["address", '{"city":"x","zip":"5"}', JSON_PART, "blob"]],
      { tags: [], address: { city: "x", zip: "5" } },
    ],
    [
      "a list of objects as a part each",
      [
        ["parts", '{"n":1}', JSON_PART],
        ["parts", '{"n":2}', JSON_PART],
      ],
      { tags: [], parts: [{ n: 1 }, { n: 2 }] },
    ],
    [
      "a list of one object as a part",
      [["parts", '{"n":1}', JSON_PART]],
      { tags: [], parts: [{ n: 1 }] },
    ],
    [
      "a list as one part",
      [["parts", '[{"n":1},{"n":2}]', JSON_PART]],
      { tags: [], parts: [{ n: 1 }, { n: 2 }] },
    ],
    [
      "a list of lists as a part each",
      [
        ["pairs", "[1]", JSON_PART],
        ["pairs", "[2]", JSON_PART],
      ],
      { tags: [], pairs: [[1], [2]] },
    ],
    [
      "JSON where the schema has a text",
      [["title", '{"a":1}', JSON_PART]],
      { tags: [], title: '{"a":1}' },
    ],
    [
      "JSON without __proto__",
      [["any", '{"__proto__":{"a":1},"b":2}', JSON_PART]],
      { tags: [], any: { b: 2 } },
    ],
  ])("multipart: %s", async (_what, parts, params) => {
    expect(await postParts(parts)).toEqual({ status: 200, params });
  });

  test("an urlencoded form keeps repeated values where the schema has a list", async () => {
    const type = "application/x-www-form-urlencoded";
    const { params } = await post(
      "shape",
      "tags=a&tags=b&title=a&title=b",
      type,
    );
    expect(params).toEqual({ tags: ["a", "b"], title: "b" });
  });

  test("the version of the call decides", async () => {
    const parts: Part[] = [
      ["tags", "a"],
      ["tags", "b"],
    ];
    const first = await postParts([...parts, ["apiVersion", "1"]], "second");
    expect(first.params).toEqual({ tags: "b" });
    const second = await postParts([...parts, ["apiVersion", "2"]], "second");
    expect(second.params).toEqual({ tags: ["a", "b"] });
  });

  test("a text that is not JSON is refused by the schema", async () => {
    const { status, error } = await postParts([["address", "{city}"]]);
    expect(status).toBe(500);
    expect(error).toContain("address");
  });

  test("an action with a table keeps the last text, and the text of JSON", async () => {
    const { params } = await postParts(
      [
        ["tags", "a"],
        ["tags", "b"],
        ["address", '{"city":"x"}', JSON_PART],
      ],
      "table",
    );
    expect(params).toEqual({ tags: "b", address: '{"city":"x"}' });
  });
});

test("malformed JSON is the error of the schema", async () => {
  const { status, error } = await postParts([["address", "{", JSON_PART]]);
  expect(status).toBeGreaterThanOrEqual(400);
  expect(error).toMatch(/^address: .*expected object, received string/);
});

test("another file of JSON is none of the params", async () => {
  config.web.uploads = "declared";
  const { status } = await postParts([["title", "{}", JSON_PART, "blob"]]);
  expect(status).toBe(415);
  expect(
    (await postParts([["address", "{}", JSON_PART, "a.json"]])).status,
  ).toBe(415);
});

test.each<[string, () => void, string, number]>([
  [
    "deeper than maxBodyDepth",
    () => (config.web.maxBodyDepth = 3),
    "[[[[1]]]]",
    400,
  ],
  [
    "longer lists than maxArrayItems",
    () => (config.web.maxArrayItems = 3),
    "[1,2,3,4]",
    400,
  ],
  [
    "longer than maxJsonSize",
    () => (config.web.maxJsonSize = 5),
    "[1,2,3,4]",
    413,
  ],
])("a part of JSON is refused: %s", async (_what, limit, text, status) => {
  limit();
  const answer = await postParts([["any", text, JSON_PART]]);
  expect(answer).toMatchObject({
    status,
    error: expect.stringMatching(/web\./),
  });
});

test("more repeated values than maxArrayItems are refused", async () => {
  config.web.maxArrayItems = 2;
  const parts = ["a", "b", "c"].map((text): Part => ["tags", text]);
  expect(await postParts(parts)).toMatchObject({
    status: 400,
    error: expect.stringContaining("web.maxArrayItems"),
  });
});

import {
  actionReply,
  encodeMessage,
  ownMessageId,
  parseRequest,
} from "../../../src/server/socket/protocol";
import { config } from "../../../src/index";

const verbs = ["paramAdd", "say", "detailsView"];
const parse = (line: string, actions: string[] = []) =>
  parseRequest(line, { verbs, isAction: (name) => actions.includes(name) });

test.each([
  ["detailsView", { kind: "verb", verb: "detailsView", args: [] }],
  ["paramAdd a=b", { kind: "verb", verb: "paramAdd", args: ["a=b"] }],
  ["say r  two", { kind: "verb", verb: "say", args: ["r", "", "two"] }],
  ["addParam a=b", { kind: "verb", verb: "paramAdd", args: ["a=b"] }],
  ["file", { kind: "file", file: undefined }],
  ["file a.html b", { kind: "file", file: "a.html" }],
  ["status now", { kind: "action", action: "status" }],
  ["quit", { kind: "action", action: "quit" }], // not among the verbs here
  ['{"action":"a"}', { kind: "action", action: "a" }],
  ['  {"action":"a"}', { kind: "action", action: "a" }],
  ['\n\n{"action":"a"}\n', { kind: "action", action: "a" }],
  ["\n\nstatus\n", { kind: "action", action: "status" }],
  [
    '{"event":"say","message":{"a":[1]},"room":"a b","more":2}',
    { kind: "verb", verb: "say", args: ["a b", { a: [1] }, "2"] },
  ],
  [
    '{"event":"paramAdd","key":"a","value":"b c"}',
    { kind: "verb", verb: "paramAdd", args: ["a", "b c"] },
  ],
  ['{"event":"say","action":"a"}', { kind: "action", action: "a" }],
  ['{"event":"say","params":{}}', { kind: "action", params: {} }],
  ['{"event":"zzz"}', { kind: "action" }], // no verb
  ['{"event":["say"]}', { kind: "action" }],
  [
    '{"action":"a","params":{"b":1}}',
    { kind: "action", action: "a", params: { b: 1 } },
  ],
  ['{"params":{"b":1}}', { kind: "action", params: { b: 1 } }],
  ['{"action":"","params":[1]}', { kind: "action" }],
  ['{"action":"a","params":"no"}', { kind: "action", action: "a" }],
  ['{"action":"a', { kind: "action", action: '{"action":"a' }],
  ["null", { kind: "action", action: "null" }],
  ["17 and 4", { kind: "action", action: "17" }],
  ["[1,2]", { kind: "action", action: "[1,2]" }],
  ['"status"', { kind: "action", action: '"status"' }],
  [" ", { kind: "action", action: "" }],
])("%j", (line, expected) => {
  expect(parse(line)).toEqual(expected);
});

const usage =
  "params are key=value, with quotes around values that have spaces: ";

describe("params behind the name of an action", () => {
  test.each([
    ["greet name=Ada times=2", { name: "Ada", times: "2" }],
    ["greet  name=Ada ", { name: "Ada" }],
    ['greet name="Ada Lovelace" x=1', { name: "Ada Lovelace", x: "1" }],
    ["greet name='Ada \"L\"'", { name: 'Ada "L"' }],
    ['greet name="say \\"hi\\""', { name: 'say "hi"' }],
    ["greet url=http://a.b?c=d", { url: "http://a.b?c=d" }],
    ["greet name=", { name: "" }],
    ["greet name=it's", { name: "it's" }],
    ['greet {"name":"Ada","tags":["a b"]}', { name: "Ada", tags: ["a b"] }],
    ["greet {}", {}],
  ])("%s", (line, added) => {
    expect(parse(line)).toEqual({ kind: "action", action: "greet", added });
  });

  test.each([
    [
      "greet user[id]=5 role=x",
      'params with brackets are JSON, as in name {"list": [1]}: user[id]=5 role=x',
    ],
    [
      "greet role=x tags[]=a",
      'params with brackets are JSON, as in name {"list": [1]}: tags[]=a',
    ],
    ["greet name=Ada Lovelace", `${usage}Lovelace`],
    ["greet name=Ada {}", `${usage}{}`],
    ['greet name="Ada', 'a quote is not closed: "Ada'],
    ['greet name="Ada"x', 'a quote is not closed: "Ada"x'],
    ['greet {"name":', "the params are malformed JSON"],
    [`greet a=1 ${"b".repeat(99)}`, `${usage}${"b".repeat(40)}...`],
  ])("%s is refused", (line, reason) => {
    expect(parse(line)).toEqual({ kind: "refused", reason });
  });

  test.each([
    "greet hello there",
    "greet hello name=Ada",
    'greet "name=Ada"',
    "greet [1]",
    "greet =",
    "greet 1 = 2",
  ])("%s has none: the rest of the line is ignored, as in v29", (line) => {
    expect(parse(line)).toEqual({ kind: "action", action: "greet" });
  });

  test("__proto__ is dropped", () => {
    const { added } = parse("greet __proto__=1 a=2") as { added: object };
    expect(Object.entries(added)).toEqual([["a", "2"]]);
    expect(Object.getPrototypeOf(added)).toBe(Object.prototype);
  });

  test("there are at most web.maxParams, in time that grows with the line", () => {
    const line = `greet ${"a=1 ".repeat(250_000)}`;
    expect(parse(line)).toEqual({
      kind: "refused",
      reason: "the request has too many params: web.maxParams is 10000",
    });
    expect(parse(`greet a="${'\\"'.repeat(250_000)}"`)).toMatchObject({
      kind: "action",
    });
  });
});

test("an action named help goes before the verb", () => {
  const names = { verbs: ["help"], isAction: () => true };
  expect(parseRequest("help", names)).toMatchObject({ kind: "action" });
  expect(parseRequest("help", { ...names, isAction: () => false })).toEqual({
    kind: "verb",
    verb: "help",
    args: [],
  });
});

test("an action goes before the old name of a verb", () => {
  expect(parse("viewParam a", ["viewParam"])).toEqual({
    kind: "action",
    action: "viewParam",
  });
});

test("__proto__ keys are dropped, at any depth", () => {
  const request = parse(
    '{"action":"a","params":{"__proto__":{"x":1},"list":[{"__proto__":{"x":1},"y":2}]}}',
  ) as { params: any };
  expect(Object.hasOwn(request.params, "__proto__")).toBe(false);
  expect(Object.hasOwn(request.params.list[0], "__proto__")).toBe(false);
  expect(request.params.list[0].y).toBe(2);
});

test("JSON that is nested without end is refused", () => {
  const deep = `{"params":{"a":${"[".repeat(200_000)}${"]".repeat(200_000)}}}`;
  expect(parse(deep)).toMatchObject({ kind: "refused" });
});

test.each([
  [{ messageId: "x" }, "x"],
  [{ messageId: 0 }, 0],
  [{ messageId: "" }, undefined],
  [{ messageId: "x".repeat(1024) }, "x".repeat(1024)],
  [{ messageId: "x".repeat(1025) }, undefined],
  [{ messageId: { a: 1 } }, undefined],
  [{ messageId: null }, undefined],
  [{}, undefined],
])("the message id of %j is %p", (params, expected) => {
  expect(ownMessageId(params)).toBe(expected);
});

test.each<[unknown, boolean, object]>([
  [{ a: 1, context: "own", messageId: 5 }, false, { a: 1 }],
  ["text", false, { data: "text" }],
  [[1, 2], false, { data: [1, 2] }],
  [7, false, { data: 7 }],
  ["Error: no", true, { error: "Error: no" }],
])("the response %j", (response, hasFailed, expected) => {
  expect(actionReply(response, 3, hasFailed)).toEqual({
    ...expected,
    context: "response",
    messageId: 3,
  });
});

describe("encoding", () => {
  const { serializers } = config.errors;
  const { socket } = serializers.servers;
  afterEach(() => {
    serializers.servers.socket = socket;
  });

  test.each([
    [{ a: 1 }, '{"a":1}'],
    [
      { error: new Error("no"), context: "response" },
      '{"error":"no","context":"response"}',
    ],
    [{ error: { code: 1 } }, '{"error":{"code":1}}'],
    ["text", '"text"'],
    [undefined, "null"],
    ["a\nb", '"a\\nb"'],
  ])("%j", (message, text) => {
    expect(encodeMessage(message)).toBe(`${text}\r\n`);
  });

  test("the message stays as it is", () => {
    const message = Object.freeze({ error: new Error("no") });
    void encodeMessage(message);
    expect(message.error).toBeInstanceOf(Error);
  });

  test("by the project's serializer, also an async one", async () => {
    serializers.servers.socket = (error: Error) => `<${error.message}>`;
    expect(encodeMessage({ error: new Error("no") })).toBe(
      '{"error":"<no>"}\r\n',
    );
    serializers.servers.socket = async (error: Error) =>
      `late ${error.message}`;
    expect(await encodeMessage({ error: new Error("no") })).toBe(
      '{"error":"late no"}\r\n',
    );
  });

  test("without a serializer", () => {
    delete (serializers.servers as { socket?: unknown }).socket;
    expect(encodeMessage({ error: new Error("no") })).toBe(
      '{"error":"no"}\r\n',
    );
  });
});

test("a verb followed by a million words has few arguments, and no text is lost", () => {
  const text = "word ".repeat(1_000_000);
  for (const verb of ["say", "paramAdd", "roomAdd"]) {
    const request = parseRequest(`${verb} ${text}`, {
      verbs: [verb],
      isAction: () => false,
    });
    const { args } = request as { args: string[] };
    expect(args.length).toBeLessThan(20);
    expect(args.slice(0, 2)).toEqual(["word", "word"]);
    expect(args.join(" ")).toBe(text);
  }
});

import { LogLines } from "../support/logLines";
import { useApp } from "../support/app";
import { api, config, rebuildConfig, specHelper } from "../../src/index";
import { connectionVerbs } from "../../src/connection/verbs";
import { textParamsOf } from "../../src/input/field";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

useApp();

type TestConnection = Awaited<ReturnType<typeof specHelper.buildConnection>>;
let connection: TestConnection;

beforeEach(async () => {
  connection = await specHelper.buildConnection();
});

afterEach(async () => {
  await connection.destroy();
  rebuildConfig();
});

test("the list of verbs", () => {
  expect(connectionVerbs).toEqual([
    "quit",
    "exit",
    "paramAdd",
    "paramDelete",
    "paramView",
    "paramsView",
    "paramsDelete",
    "roomAdd",
    "roomLeave",
    "roomView",
    "detailsView",
    "say",
  ]);
});

describe("paramAdd", () => {
  test.each([
    [["key=value"], "value"],
    [["key", "value"], "value"],
    [["key=a=b"], "a=b"],
    [["key="], ""],
    ["key=text", "text"],
  ])("%j", async (words, value) => {
    expect(await connection.verbs("paramAdd", words)).toBeUndefined();
    expect(await connection.verbs("paramView", "key")).toBe(value);
  });

  test("values stay texts", async () => {
    await connection.verbs("paramAdd", ['key={"a":1}']);
    expect(connection.params.key).toBe('{"a":1}');
  });

  test("what no action takes is not kept, unless scrubbing is off", async () => {
    await connection.verbs("paramAdd", ["nobodyWantsIt=1"]);
    await connection.verbs("paramAdd", ["=1"]);
    expect(connection.params).toEqual({});
    config.general.disableParamScrubbing = true;
    await connection.verbs("paramAdd", ["nobodyWantsIt=1"]);
    await connection.verbs("paramAdd", ["__proto__=1"]);
    expect(Object.keys(connection.params)).toEqual(["nobodyWantsIt"]);
  });

  test("without scrubbing there is still an end", async () => {
    config.general.disableParamScrubbing = true;
    const params: Record<string, string> = {};
    for (let i = 0; i < 10_000; i++) params[`p${i}`] = "";
    connection.params = params;
    await expect(connection.verbs("paramAdd", ["more=1"])).rejects.toThrow(
      "too many params (limit 10000)",
    );
    expect(connection.params).not.toHaveProperty("more");
    await connection.verbs("paramAdd", ["p1=1"]);
    expect(connection.params.p1).toBe("1");
  });

  test.each([
    [["password=my", "own"], '["password=[FILTERED]"]'],
    [["password", "own"], '["password","[FILTERED]"]'],
    [["key=own"], '["key=own"]'],
    [[`key=${"x".repeat(100_000)}`], `["key=${"x".repeat(94)}`],
  ])(
    "its line in the log is short and shows no secrets (%#)",
    async (words, shown) => {
      config.general.filteredParams = ["password"];
      const lines = new LogLines();
      await connection.verbs("paramAdd", words);
      lines.stop();
      const line = lines.lines.find(({ verb }) => verb === "paramAdd");
      expect(line!.params).toBe(shown);
    },
  );

  test("safe names are kept", async () => {
    await connection.verbs("paramAdd", ["messageId=7"]);
    expect(await connection.verbs("paramsView")).toEqual({ messageId: "7" });
  });
});

test("the name of a removed param is not kept", async () => {
  await connection.verbs("paramAdd", ["key=value"]);
  expect(textParamsOf(connection.params).has("key")).toBe(true);
  await connection.verbs("paramDelete", ["key"]);
  expect(textParamsOf(connection.params).has("key")).toBe(false);
});

test("paramDelete, paramsDelete", async () => {
  connection.params = { key: 1, value: 2 };
  await connection.verbs("paramDelete", ["key"]);
  expect(connection.params).toEqual({ value: 2 });
  await connection.verbs("paramsDelete");
  expect(await connection.verbs("paramsView")).toEqual({});
});

test("quit and exit destroy", async () => {
  expect(await connection.verbs("quit")).toBeUndefined();
  expect(connection.destroyed).toBe(true);
  const other = await specHelper.buildConnection();
  await other.verbs("exit", []);
  expect(other.destroyed).toBe(true);
});

test("the caller's list of words is left alone", async () => {
  const words = ["defaultRoom"];
  await connection.verbs("roomAdd", words);
  const said = ["defaultRoom", "hello"];
  await connection.verbs("say", said);
  expect([words, said]).toEqual([["defaultRoom"], ["defaultRoom", "hello"]]);
});

describe("a verb that is not allowed, or not there", () => {
  async function errorOf(verb: string): Promise<any> {
    return connection.verbs(verb).then(
      () => undefined,
      (error: unknown) => error,
    );
  }

  function withVerbs(verbs: string[]) {
    const { attributes } = api.servers.servers.testServer;
    const saved = attributes.verbs;
    attributes.verbs = verbs;
    return () => {
      attributes.verbs = saved;
    };
  }

  test("each has its own words in config.errors", async () => {
    const errors = config.errors as any;
    const restore = withVerbs(["mine", "constructor"]);
    const saved = { ...errors };
    errors.verbNotAllowed = (_: unknown, verb: string) => `no ${verb} here`;
    errors.verbNotFound = async (_: unknown, verb: string) => ({ code: verb });
    try {
      expect((await errorOf("detailsView")).message).toBe(
        "no detailsView here",
      );
      expect(await errorOf("mine")).toEqual({ code: "mine" });
      expect(await errorOf("constructor")).toEqual({ code: "constructor" });
    } finally {
      Object.assign(errors, saved);
      restore();
    }
  });

  test("the defaults", async () => {
    expect((await errorOf("nothing")).message).toBe(
      "verb not found or not allowed (nothing)",
    );
  });

  test("a server without verbs allows none", async () => {
    const restore = withVerbs(undefined as never);
    try {
      expect((await errorOf("detailsView")).message).toBe(
        "verb not found or not allowed (detailsView)",
      );
    } finally {
      restore();
    }
  });

  test("documentation is not allowed without general.introspection", async () => {
    const restore = withVerbs(["documentation"]);
    config.general.introspection = false;
    try {
      await expect(connection.verbs("documentation")).rejects.toThrow(
        "verb not found or not allowed (documentation)",
      );
    } finally {
      restore();
    }
  });

  test("documentation, where it is allowed, describes the actions", async () => {
    const restore = withVerbs(["documentation"]);
    try {
      const { documentation } = await connection.verbs("documentation");
      expect(documentation.randomNumber["1"]).toMatchObject({
        name: "randomNumber",
        version: 1,
        description: expect.any(String),
        inputs: {},
      });
    } finally {
      restore();
    }
  });
});

import { addActions, startWebApp, type WebApp } from "../support/webApp";
import { Action, api, config } from "../../src/index";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

let app: WebApp;

class OwnLimit extends Action {
  override name = "ownLimit";
  override description = "has rules of its own for the limit";
  override inputs = {
    limit: { default: () => 7, formatter: (value: string) => `<${value}>` },
  };
  async run({ params }: any) {
    return { params };
  }
}

async function start(settings: object): Promise<void> {
  Object.assign(config.general, settings);
  app = await startWebApp();
  addActions({
    list: { run: ({ params }) => ({ params }) },
    ownLimit: {
      inputs: new OwnLimit().inputs,
      run: ({ params }) => ({ params }),
    },
  });
}

afterEach(async () => {
  await app.stop();
});

async function paramsOf(path: string): Promise<any> {
  const { json } = await app.ask(path);
  return json.params;
}

test("limit and offset are numbers, or the defaults, whatever is sent", async () => {
  await start({ defaultLimit: 100, defaultOffset: 0 });
  expect(await paramsOf("/api/list")).toMatchObject({ limit: 100, offset: 0 });
  expect(await paramsOf("/api/list?limit=5&offset=1e1")).toMatchObject({
    limit: 5,
    offset: 10,
  });
  for (const odd of ["abc", "", "%20", "1e999", "NaN", "1&limit=2x"])
    expect((await paramsOf(`/api/list?limit=${odd}`)).limit).toBe(100);
  for (const odd of [[], [5], {}, null, true, { toString: "x" }]) {
    const { json } = await app.ask("/api/list", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ limit: odd }),
    });
    expect(json.params.limit).toBe(100);
  }
});

test("an action that declares one applies its own rules to it", async () => {
  await start({ defaultLimit: 100, defaultOffset: 0 });
  expect(() => new OwnLimit().validate()).not.toThrow();
  expect(await paramsOf("/api/ownLimit")).toMatchObject({
    limit: "<7>",
    offset: 0,
  });
  expect((await paramsOf("/api/ownLimit?limit=3")).limit).toBe("<3>");
});

test("one of the two defaults can be configured alone", async () => {
  await start({ defaultOffset: 20 });
  expect(await paramsOf("/api/list?limit=5")).toMatchObject({ offset: 20 });
  expect((await paramsOf("/api/list?limit=5")).limit).toBeUndefined();
});

test("without the settings, limit and offset are ordinary params", async () => {
  await start({});
  expect(api.params.globalSafeParams).not.toContain("limit");
  expect(api.actions.globalMiddleware).toEqual([]);
  const params = await paramsOf("/api/list?limit=5");
  expect(Object.keys(params).sort()).toEqual(["action", "apiVersion"]);
});

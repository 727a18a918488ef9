import { addActions, startWebApp, type WebApp } from "../../support/webApp";
import { config } from "../../../src/index";
import { restoreConfig } from "../../support/withConfig";

restoreConfig();
beforeEach(() => {
  config.web.legacyEnvelope = true;
});

let app: WebApp;

beforeAll(async () => {
  app = await startWebApp();
  addActions({
    hello: { inputs: { name: {} }, run: () => ({ hello: "world" }) },
    boom: {
      run: () => {
        throw new Error("boom");
      },
    },
    list: {
      run: (data) => {
        data.response = [1];
      },
    },
  });
});
afterAll(() => app.stop());

test("without legacyEnvelope no field is added", async () => {
  config.web.legacyEnvelope = false;
  const { json } = await app.ask("/api/hello");
  expect(json).not.toHaveProperty("error");
  expect(json).not.toHaveProperty("requestorInformation");
});

test("if enabled, responses contain OK and the received params", async () => {
  const { json, status } = await app.ask("/api/hello?name=x&other=y");
  expect(status).toBe(200);
  expect(json).toMatchObject({ hello: "world", error: "OK" });
  expect(json.requestorInformation).toEqual({
    remoteAddress: json.requesterInformation.remoteIP,
    recievedParams: { name: "x", action: "hello" },
  });
});

test("errors stay what they are", async () => {
  const { json, status } = await app.ask("/api/boom");
  expect([status, json.error]).toEqual([500, "boom"]);
  expect(json.requestorInformation.recievedParams.action).toBe("boom");
});

test("the fields are added without the other metadata, but not to responses that are not objects", async () => {
  config.web.metadataOptions = undefined as never;
  const { json } = await app.ask("/api/hello");
  expect(Object.keys(json)).toEqual(["hello", "requestorInformation", "error"]);
  expect((await app.ask("/api/list")).json).toEqual([1]);
});

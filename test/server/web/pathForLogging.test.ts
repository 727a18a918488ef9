import { addActions, startWebApp, type WebApp } from "../../support/webApp";
import { until } from "../../support/until";
import { LogLines } from "../../support/logLines";
import { api, config } from "../../../src/index";
import { pathForLogging } from "../../../src/server/web/webRequest";

let app: WebApp;

beforeAll(async () => {
  app = await startWebApp();
  addActions({ reset: { run: () => ({ ok: true }) } });
  api.routes.routes.get.push({ path: "/reset/:token", action: "reset" });
});

afterAll(() => app.stop());

test("the line of a request over HTTP shows no secret of its path", async () => {
  config.general.filteredParams = ["**.*token*"];
  const lines = new LogLines("info");
  await app.ask("/api/reset/s3cr%20t?x=1");
  const line = await until(() =>
    lines.lines.find(({ message }) => message.includes("action @ web")),
  );
  expect(line).toMatchObject({ pathname: "/api/reset/[FILTERED]" });
  expect(JSON.stringify(line)).not.toContain("s3cr");
  lines.stop();
});

test("the line of a request with the wrong method shows no secret of its path", async () => {
  config.general.filteredParams = ["**.*token*"];
  const lines = new LogLines("info");
  await app.ask("/api/reset/s3cr%20t", { method: "PUT" });
  const line = await until(() =>
    lines.lines.find(({ message }) => message.includes("action @ web")),
  );
  expect(line).toMatchObject({ pathname: "/api/reset/[FILTERED]" });
  lines.stop();
});

test.each([
  ["/api/reset/s3cr%20t/x", "/api/reset/[FILTERED]"],
  ["/api//reset//s3cr%20t/", "/api//reset//[FILTERED]/"],
  ["/api/reset", "/api/reset"],
  ["/api/nothing/s3cr%20t", "/api/nothing/s3cr%20t"],
])(
  "nor the line of a path that is nearly the route's: %s",
  async (path, shown) => {
    config.general.filteredParams = ["**.*token*"];
    const lines = new LogLines("info");
    await app.ask(path);
    const line = await until(() =>
      lines.lines.find(({ message }) => message.includes("action @ web")),
    );
    expect(line).toMatchObject({ pathname: shown });
    lines.stop();
  },
);

test.each([
  ["/reset/:token", "/api/reset/s3cr%20t", "/api/reset/[FILTERED]"],
  ["/reset/:token", "/reset/s3cr%20t/", "/reset/[FILTERED]/"],
  ["/v:token/:id", "/api/vs3cr%20t/5", "/api/[FILTERED]/5"],
  ["/:id/:token...", "/api/5/s3cr%20t", "/api/5/[FILTERED]"],
  ["/:id/:token...", "/api/5/s3cr%20t/a/b/", "/api/5/[FILTERED]/"],
  ["/:token/:id...", "/api/s3cr%20t/5/6", "/api/[FILTERED]/5/6"],
  ["/:id/:token...", "/elsewhere", "[FILTERED]"],
  ["/show/:id", "/api/show/5", "/api/show/5"],
])(
  "of a secret that the route %s takes from %s, the line shows %s",
  (route, pathname, shown) => {
    const path = route.replace("...", "");
    const token = /s3cr%20t(\/a\/b)?/.exec(pathname)?.[0];
    const params = { token: decodeURIComponent(token ?? "s3cr t"), id: "5" };
    config.general.filteredParams = ["**.*token*"];
    expect(
      pathForLogging(
        pathname,
        { path, matchTrailingPathParts: path !== route, action: "fine" },
        params,
      ),
    ).toBe(shown);
  },
);

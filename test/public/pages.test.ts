import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { build } from "esbuild";
import type { Browser, Page } from "playwright-core";
import { describeInBrowser, startBrowser } from "../support/browser";
import { runOk } from "../support/runCli";
import { timed } from "../support/stopwatch";

process.env.AUTOMATIC_ROUTES = "get,post";
import { startWebApp, type WebApp } from "../support/webApp";
import { z } from "zod";
import { api, config, defineAction, file, withFiles } from "../../src/index";
import { addAction } from "../../src/action/registry";
import { reloadRoutes } from "../../src/route/tables";
import { addOpenApi } from "../../src/server/web/openapi";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

const publicFolder = path.join(__dirname, "..", "..", "public");

test("the pages load nothing from elsewhere", () => {
  for (const name of fs.readdirSync(publicFolder)) {
    if (!name.endsWith(".html")) continue;
    const text = fs.readFileSync(path.join(publicFolder, name), "utf8");
    expect(text).not.toMatch(/(?:src|href)="(?:https?:)?\/\//);
  }
});

describeInBrowser("the pages in a browser", () => {
  let app: WebApp;
  let browser: Browser;
  let page: Page;
  const errors: string[] = [];

  beforeAll(async () => {
    // as in new projects
    config.securityHeaders.enabled = true;
    config.securityHeaders.headers["Content-Security-Policy"] +=
      "; script-src 'self' 'unsafe-eval'"; // the texts that this suite evaluates
    config.web.errorPages = true;
    config.web.cors = { origins: [] };
    config.web.csrf = true;
    [app, browser] = await Promise.all([startWebApp(), startBrowser()]);
  });

  beforeEach(async () => {
    errors.length = 0;
    page = await browser.newPage({ viewport: { width: 360, height: 740 } });
    page.on("pageerror", (error) => errors.push(error.message));
    page.on("request", (request) => {
      if (!/^(data|blob):/.test(request.url()))
        if (!request.url().startsWith(app.url)) errors.push(request.url());
    });
    page.on("console", (line) => {
      if (line.text().includes("Content Security Policy"))
        errors.push(line.text());
    });
  });

  afterEach(async () => {
    await page.close();
    expect(errors).toEqual([]);
  });

  afterAll(async () => {
    await browser?.close();
    await app?.stop();
  });

  async function isWiderThanScreen(): Promise<boolean> {
    return page.evaluate(
      "document.documentElement.scrollWidth > window.innerWidth",
    );
  }

  test("the index shows what the server says, and a change within two seconds", async () => {
    await page.goto(`${app.url}/`);
    await page.waitForFunction(
      "document.getElementById('name').textContent === 'actionhero'",
    );

    const status = (api.actions.actions.status as any)[1];
    const original = status.run;
    const isUnhealthy = async () => ({
      ...(await original.call(status)),
      nodeStatus: "Node Unhealthy",
      problems: ["something is wrong"],
    });
    const seen = (state: string) =>
      page.waitForFunction(
        `document.getElementById('state').textContent === '${state}'`,
      );
    let fastest = Infinity;
    try {
      // a browser that gets no time shows nothing
      for (let i = 0; i < 5 && fastest >= 2000; i++) {
        status.run = original;
        await seen("Node Healthy");
        status.run = isUnhealthy;
        const tookMs = await timed(() => seen("Node Unhealthy"));
        fastest = Math.min(fastest, tookMs);
      }
      expect(fastest).toBeLessThan(2000);
      expect(await page.textContent("#problems")).toContain(
        "something is wrong",
      );
    } finally {
      status.run = original;
    }
    expect(await isWiderThanScreen()).toBe(false);
  });

  test("the API page lists the actions and runs one", async () => {
    await page.goto(`${app.url}/public/swagger.html`);
    const operation = page.locator("[data-path='/sleepTest']");
    await operation.locator("summary").click();
    await operation.locator("input[name=sleepDuration]").fill("1");
    await operation.locator("button").click();
    const answer = operation.locator(".answer");
    await answer.filter({ hasText: "sleepDelta" }).waitFor();
    expect(await answer.textContent()).toMatch(/^200 OK/);
    expect(await operation.locator("pre").first().textContent()).toContain(
      "/api/sleepTest?sleepDuration=1",
    );
    expect(await isWiderThanScreen()).toBe(false);
  });

  test("and with a body, when that is chosen", async () => {
    await page.goto(`${app.url}/public/swagger.html`);
    const operation = page.locator("[data-path='/validationTest']");
    await operation.locator("summary").click();
    await operation.getByLabel("post").check();
    await operation.locator("input[name=string]").fill("it's");
    await operation.locator("button").click();
    const answer = operation.locator(".answer");
    await answer.filter({ hasText: '"string": "it\'s"' }).waitFor();
  });

  test("the search leaves what matches", async () => {
    await page.goto(`${app.url}/public/swagger.html`);
    await page.locator("[data-path='/status']").waitFor();
    await page.fill("#filter", "random");
    expect(await page.locator("details:visible").count()).toBe(1);
    expect(await page.textContent("#count")).toBe("1 action");
  });

  test("without general.introspection they show what there is", async () => {
    config.general.introspection = false;
    await page.goto(`${app.url}/`);
    await page.waitForFunction(
      "document.getElementById('state').textContent === 'healthy'",
    );
    expect(await page.isVisible("#figures")).toBe(false);
    expect(await page.locator("a[href*=swagger]:visible").count()).toBe(0);
    await page.goto(`${app.url}/public/swagger.html`);
    await page.waitForFunction(
      "document.getElementById('description').textContent === 'this server does not describe its API'",
    );
    expect(await page.isVisible("#filter")).toBe(false);
    for (const name of ["swagger", "chat"]) {
      await page.goto(`${app.url}/public/${name}.html`);
      await page.locator("nav a[href*=index]").waitFor();
      await page.locator("a[href*=swagger]").waitFor({ state: "hidden" });
    }
    config.general.introspection = true;
    await page.goto(`${app.url}/public/chat.html`);
    await page.locator("a[href*=swagger]").waitFor();
  });

  test("without an OpenAPI document, nothing is requested", async () => {
    const failed: string[] = [];
    page.on("response", (response) => {
      if (!response.ok()) failed.push(response.url());
    });
    await page.goto(`${app.url}/public/swagger.html`);
    await page.locator("[data-path='/status']").waitFor();
    expect(failed).toEqual([]);
  });

  test("the index breaks the id of the server before its port only", async () => {
    await page.setViewportSize({ width: 375, height: 700 });
    await page.route("**/*Client.js", (route) => route.abort());
    await page.route("**/api/status", async (route) => {
      const response = await route.fetch();
      const status = (await response.json()) as object;
      await route.fulfill({ json: { ...status, id: "192.0.2.2:24620" } });
    });
    await page.goto(`${app.url}/`);
    await page.waitForFunction(
      "document.getElementById('id').textContent === '192.0.2.2:24620'",
    );
    const lines = await page.evaluate(`(() => {
      const node = [...document.getElementById("id").childNodes].find(({ data }) => data === "24620");
      const range = document.createRange();
      range.selectNodeContents(node);
      return range.getClientRects().length;
    })()`);
    expect(lines).toBe(1);
  });

  describe("with an OpenAPI document", () => {
    const names = [
      "thing:show",
      "thing:save",
      "thing:draw",
      "thing:pay",
      "thing:mix",
      "thing:remove",
      "thing:dated",
    ];
    let payments = 0;

    beforeAll(() => {
      config.web.openapi = {
        securitySchemes: {
          key: { type: "apiKey", in: "header", name: "X-Key" },
        },
      };
      const part = z.object({
        id: z.int(),
        get parts() {
          return z.array(part).optional();
        },
      });
      const payment = z.discriminatedUnion("kind", [
        z.object({ kind: z.literal("card"), last4: z.string() }),
        z.object({ kind: z.literal("bill"), days: z.number() }),
      ]);
      const actions = [
        defineAction({
          name: "thing:show",
          description: "One thing",
          inputs: z.object({ id: z.int(), full: z.boolean().optional() }),
          output: z.object({
            thing: part,
            state: z.enum(["new", "old"]).nullable(),
          }),
          outputExample: { thing: { id: 7 }, state: "new" },
          route: ["get /things/:id", "post /things/search"],
          run: ({ params }) => ({ thing: { id: params.id }, state: null }),
        }),
        defineAction({
          name: "thing:save",
          inputs: z.object({
            id: z.int(),
            count: z.number(),
            tags: z.array(z.string()),
            kind: z.enum(["a", "b"]).optional(),
          }),
          route: "put /things/:id",
          run: ({ params, connection }) => ({
            saved: params,
            key: connection.rawConnection.req?.headers["x-key"] as unknown,
          }),
        }),
        defineAction({
          name: "thing:pay",
          idempotent: true,
          route: "post /payments",
          run: () => ({ payments: ++payments }),
        }),
        defineAction({
          name: "thing:mix",
          inputs: z.object({
            pay: payment,
            again: payment.nullable().optional(),
            rest: z.any(),
            count: z.number().nullable(),
            word: z.union([z.string(), z.number()]),
            size: z.union([z.literal("s"), z.literal("m")]),
          }),
          route: ["get /mix", "post /mix"],
          run: ({ params }) => ({ mixed: params }),
        }),
        defineAction({
          name: "thing:remove",
          inputs: z.object({ shelf: z.int(), id: z.int().optional() }),
          route: ["delete /things/:shelf", "post /shelves/:shelf/:shelf"],
          run: ({ params }) => ({ removed: params }),
        }),
        ...[1, 2].map((version) =>
          defineAction({
            name: "thing:dated",
            version,
            route: `get /v${version}/dated`,
            run: () => ({ ran: version }),
          }),
        ),
        defineAction({
          name: "thing:draw",
          inputs: withFiles(z.object({ title: z.string() }), {
            picture: file({ required: true }),
          }),
          route: "post /drawings",
          run: ({ params }) => ({ bytes: params.picture.size }),
        }),
      ];
      for (const one of actions) addAction(one, "test");
      addOpenApi();
      reloadRoutes();
    });

    afterAll(() => {
      config.web.openapi = false;
      for (const name of [...names, "openapi", "asyncapi"]) {
        delete api.actions.actions[name];
        delete api.actions.versions[name];
      }
      reloadRoutes();
    });

    async function opened(name: string) {
      await page.goto(`${app.url}/public/swagger.html`);
      await page.fill("#filter", name);
      const operation = page.locator("#operations > details:visible");
      await operation.locator("> summary").click();
      return operation;
    }

    test("the name of an action, which clients call, is on its card", async () => {
      const operation = await opened("thing:show");
      const name = operation.locator("> summary .name");
      expect(await name.textContent()).toBe("thing:show");
    });

    test("the shapes of responses and of errors are shown to any depth", async () => {
      const operation = await opened("thing:show");
      expect(await page.textContent("#count")).toBe("1 action");
      const text = await operation.textContent();
      expect(text).toContain("200: The response");
      expect(text).toMatch(/thing: \{\n +id: integer\n +parts\?: /);
      expect(text).toContain('state: "new" | "old" | null');
      expect(text).toMatch(/Errors: [^{]*\{\n +error: string\n +errors\?: \{/);
      expect(text).toContain('"state": "new"');
      expect(await isWiderThanScreen()).toBe(false);
    });

    test("the answer is shown, and the metadata of the server folded", async () => {
      const operation = await opened("thing:show");
      await operation.locator("input[name=id]").fill("5");
      await operation.locator("select[name=full]").selectOption("true");
      expect(await operation.locator("pre").first().textContent()).toContain(
        "/api/things/5?full=true",
      );
      await operation.locator("button").click();
      const shown = operation.locator(".answer > pre");
      await shown.filter({ hasText: '"id": 5' }).waitFor();
      expect(await shown.textContent()).not.toContain("serverInformation");
      const metadata = operation.locator(".answer details");
      expect(await metadata.locator("pre").isVisible()).toBe(false);
      await metadata.locator("summary").click();
      expect(await metadata.locator("pre").textContent()).toContain(
        "serverInformation",
      );
    });

    test("an action is shown once, with each of its paths and methods", async () => {
      const operation = await opened("thing:show");
      expect(await operation.locator("> summary").textContent()).toMatch(
        /\/things\/\{id\} \/things\/search.*GET POST/,
      );
      await operation.locator("input[name=id]").fill("8");
      await operation.getByLabel("post /things/search").check();
      const command = await operation.locator("pre").first().textContent();
      expect(command).toContain("/api/things/search' -X POST");
      await operation.locator("button").click();
      const shown = operation.locator(".answer > pre");
      await shown.filter({ hasText: '"id": 8' }).waitFor();
    });

    test("the same is asked for over a websocket", async () => {
      const operation = await opened("thing:show");
      await operation.locator("input[name=id]").fill("6");
      await operation.getByLabel("WebSocket").check();
      await operation.locator("button").click();
      const shown = operation.locator(".answer > pre");
      await shown.filter({ hasText: '"id": 6' }).waitFor();
      expect(await shown.textContent()).toMatch(/^OK/);
    });

    test("POST is preselected for inputs that a query cannot carry", async () => {
      const isChosen = async (name: string, method: string) =>
        (await opened(name)).getByLabel(method, { exact: true }).isChecked();
      expect(await isChosen("thing:mix", "post")).toBe(true);
      expect(await isChosen("thing:show", "get /things/{id}")).toBe(true);
    });

    test.each([
      ["get", "HTTP"],
      ["post", "HTTP"],
      ["get", "WebSocket"],
    ])(
      "unions and untyped inputs are sent as what they accept: %s over %s",
      async (method, transport) => {
        const operation = await opened("thing:mix");
        await operation.locator("[name=pay]").fill('{"kind":"bill","days":3}');
        await operation.locator("[name=again]").fill('{"kind":"card"');
        await operation.locator("[name=rest]").fill('["a"]');
        await operation.locator("[name=count]").fill("5");
        await operation.locator("[name=word]").fill("five");
        await operation.locator("[name=size]").selectOption("m");
        await operation.getByLabel(method, { exact: true }).check();
        await operation.getByLabel(transport).check();
        await operation.locator("button").click();
        const answer = operation.locator(".answer");
        await answer.filter({ hasText: "again is no JSON" }).waitFor();
        await operation
          .locator("[name=again]")
          .fill('{"kind":"card","last4":"1234"}');
        await operation.locator("button").click();
        const shown = operation.locator(".answer > pre");
        await shown.filter({ hasText: "mixed" }).waitFor();
        const text = (await shown.textContent())!;
        expect(JSON.parse(text.slice(text.indexOf("{")))).toMatchObject({
          mixed: {
            pay: { kind: "bill", days: 3 },
            again: { kind: "card", last4: "1234" },
            rest: method === "get" && transport === "HTTP" ? "a" : ["a"],
            count: 5,
            word: "five",
            size: "m",
          },
        });
      },
    );

    test("a body has values of the types that the schema names, and the headers of the page", async () => {
      const operation = await opened("thing:save");
      expect(await page.getAttribute("#headers", "placeholder")).toContain(
        "X-Key: ",
      );
      await page.fill("#headers", "X-Key: secret");
      await operation.locator("input[name=id]").fill("5");
      await operation.locator("input[name=count]").fill("1.5");
      await operation.locator("textarea[name=tags]").fill("[1");
      await operation.locator("select[name=kind]").selectOption("b");
      await operation.locator("button").click();
      const answer = operation.locator(".answer");
      await answer.filter({ hasText: "tags is no JSON" }).waitFor();
      await operation.locator("textarea[name=tags]").fill('["x"]');
      await operation.locator("button").click();
      const shown = operation.locator(".answer > pre");
      await shown.filter({ hasText: '"key": "secret"' }).waitFor();
      const text = (await shown.textContent())!;
      expect(JSON.parse(text.replace("200 OK", ""))).toMatchObject({
        saved: { id: 5, count: 1.5, tags: ["x"], kind: "b" },
      });
    });

    test("the key of an idempotent action is sent as its header", async () => {
      const operation = await opened("thing:pay");
      await page.fill("#headers", "Authorization: Bearer x"); // known by that
      await operation.locator('input[name="Idempotency-Key"]').fill("k1");
      const shown = operation.locator(".answer > pre");
      for (const done of [1, 1]) {
        const answered = page.waitForResponse(/payments/);
        await operation.locator("button").click();
        expect((await answered).status()).toBe(200);
        await shown.filter({ hasText: `"payments": ${done}` }).waitFor();
      }
      expect(payments).toBe(1);
    });

    test("params of the path have the names of the action's inputs, also where another action names the path", async () => {
      const operation = await opened("thing:remove");
      expect(await operation.locator("> summary").textContent()).toContain(
        "/things/{shelf}",
      );
      await operation.getByLabel("delete /things/{shelf}").check();
      await operation.locator("input[name=shelf]").fill("3");
      await operation.locator("input[name=id]").fill("4");
      const command = operation.locator("pre").first();
      expect(await command.textContent()).toContain("/api/things/3?id=4'");
      await operation.getByLabel("post /shelves").check();
      expect(await command.textContent()).toContain("/api/shelves/3/3'");
      await operation.getByLabel("delete /things/{shelf}").check();
      const shown = operation.locator(".answer > pre");
      for (const transport of ["HTTP", "WebSocket"]) {
        await operation.getByLabel(transport).check();
        await operation.locator("button").click();
        const head = transport === "HTTP" ? /^200 OK/ : /^OK/;
        await shown.filter({ hasText: head }).waitFor();
        const text = (await shown.textContent())!;
        expect(JSON.parse(text.replace(head, ""))).toMatchObject({
          removed: { shelf: 3, id: 4 },
        });
      }
    });

    test("over a websocket, the card of a version runs that version", async () => {
      for (const version of [1, 2]) {
        const operation = await opened(`/v${version}/dated`);
        await operation.getByLabel("WebSocket").check();
        await operation.locator("button").click();
        const shown = operation.locator(".answer > pre");
        await shown.filter({ hasText: `"ran": ${version}` }).waitFor();
      }
    });

    test("a file is sent in a form, and not over a websocket", async () => {
      const operation = await opened("thing:draw");
      expect(await operation.getByLabel("WebSocket").isVisible()).toBe(false);
      await operation.locator("input[name=title]").fill("a drawing");
      await operation.locator("input[name=picture]").setInputFiles({
        name: "a.png",
        mimeType: "image/png",
        buffer: Buffer.from("12345"),
      });
      await operation.locator("button").click();
      const shown = operation.locator(".answer > pre");
      await shown.filter({ hasText: '"bytes": 5' }).waitFor();
    });
  });

  describe("actionhero/client in a page", () => {
    let bundle: string;

    beforeAll(async () => {
      const folder = fs.mkdtempSync(path.join(os.tmpdir(), "ah-page-"));
      const root = path.join(__dirname, "..", "..");
      await runOk(process.execPath, [
        path.join(root, "scripts/buildClient.js"),
        folder,
      ]);
      const { outputFiles } = await build({
        entryPoints: [path.join(folder, "client/browser.mjs")],
        bundle: true,
        format: "iife",
        globalName: "actionhero",
        footer: { js: "globalThis.actionhero = actionhero;" },
        write: false,
      });
      bundle = outputFiles[0].text;
      fs.rmSync(folder, { recursive: true });
      const draw = defineAction({
        name: "drawing:add",
        inputs: withFiles(z.object({ title: z.string() }), {
          picture: file({ required: true, types: ["image/*"] }),
          pages: file({ maxFiles: 2 }),
        }),
        route: "post /drawings/add",
        run: async ({ params: { title, picture, pages = [] } }) => ({
          title,
          name: picture.originalFilename,
          text: fs.readFileSync(picture.filepath, "utf8"),
          pages: pages.map(({ size }) => size),
        }),
      });
      addAction(draw, "test");
      reloadRoutes();
    });

    afterAll(() => {
      delete api.actions.actions["drawing:add"];
      delete api.actions.versions["drawing:add"];
      reloadRoutes();
    });

    /** Evaluate the body of an asynchronous function that has a client. */
    async function inPage(url: string, body: string): Promise<any> {
      await page.goto(`${app.url}/missing.html`);
      await page.evaluate(bundle);
      return page.evaluate(`(async () => {
        const routes = { "drawing:add": ["post", "/drawings/add"] };
        const api = actionhero.createClient({ url: ${JSON.stringify(url)}, routes });
        try { ${body} } finally { api.close(); }
      })()`);
    }

    test.each(["http", "websocket"])(
      "sends files in a form, also of a client over %s",
      async (transport) => {
        const url = transport === "http" ? "" : app.url.replace("http", "ws");
        const response = await inPage(
          url,
          `const picture = new File(["the content"], "über.png", { type: "image/png" });
           const pages = [new Blob(["1"]), new Blob(["22"])];
           return await api.drawing.add({ title: "a title", picture, pages });`,
        );
        expect(response).toEqual({
          title: "a title",
          name: "über.png",
          text: "the content",
          pages: [1, 2],
        });
      },
    );

    test("has typed errors, and cancels an upload", async () => {
      const seen = await inPage(
        "",
        `const failure = (promise) => promise.catch(({ name, status, errors }) => ({ name, status, errors }));
         const fileOf = (type) => new File(["x"], "a", { type });
         const incomplete = await failure(api.drawing.add({ picture: fileOf("image/png") }));
         const refused = await failure(api.drawing.add({ title: "a", picture: fileOf("text/plain") }));
         const aborted = new AbortController();
         const call = api.drawing.add({ title: "a", picture: fileOf("image/png") }, { signal: aborted.signal });
         aborted.abort();
         return { incomplete, refused, cancelled: await failure(call) };`,
      );
      expect(seen).toMatchObject({
        incomplete: {
          name: "ActionError",
          status: 422,
          errors: [{ path: "title", code: "missing" }],
        },
        refused: { name: "ActionError", status: 415 },
        cancelled: { name: "AbortError" },
      });
    });
  });

  test("a missing file is a page that leads to the index", async () => {
    const response = await page.goto(`${app.url}/folder/missing.html`);
    expect(response!.status()).toBe(404);
    expect(await page.textContent("h1")).toBe("404 Not Found");
    expect(
      await page.evaluate(
        "document.documentElement.scrollHeight - window.innerHeight",
      ),
    ).toBe(0);
    expect(await page.textContent("main")).toContain("that file is not found");
    expect(await isWiderThanScreen()).toBe(false);
    await page.click("a");
    await page.locator("#state").waitFor();
    expect(new URL(page.url()).pathname).toBe("/");
  });

  test("a missing image is a text", async () => {
    await page.goto(`${app.url}/`);
    const [response] = await Promise.all([
      page.waitForResponse("**/missing.png"),
      page.evaluate("new Image().src = '/missing.png'"),
    ]);
    expect(await response.text()).toBe("that file is not found");
  });

  test.each([
    ["/", "light"],
    ["/", "dark"],
    ["/public/swagger.html", "light"],
    ["/public/swagger.html", "dark"],
    ["/missing.html", "light"],
    ["/missing.html", "dark"],
  ] as const)("%s is %s as the system is", async (target, mode) => {
    await page.emulateMedia({ colorScheme: mode });
    await page.goto(app.url + target);
    const ground: string = await page.evaluate(
      "getComputedStyle(document.body).backgroundColor",
    );
    expect(ground).toBe(
      mode === "light" ? "rgb(246, 247, 251)" : "rgb(18, 20, 29)",
    );
  });
});

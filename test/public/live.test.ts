/** What the pages do with the websocket client, shown with a stand-in for it. */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { describeInBrowser, startBrowser } from "../support/browser";

process.env.AUTOMATIC_ROUTES = "get,post";
import { startWebApp, type WebApp } from "../support/webApp";
import { api } from "../../src/index";

describeInBrowser("the pages with a websocket client", () => {
  let app: WebApp;
  let browser: Browser;
  let context: BrowserContext;
  let folder: string;

  beforeAll(async () => {
    [app, browser] = await Promise.all([startWebApp(), startBrowser()]);
    folder = fs.mkdtempSync(path.join(os.tmpdir(), "client-"));
    const script = "ActionheroWebsocketClient.js";
    fs.mkdirSync(path.join(folder, "javascript"));
    fs.copyFileSync(
      path.join(__dirname, "standIn", script),
      path.join(folder, "javascript", script),
    );
    api.staticFile.searchLocations.unshift(folder);
  });

  beforeEach(async () => {
    context = await browser.newContext({
      viewport: { width: 360, height: 740 },
    });
  });

  afterEach(() => context.close());

  afterAll(async () => {
    await browser?.close();
    await app?.stop();
    fs.rmSync(folder, { recursive: true, force: true });
  });

  async function openChat(): Promise<Page> {
    const page = await context.newPage();
    await page.goto(`${app.url}/public/chat.html`);
    await page.locator("#state[data-state=good]").waitFor();
    return page;
  }

  test("the index is live by it", async () => {
    const page = await context.newPage();
    await page.goto(`${app.url}/`);
    await page.locator("#transport", { hasText: "WebSocket" }).waitFor();
    expect(await page.textContent("#state")).toBe("Node Healthy");
  });

  test("two people see each other and what they say, as text", async () => {
    const one = await openChat();
    const two = await openChat();
    await one.locator("#count", { hasText: "2" }).waitFor();
    expect(await one.locator("#people li").first().textContent()).toBe("you");

    await one.fill("#text", "<b>hello</b>");
    await one.press("#text", "Enter");
    await one.locator(".mine", { hasText: "<b>hello</b>" }).waitFor();
    await two.locator(".theirs", { hasText: "<b>hello</b>" }).waitFor();
    expect(await two.locator(".theirs small").textContent()).toMatch(
      /^guest \w+, /,
    );
    expect(await one.inputValue("#text")).toBe("");
  });

  test("nothing can be said while it is disconnected, and again afterwards", async () => {
    const page = await openChat();
    await page.evaluate("client.emit('disconnected')");
    expect(await page.isDisabled("#text")).toBe(true);
    expect(await page.textContent("#state")).toBe("disconnected");
    await page.evaluate("client.emit('reconnect')");
    await page.locator("#state[data-state=good]").waitFor();
    expect(await page.isDisabled("#text")).toBe(false);
  });

  test("the field to write in is on a phone's screen", async () => {
    const page = await openChat();
    for (let i = 0; i < 30; i++)
      await page.evaluate("client.emit('welcome', { welcome: 'line' })");
    const box = (await page.locator("#say").boundingBox())!;
    expect(box.y + box.height).toBeLessThanOrEqual(740);
    expect(
      await page.evaluate(
        "document.documentElement.scrollWidth <= window.innerWidth",
      ),
    ).toBe(true);
  });
});

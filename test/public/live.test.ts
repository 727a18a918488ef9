/** The pages over their websocket, in a real browser: over HTTP and over HTTPS, and with a server that restarts. */
import type { Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Browser, BrowserContext, Page } from "playwright-core";

process.env.PORT = "0";
process.env.AUTOMATIC_ROUTES = "get,post";
process.env.maxMemoryAlloted = "4096"; // the memory of a jest worker is not the server's

import { api, chatRoom, config, HttpError, Process } from "../../src/index";
import { describeInBrowser, startBrowser } from "../support/browser";
import { certificate } from "../support/certificate";
import { freePort } from "../support/freePort";
import { until } from "../support/until";

/** The chat asks who is in the room every two seconds. */
const PATIENCE_MS = 30_000;

describeInBrowser("the pages with the websocket client", () => {
  let browser: Browser;

  beforeAll(async () => {
    // as in new projects
    config.securityHeaders.enabled = true;
    config.web.cors = { origins: [] };
    config.web.csrf = true;
    browser = await startBrowser();
  });

  afterAll(() => browser?.close());

  describe.each(["http", "https"])("over %s", (scheme) => {
    let app: Process;
    let url: string;
    let contexts: BrowserContext[];

    beforeAll(async () => {
      if (scheme === "https") {
        config.web.secure = true;
        config.web.serverOptions = certificate;
      }
      config.web.port = await freePort(); // to be found again after a restart
      app = new Process();
      await app.start();
      url = `${scheme}://localhost:${port()}`;
    });

    afterAll(async () => {
      await app.stop();
      config.web.secure = false;
      config.web.serverOptions = {};
      config.web.port = "0";
    });

    beforeEach(() => {
      contexts = [];
    });

    afterEach(async () => {
      await Promise.all(contexts.map((context) => context.close()));
      await until(() => websockets() === 0);
    });

    function port(): number {
      const { server } = api.servers.servers.web;
      return ((server as HttpServer).address() as AddressInfo).port;
    }

    function websockets(): number {
      return api.servers.servers.websocket.connections().length;
    }

    /** A page of a person of its own, on a phone. */
    async function open(path: string): Promise<Page> {
      const context = await browser.newContext({
        viewport: { width: 360, height: 740 },
        ignoreHTTPSErrors: true,
      });
      context.setDefaultTimeout(PATIENCE_MS);
      contexts.push(context);
      const page = await context.newPage();
      await page.goto(url + path);
      return page;
    }

    async function openChat(): Promise<Page> {
      const page = await open("/public/chat.html");
      await page.locator("#state[data-state=good]").waitFor();
      return page;
    }

    async function say(page: Page, text: string): Promise<void> {
      await page.fill("#text", text);
      await page.press("#text", "Enter");
    }

    test("the index is live by it", async () => {
      const page = await open("/");
      await page.locator("#transport", { hasText: "WebSocket" }).waitFor();
      expect(await page.textContent("#state")).toBe("Node Healthy");
    });

    test("two people see each other and what they say, as text", async () => {
      const one = await openChat();
      const two = await openChat();
      await one.locator("#count", { hasText: "2" }).waitFor();
      expect(await one.locator("#people li").first().textContent()).toBe("you");

      await say(one, "<b>hello</b>");
      await one.locator(".mine", { hasText: "<b>hello</b>" }).waitFor();
      await two.locator(".theirs", { hasText: "<b>hello</b>" }).waitFor();
      expect(await two.locator(".theirs small").textContent()).toMatch(
        /^guest \w+, /,
      );
      expect(await one.inputValue("#text")).toBe("");

      await contexts[1].close();
      await one.locator("#count", { hasText: "1" }).waitFor();
    });

    test("a server that restarts finds both in the room again", async () => {
      const one = await openChat();
      const two = await openChat();
      await two.locator("#count", { hasText: "2" }).waitFor();

      await app.stop();
      await one.locator("#state[data-state=bad]").waitFor();
      expect(await one.isDisabled("#text")).toBe(true);
      await app.start();

      for (const page of [one, two])
        await page.locator("#state[data-state=good]").waitFor();
      await one.locator("#text:focus").waitFor();
      await two.locator("#count", { hasText: "2" }).waitFor();
      await say(two, "still here");
      await one.locator(".theirs", { hasText: "still here" }).waitFor();
      expect(await one.locator(".theirs").count()).toBe(1);
    });

    test("a page that is left leaves the room, and is there again when the browser shows it again", async () => {
      const one = await openChat();
      const two = await openChat();
      await one.locator("#count", { hasText: "2" }).waitFor();
      const happens = (event: string) =>
        two.evaluate(
          `dispatchEvent(new PageTransitionEvent("${event}", { persisted: true }))`,
        );
      await happens("pagehide");
      await until(() => websockets() === 1);
      await one.locator("#count", { hasText: "1" }).waitFor();
      await happens("pageshow");
      await two.locator("#state[data-state=good]").waitFor();
      await one.locator("#count", { hasText: "2" }).waitFor();
      await say(one, "welcome back");
      await two.locator(".theirs", { hasText: "welcome back" }).waitFor();

      await two.evaluate("client.disconnect()");
      await happens("pagehide");
      await happens("pageshow");
      await until(() => websockets() === 1);
      expect(await two.evaluate("client.state")).toBe("disconnected");
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

    if (scheme === "https") return; // the other tests do not depend on the scheme

    test("the field to write in has the focus, and every control has an accessible name", async () => {
      const page = await openChat();
      await page.locator("#text:focus").waitFor();
      await page.getByRole("textbox", { name: "Your message" }).waitFor();
      await page.getByRole("textbox", { name: "Your name" }).waitFor();
      await page.getByRole("button", { name: "Send" }).waitFor();
      await page.getByRole("log", { name: "Messages" }).waitFor();
      await page.getByRole("list", { name: "In the room (1)" }).waitFor();
      await page
        .locator("#log[aria-live=polite]", { has: page.locator("#messages") })
        .waitFor();
    });

    test("a nickname is told to others and kept in the browser", async () => {
      const one = await openChat();
      const two = await openChat();
      await two.locator("#count", { hasText: "2" }).waitFor();
      await one.fill("#nickname", " <i>Ann</i> ");
      await one.press("#nickname", "Enter");
      await one.locator("#text:focus").waitFor();
      await say(one, "hello from Ann");
      await two.locator(".theirs", { hasText: "hello from Ann" }).waitFor();
      expect(await two.locator(".theirs small").textContent()).toMatch(
        /^<i>Ann<\/i> \(\w+\), /,
      );
      await two.locator("#people", { hasText: "<i>Ann</i> (" }).waitFor();

      await one.reload();
      await one.locator("#state[data-state=good]").waitFor();
      expect(await one.inputValue("#nickname")).toBe("<i>Ann</i>");

      await one.fill("#nickname", "");
      await say(one, `{"name":1,"text":"odd"}`);
      const odd = two.locator(".theirs", { hasText: `{"name":1,` });
      await odd.waitFor();
      expect(await odd.locator("small").textContent()).toMatch(/^guest \w+, /);
    });

    test("the last messages are there again after a reload", async () => {
      const one = await openChat();
      const two = await openChat();
      await two.locator("#count", { hasText: "2" }).waitFor();
      await say(two, "from two");
      await one.locator(".theirs", { hasText: "from two" }).waitFor();
      await one.evaluate(
        "for (let i = 1; i <= 50; i++) client.say(ROOM, `<b>line ${i}</b>`)",
      );
      await one.locator(".mine", { hasText: "<b>line 50</b>" }).waitFor();

      await one.reload();
      await one.locator("#state[data-state=good]").waitFor();
      const lines = one.locator("#messages li:not(.note)");
      expect(await lines.count()).toBe(50);
      expect(await lines.first().textContent()).toMatch(
        /^you, .*<b>line 1<\/b>$/,
      );
      expect(await lines.last().getAttribute("class")).toBe("mine");

      await one.evaluate(
        `sessionStorage.setItem("actionhero.chat.messages", '[null, {"text": 1}]')`,
      );
      await one.reload();
      await one.locator("#state[data-state=good]").waitFor();
      expect(await lines.count()).toBe(0);
    });

    test("a client that the room refuses is told so, and no script fails", async () => {
      const name = `refuse ${scheme}`;
      await chatRoom.addMiddleware({
        name,
        join: () => {
          throw new HttpError(401, "please sign in");
        },
      });
      const page = await open("/");
      const errors: Error[] = [];
      page.on("pageerror", (error) => errors.push(error));
      await page.goto(`${url}/public/chat.html`);
      await page.getByText("please sign in").first().waitFor();
      const views = () => page.evaluate("window.views");
      await page.evaluate(
        "window.views = 0; client.roomView = ((view) => (room, done) => view.call(client, room, (reply) => { done(reply); window.views++; }))(client.roomView); refreshMembers();",
      );
      await until(async () => Number(await views()) > 0);
      expect(errors).toEqual([]);
      delete api.chatRoom.middleware[name];
      api.chatRoom.globalMiddleware = api.chatRoom.globalMiddleware.filter(
        (one) => one !== name,
      );
    });

    test("a flood leaves a bounded list", async () => {
      const page = await openChat();
      await page.evaluate(
        "for (let i = 0; i < 600; i++) client.emit('welcome', { welcome: 'line ' + i })",
      );
      expect(await page.locator("#messages li").count()).toBe(500);
      await page.locator("#messages li", { hasText: "line 599" }).waitFor();
    });
  });

  test("the session of the web page is that of its websocket", async () => {
    const app = new Process();
    await app.start();
    const context = await browser.newContext();
    try {
      const { server } = api.servers.servers.web;
      const { port } = (server as HttpServer).address() as AddressInfo;
      const page = await context.newPage();
      await page.goto(`http://localhost:${port}/public/chat.html`);
      await page.evaluate("fetch('/api/status')");
      await page.reload();
      await page.locator("#state[data-state=good]").waitFor();
      const [cookie] = await context.cookies();
      expect(cookie).toMatchObject({ name: "sessionID" });
      expect(await page.evaluate("client.fingerprint")).toBe(cookie.value);
    } finally {
      await context.close();
      await app.stop();
    }
  });
});

/** The client script that actionhero 29.3.5 renders, in a page, against this server. */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import type { Browser, Page } from "playwright-core";
import { describeInBrowser, startBrowser } from "../../support/browser";
import { freePort } from "../../support/freePort";
import { describeOnRedisWithPeers } from "../../support/peers";
import { RedisServer } from "../../support/redisServer";
import { startV29Node } from "../../support/v29Node";
import { until } from "../../support/until";
import { addActions, startWebApp, type WebApp } from "../../support/webApp";
import { api, config } from "../../../src/index";

/** In the page. */
declare const window: any;

/** The script, as a server of version 29 writes it for pages that find the server at their own origin. */
async function render(): Promise<string> {
  const redis = new RedisServer();
  await redis.start();
  const node = await startV29Node({
    redisUrl: redis.url,
    overrides: {
      web: { enabled: true, port: 0, bindIP: "127.0.0.1" },
      websocket: { enabled: true },
      socket: { enabled: false },
    },
  });
  try {
    return await node.run(
      ({ api }) => api.servers.servers.websocket.renderClientJS() as string,
    );
  } finally {
    await node.kill();
    await redis.stop();
  }
}

describeInBrowser("the client of version 29 in a page", () => {
  describeOnRedisWithPeers("(rendered by its own server)", () => {
    let app: WebApp;
    let browser: Browser;
    let folder: string;
    const before = { ...config.web } as Record<string, unknown>;

    beforeAll(async () => {
      const [script, started] = await Promise.all([render(), startBrowser()]);
      browser = started;
      config.web.port = await freePort(); // to be found again after a restart
      app = await startWebApp();
      folder = fs.mkdtempSync(path.join(os.tmpdir(), "v29-client-"));
      fs.writeFileSync(path.join(folder, "v29.js"), script);
      fs.writeFileSync(
        path.join(folder, "v29.html"),
        '<!DOCTYPE html><title>29</title><script src="/public/v29.js"></script>',
      );
      prepare();
    }, 60_000);

    afterAll(async () => {
      await browser?.close();
      await app?.stop();
      Object.assign(config.web, before);
      if (folder) fs.rmSync(folder, { recursive: true });
    });

    function prepare(): void {
      api.staticFile.searchLocations.unshift(folder);
      addActions({
        echo: {
          inputs: { text: { required: true } },
          run: ({ params, connection }) => ({
            text: params.text,
            type: connection.type,
          }),
        },
      });
    }

    /** A page whose client is connected; what it heard is in `window.heard`. */
    async function open(): Promise<Page> {
      const page = await (await browser.newContext()).newPage();
      await page.goto(`${app.url}/public/v29.html`);
      await page.evaluate(
        () =>
          new Promise<void>((resolve, reject) => {
            const w = window;
            const client = new w.ActionheroWebsocketClient();
            w.client = client;
            w.heard = [];
            for (const event of [
              "welcome",
              "say",
              "alert",
              "reconnect",
              "disconnected",
            ])
              client.on(event, (message: any) =>
                w.heard.push({ event, message }),
              );
            client.connect((error: any) =>
              error ? reject(new Error(String(error))) : resolve(),
            );
          }),
      );
      return page;
    }

    /** Call a method that takes a callback, and get what that is given. */
    function call(
      page: Page,
      method: string,
      ...args: unknown[]
    ): Promise<any> {
      return page.evaluate(
        ([name, list]) =>
          new Promise((resolve) =>
            window.client[name](...(list as any[]), resolve),
          ),
        [method, args] as const,
      );
    }

    const heard = (page: Page, event: string) =>
      page.evaluate(
        (name) => window.heard.filter((h: any) => h.event === name),
        event,
      );

    const onServer = () => api.servers.servers.websocket.connections();

    test("the v29 client connects, gets its details, runs actions and gets files", async () => {
      const page = await open();
      const [connection] = onServer();
      const state = await page.evaluate(() => {
        const { id, fingerprint, state, rooms, welcomeMessage } = window.client;
        return { id, fingerprint, state, rooms, welcomeMessage };
      });
      const cookies = await page.context().cookies();
      expect(state).toEqual({
        id: connection.id,
        fingerprint:
          cookies.find(({ name }) => name === "sessionID")?.value ??
          connection.id,
        state: "connected",
        rooms: [],
        welcomeMessage: config.general.welcomeMessage,
      });
      expect(await call(page, "action", "echo", { text: "ü" })).toMatchObject({
        text: "ü",
        type: "websocket",
      });
      expect((await call(page, "action", "echo")).error).toBe(
        "text is a required parameter for this action",
      );
      const named = { text: "a", messageId: "aaa" };
      expect((await call(page, "action", "echo", named)).messageId).toBe("aaa");
      expect((await call(page, "file", "v29.html")).content).toMatch(
        /<title>29/,
      );
      expect((await call(page, "roomView", "nowhere")).error).toBe(
        "Error: connection not in this room (nowhere)",
      );
      await page.context().close();
      await until(() => onServer().length === 0);
    });

    test("two v29 clients exchange messages, get messages of the server, and one is closed permanently", async () => {
      const [one, two] = [await open(), await open()];
      for (const page of [one, two]) await call(page, "roomAdd", "defaultRoom");
      const { data } = await call(one, "roomView", "defaultRoom");
      expect(data.membersCount).toBe(2);
      await call(one, "say", "defaultRoom", "hello");
      const [{ message }] = await until(async () => {
        const said = await heard(two, "say");
        return said.length > 0 && said;
      });
      expect(message).toMatchObject({ message: "hello", room: "defaultRoom" });

      const id = await two.evaluate(() => window.client.id as string);
      await api.connections.connections[id].sendMessage({
        context: "alert",
        a: 1,
      });
      await until(async () => (await heard(two, "alert")).length);
      await api.connections.connections[id].destroy();
      await until(async () => (await heard(two, "disconnected")).length);
      expect(await two.evaluate(() => window.client.state)).toBe(
        "disconnected",
      );
      await one.evaluate(() => window.client.disconnect());
      await until(() => onServer().length === 0);
      await Promise.all([one, two].map((page) => page.context().close()));
    });

    test("the v29 client reconnects to a restarted server", async () => {
      const page = await open();
      await call(page, "roomAdd", "defaultRoom");
      await app.process.stop();
      await app.process.start();
      prepare();
      await until(() => onServer().length === 1, 20_000);
      const answer = await call(page, "action", "echo", { text: "again" });
      expect(answer).toMatchObject({ text: "again", type: "websocket" });
      expect(
        (await call(page, "roomAdd", "defaultRoom")).error,
      ).toBeUndefined();
      await call(page, "say", "defaultRoom", "I am back");
      await until(async () => (await heard(page, "say")).length);
      await page.context().close();
    });
  });
});

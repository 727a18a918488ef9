/** Stored sessions over HTTP, websockets and TCP: what is kept for a client, who can use it, and when it ends. */
import { EventEmitter, once } from "node:events";
import { describeOnEachEngine } from "../support/engines";
import { FlakyProxy } from "../support/flakyProxy";
import { LogLines } from "../support/logLines";
import { until } from "../support/until";
import { closeAll, SocketPeer, startSocketApp } from "../support/socketApp";
import { addActions, ask } from "../support/webApp";
import { connectWebsocket, webPort } from "../support/websocketClient";
import { idOf } from "../../src/session/session";
import {
  action,
  api,
  chatRoom,
  config,
  specHelper,
  type ActionProcessor,
  type Connection,
  type Process,
} from "../../src/index";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

declare module "../../src/index" {
  interface StoredValues {
    user: string;
    cart: string[];
    left: number;
    right: number;
    text: string;
  }
  interface FlashValues {
    notice: string;
  }
}

type Data = ActionProcessor;

describeOnEachEngine("stored sessions", (engine) => {
  let app: Process;
  const gates = new EventEmitter();
  const defaults = { ...config.session };

  beforeAll(async () => {
    Object.assign(config.session, { enabled: true, maxBytes: 2_000 });
    app = await startSocketApp();
    addActions({
      signIn: {
        inputs: { user: {} },
        run: async ({ store, params }: Data) => {
          await store.regenerate();
          store.set("user", params.user);
          store.setFlash("notice", `hello ${params.user}`);
          return { token: store.token };
        },
      },
      signOut: { run: ({ store }: Data) => store.destroy() },
      who: {
        run: ({ store, connection }: Data) => ({
          user: store.get("user") ?? null,
          id: store.id ?? null,
          same: store === connection.store,
        }),
      },
      notice: {
        run: async ({ store }: Data) => ({
          notice: (await store.takeFlash("notice")) ?? null,
        }),
      },
      flash: {
        run: async ({ store }: Data) => {
          store.setFlash("notice", "a");
          const taken = [
            await store.takeFlash("notice"),
            (await store.takeFlash("notice")) ?? null,
          ];
          return { taken };
        },
      },
      write: {
        inputs: { name: {}, value: {}, waits: {}, fails: {} },
        run: async ({ store, params }: Data) => {
          const name = params.name as "left" | "right";
          store.set(name, Number(params.value));
          if (params.waits) {
            gates.emit("waiting");
            await once(gates, "goOn");
          }
          if (params.fails) throw new Error("failed after writing");
        },
      },
      late: {
        timeout: 1,
        inputs: { fails: {} },
        run: async ({ store, params, signal }: Data) => {
          if (!signal.aborted) await once(signal, "abort");
          gates.emit("waiting");
          await once(gates, "goOn");
          store.set("left", 7);
          if (params.fails) throw new Error("failed after writing");
        },
      },
      read: {
        run: ({ store }: Data) => ({
          left: store.get("left") ?? null,
          right: store.get("right") ?? null,
        }),
      },
      cart: {
        run: ({ store }: Data) => {
          store.get("cart")?.push("not kept");
          return { cart: store.get("cart") ?? null };
        },
      },
      fill: {
        inputs: { size: {} },
        run: ({ store, params }: Data) =>
          store.set("text", "x".repeat(Number(params.size))),
      },
      fillCart: { run: ({ store }: Data) => store.set("cart", ["tea"]) },
      emptyCart: { run: ({ store }: Data) => store.delete("cart") },
      badly: {
        run: ({ store }: Data) => store.set("text", (() => undefined) as never),
      },
      shared: {
        run: ({ connection }: { connection: Connection }) =>
          connection.setHeader!("Cache-Control", "max-age=60"),
      },
      inner: {
        run: async () => ({ inner: await action.run("who") }),
      },
    });
  });
  beforeEach(() => engine.flush());
  afterEach(() => {
    gates.emit("goOn");
  });
  afterAll(async () => {
    await closeAll();
    await app.stop();
    Object.assign(config.session, defaults);
  });

  /** As a browser: keeps the cookie of the session. */
  class Browser {
    cookie = "";
    setCookies: string[] = [];
    headers: Record<string, string> = {};

    async ask(path: string): Promise<any> {
      const headers = { ...this.headers, cookie: this.cookie };
      const { json, headers: got } = await ask(webPort(), `/api/${path}`, {
        headers,
      });
      this.setCookies = (got["set-cookie"] ?? []).filter((text) =>
        /^(__Host-)?session=/.test(text),
      );
      for (const text of this.setCookies) this.cookie = text.split(";")[0]!;
      return json;
    }
  }

  async function signedIn(user = "ann"): Promise<Browser> {
    const browser = new Browser();
    const { token } = await browser.ask("signIn?user=" + user);
    // nothing was kept before `regenerate`, and the action has no token before it has set something
    expect(typeof token).toBe("string");
    return browser;
  }

  const idOfCookie = (cookie: string) => {
    const value = decodeURIComponent(cookie.slice("session=".length));
    return idOf(value.split(".")[0]);
  };
  const valuesOf = (cookie: string) =>
    engine.client().hgetall(`actionhero:session:${idOfCookie(cookie)}`);
  const keys = () => engine.client().keys("actionhero:session:*");

  test("a client without kept values has no cookie, and nothing is in redis", async () => {
    const browser = new Browser();
    expect(await browser.ask("who")).toMatchObject({
      user: null,
      id: null,
      same: true,
    });
    expect(browser.setCookies).toEqual([]);
    expect(await keys()).toEqual([]);
  });

  test("a value is there in the next request of the browser, and for no other one", async () => {
    const browser = await signedIn();
    expect(browser.setCookies).toEqual([
      expect.stringMatching(
        /^session=[\w%.-]+; Path=\/; Max-Age=2592000; HttpOnly; SameSite=Lax$/,
      ),
    ]);
    expect((await browser.ask("who")).user).toBe("ann");
    expect(browser.setCookies).toEqual([]);
    expect((await new Browser().ask("who")).user).toBeNull();
  });

  test("a shared cache keeps no response to a client with a session, unless the action says so", async () => {
    const browser = await signedIn();
    const cacheControl = async (path: string, cookie: string) => {
      const { headers } = await ask(webPort(), `/api/${path}`, {
        headers: { cookie: `sessionID=known; ${cookie}` },
      });
      return headers["cache-control"];
    };
    expect(await cacheControl("who", browser.cookie)).toBe("private");
    expect(await cacheControl("shared", browser.cookie)).toBe("max-age=60");
    expect(await cacheControl("who", "")).toBeUndefined();
  });

  test("redis does not have the secret of the cookie", async () => {
    const browser = await signedIn();
    const secret = browser.cookie.slice("session=".length).split(".")[0];
    const [key] = await keys();
    expect(key).toBe(
      `actionhero:session:${(await browser.ask("who")).id as string}`,
    );
    expect(key).not.toContain(secret);
  });

  test("a cookie that was changed, or that no server has signed, is no session, and is not looked up", async () => {
    const browser = await signedIn();
    const { cookie } = browser;
    const secret = cookie.slice("session=".length).split(".")[0];
    for (const forged of [`session=${secret}`, `${cookie}x`, "session=."]) {
      browser.cookie = forged;
      expect((await browser.ask("who")).id).toBeNull();
    }
  });

  test("the cookie of a client that comes by TLS has the prefix __Host-, and the other one does not count", async () => {
    config.web.trustProxy = "loopback";
    const browser = new Browser();
    browser.headers = { "x-forwarded-proto": "https" };
    await browser.ask("signIn?user=ann");
    expect(browser.setCookies).toEqual([
      expect.stringMatching(
        /^__Host-session=.*; HttpOnly; Secure; SameSite=Lax$/,
      ),
    ]);
    expect((await browser.ask("who")).user).toBe("ann");
    browser.cookie = browser.cookie.replace("__Host-", "");
    expect((await browser.ask("who")).user).toBeNull();
  });

  test.each(["late", "late?fails=1"])(
    "what an action (%s) changes after its timeout is saved when it ends",
    async (path) => {
      const browser = await signedIn();
      const response = browser.ask(path);
      await once(gates, "waiting");
      expect((await response).code).toBe("AH_ACTION_TIMEOUT");
      gates.emit("goOn");
      await until(async () => (await valuesOf(browser.cookie))["v:left"] === "7"); // prettier-ignore
    },
  );

  test("a session that begins after the timeout of an action is lost with a line: its cookie comes too late", async () => {
    const log = new LogLines("error");
    const response = new Browser().ask("late");
    await once(gates, "waiting");
    await response;
    gates.emit("goOn");
    await until(() => log.at("error", /the session was not saved/).length > 0);
    log.stop();
    expect(await keys()).toEqual([]);
  });

  test("regenerate keeps the values under another id, and the old cookie is worth nothing", async () => {
    const browser = new Browser();
    await browser.ask("write?name=left&value=1");
    const planted = browser.cookie;
    await browser.ask("signIn?user=ann");
    expect(browser.cookie).not.toBe(planted);
    expect(browser.setCookies).toHaveLength(1);
    expect(await browser.ask("read")).toMatchObject({ left: 1 });
    const thief = new Browser();
    thief.cookie = planted;
    expect((await thief.ask("who")).user).toBeNull();
    expect(await valuesOf(planted)).toEqual({ moved: "1" });
    expect(await keys()).toHaveLength(2);
  });

  describe("a request that arrives with the cookie from before a regenerate", () => {
    async function moved() {
      const browser = new Browser();
      await browser.ask("write?name=left&value=1");
      const late = new Browser();
      late.cookie = browser.cookie;
      await browser.ask("signIn?user=ann");
      return { browser, late };
    }

    test("writes to no session, and its response leaves the new cookie in place", async () => {
      const { browser, late } = await moved();
      const { cookie } = late;
      await late.ask("write?name=right&value=2");
      expect(late.setCookies).toEqual([]);
      expect(late.cookie).toBe(cookie);
      expect(await browser.ask("read")).toMatchObject({ left: 1, right: null });
      expect((await browser.ask("who")).user).toBe("ann");
      expect(await keys()).toHaveLength(2);
    });

    test("ends nothing", async () => {
      const { browser, late } = await moved();
      await late.ask("signOut");
      expect(late.setCookies).toEqual([]);
      expect((await browser.ask("who")).user).toBe("ann");
    });

    test("signs in when it is a sign-in whose first response was lost", async () => {
      const { late } = await moved();
      await late.ask("signIn?user=eve");
      expect(late.setCookies).toHaveLength(1);
      expect(await late.ask("who")).toMatchObject({ user: "eve" });
      expect(await late.ask("read")).toMatchObject({ left: null });
    });

    test("begins a session again when the mark is gone", async () => {
      const { late } = await moved();
      const key = `actionhero:session:${idOfCookie(late.cookie)}`;
      expect(await engine.client().pttl(key)).toBeGreaterThan(0);
      await engine.client().del(key);
      await late.ask("write?name=right&value=2");
      expect(await late.ask("read")).toMatchObject({ right: 2 });
    });
  });

  test("destroy ends the session, and removes the cookie", async () => {
    const browser = await signedIn();
    const { cookie } = browser;
    await browser.ask("signOut");
    expect(browser.setCookies).toEqual([
      expect.stringMatching(/^session=; .*Max-Age=0/),
    ]);
    browser.cookie = cookie;
    expect((await browser.ask("who")).id).toBeNull();
    expect(await keys()).toEqual([]);
  });

  test("api.storedSessions.destroy ends the session of another client by its id", async () => {
    const browser = await signedIn();
    const { id } = await browser.ask("who");
    expect(await api.storedSessions!.destroy(id)).toBe(true);
    expect(await api.storedSessions!.destroy(id)).toBe(false);
    expect((await browser.ask("who")).user).toBeNull();
  });

  test("a flash value is read once", async () => {
    const browser = await signedIn();
    expect(await browser.ask("notice")).toMatchObject({ notice: "hello ann" });
    expect(await browser.ask("notice")).toMatchObject({ notice: null });
    expect((await browser.ask("who")).user).toBe("ann");
  });

  test("of requests that take a flash value at the same time one gets it", async () => {
    const browser = await signedIn();
    const { cookie } = browser;
    const answers = await Promise.all(
      Array.from({ length: 8 }, async () => {
        const other = new Browser();
        other.cookie = cookie;
        return (await other.ask("notice")).notice as unknown;
      }),
    );
    expect(answers.filter((notice) => notice !== null)).toEqual(["hello ann"]);
  });

  test("a flash value that was set in the same action is taken, too, and nothing is left", async () => {
    const browser = await signedIn();
    for (const path of ["flash", "flash"])
      expect(await browser.ask(path)).toMatchObject({ taken: ["a", null] });
    expect(await browser.ask("notice")).toMatchObject({ notice: null });
  });

  test("requests that write at the same time do not lose each other's values", async () => {
    const browser = await signedIn();
    const waiting = once(gates, "waiting");
    const slow = browser.ask("write?name=left&value=1&waits=1");
    await waiting;
    await browser.ask("write?name=right&value=2");
    gates.emit("goOn");
    await slow;
    expect(await browser.ask("read")).toMatchObject({ left: 1, right: 2 });
    expect((await browser.ask("who")).user).toBe("ann");
  });

  test("a request that ends after its session was destroyed does not bring it back", async () => {
    const browser = await signedIn();
    const other = new Browser();
    other.cookie = browser.cookie;
    const waiting = once(gates, "waiting");
    const slow = other.ask("write?name=left&value=1&waits=1");
    await waiting;
    await browser.ask("signOut");
    gates.emit("goOn");
    await slow;
    expect(await keys()).toEqual([]);
  });

  test("an action that fails has kept its values", async () => {
    const browser = await signedIn();
    await browser.ask("write?name=left&value=7&fails=1");
    expect(await browser.ask("read")).toMatchObject({ left: 7 });
  });

  test("the response of an action whose session could not be saved has nothing but the error", async () => {
    const save = jest
      .spyOn(api.storedSessions!, "save")
      .mockResolvedValueOnce(new Error("redis refuses writes"));
    const answer = await new Browser().ask("signIn?user=ann");
    save.mockRestore();
    expect(answer.error).toMatch(/redis refuses writes/);
    expect(answer).not.toHaveProperty("token");
  });

  test("get returns a copy, and delete removes a value", async () => {
    const browser = await signedIn();
    await browser.ask("fillCart");
    expect(await browser.ask("cart")).toMatchObject({ cart: ["tea"] });
    await browser.ask("emptyCart");
    expect(await browser.ask("cart")).toMatchObject({ cart: null });
  });

  test("more than maxBytes, and what JSON cannot hold, is refused", async () => {
    const browser = await signedIn();
    expect((await browser.ask("fill?size=2100")).error).toMatch(
      /more than 2000 bytes/,
    );
    expect((await browser.ask("badly")).error).toMatch(/cannot keep function/);
    expect((await browser.ask("fill?size=1500")).error).toBeUndefined();
  });

  test("the lifetime slides with each action, but never beyond maxLifetime", async () => {
    const browser = await signedIn();
    const [key] = (await keys()) as [string];
    const client = engine.client();
    await client.pexpire(key, 60_000);
    await browser.ask("who");
    expect(await client.pttl(key)).toBeGreaterThan(80_000_000);
    const { maxLifetime } = config.session;
    await client.hset(key, "created", Date.now() - maxLifetime + 600_000);
    await browser.ask("write?name=left&value=1");
    const left = await client.pttl(key);
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThanOrEqual(600_000);
    await client.hset(key, "created", Date.now() - maxLifetime - 1);
    expect((await browser.ask("who")).user).toBeNull();
    expect(await keys()).toEqual([]);
  });

  test("a cookie that was signed with a replaced secret is accepted, and signed again", async () => {
    config.web.cookieOptions.secrets = ["the first secret of this test"];
    const browser = await signedIn();
    const { cookie } = browser;
    config.web.cookieOptions.secrets = [
      "the second secret of this test",
      "the first secret of this test",
    ];
    expect((await browser.ask("who")).user).toBe("ann");
    expect(browser.cookie).not.toBe(cookie);
    config.web.cookieOptions.secrets = ["the second secret of this test"];
    expect((await browser.ask("who")).user).toBe("ann");
    browser.cookie = cookie;
    expect((await browser.ask("who")).user).toBeNull();
  });

  test("a websocket has the session of its browser, and sees what HTTP requests change", async () => {
    const browser = await signedIn();
    const client = await connectWebsocket({
      headers: { cookie: browser.cookie },
    });
    expect(await client.action("who")).toMatchObject({ user: "ann" });
    await client.action("write", { name: "left", value: 3 });
    expect(await browser.ask("read")).toMatchObject({ left: 3 });
    await browser.ask("write?name=right&value=4");
    expect(await client.action("read")).toMatchObject({ left: 3, right: 4 });
    await browser.ask("signOut");
    expect(await client.action("who")).toMatchObject({ user: null });
    client.close();
  });

  test("messages of one websocket that write at the same time do not lose each other's values", async () => {
    const browser = await signedIn();
    const client = await connectWebsocket({
      headers: { cookie: browser.cookie },
    });
    const waiting = once(gates, "waiting");
    const slow = client.action("write", { name: "left", value: 1, waits: 1 });
    await waiting;
    await client.action("write", { name: "right", value: 2 });
    gates.emit("goOn");
    await slow;
    expect(await browser.ask("read")).toMatchObject({ left: 1, right: 2 });
    client.close();
  });

  test("a TCP client brings its token as a param, once or with each line", async () => {
    const peer = await SocketPeer.connect();
    await peer.next(); // the welcome
    const { token } = await peer.ask(
      JSON.stringify({ action: "signIn", params: { user: "bob" } }),
    );
    expect(typeof token).toBe("string");
    expect(await peer.ask("who")).toMatchObject({ user: "bob" });

    const other = await SocketPeer.connect();
    await other.next();
    expect(await other.ask("who")).toMatchObject({ user: null });
    const params = { sessionToken: token };
    expect(
      await other.ask(JSON.stringify({ action: "who", params })),
    ).toMatchObject({ user: "bob" });
    expect(await other.ask("who")).toMatchObject({ user: "bob" });
    expect(
      await other.ask(
        JSON.stringify({ action: "who", params: { sessionToken: "no" } }),
      ),
    ).toMatchObject({ user: null });
  });

  test("a TCP client keeps its token for all its lines by paramAdd", async () => {
    const { cookie } = await signedIn("ann");
    const token = decodeURIComponent(cookie.slice("session=".length));
    const peer = await SocketPeer.connect();
    await peer.next(); // the welcome
    await peer.ask(`paramAdd sessionToken=${token}`);
    for (let line = 0; line < 2; line++)
      expect(await peer.ask("who")).toMatchObject({ user: "ann" });
    await peer.ask("paramAdd nothing=1");
    const { data } = await peer.ask("paramsView");
    expect(data).toMatchObject({ sessionToken: token });
    expect(data).not.toHaveProperty("nothing");
  });

  test("an action that runs does not find itself in another session of its connection", async () => {
    const first = await signedIn("ann");
    const second = await signedIn("bob");
    const tokenOf = ({ cookie }: Browser) =>
      decodeURIComponent(cookie.slice("session=".length));
    const client = await connectWebsocket();
    const waiting = once(gates, "waiting");
    const slow = client.action("write", {
      name: "left",
      value: 1,
      waits: 1,
      sessionToken: tokenOf(first),
    });
    await waiting;
    const refused = await client.action("who", {
      sessionToken: tokenOf(second),
    });
    expect(refused.error).toMatch(/another session/);
    gates.emit("goOn");
    await slow;
    expect(await first.ask("read")).toMatchObject({ left: 1 });
    expect(await second.ask("read")).toMatchObject({ left: null });
    client.close();
  });

  describe("in the middleware of rooms", () => {
    const seen: unknown[] = [];
    beforeAll(async () => {
      await chatRoom.addMiddleware({
        name: "members only",
        join: (connection: Connection) => {
          const user = connection.store.get("user");
          seen.push(user);
          if (user === undefined) throw new Error("please sign in");
          connection.store.set("left", 5);
          if (user === "bob") throw new Error("not you");
        },
      });
    });
    beforeEach(async () => {
      seen.length = 0;
      await chatRoom.add("vip");
    });
    afterAll(() => {
      delete api.chatRoom.middleware["members only"];
    });

    test("a websocket has the session as it is, before its first action and after a sign-out", async () => {
      const browser = await signedIn();
      const client = await connectWebsocket({
        headers: { cookie: browser.cookie },
      });
      expect(
        await client.request({ event: "roomAdd", room: "vip" }),
      ).toMatchObject({ status: "OK" });
      expect(await browser.ask("read")).toMatchObject({ left: 5 });
      await client.request({ event: "roomLeave", room: "vip" });
      await browser.ask("signOut");
      expect(
        (await client.request({ event: "roomAdd", room: "vip" })).error,
      ).toMatch(/please sign in/);
      expect(seen).toEqual(["ann", undefined]);
      client.close();
    });

    test("what it kept stays when it refuses", async () => {
      const browser = await signedIn("bob");
      const client = await connectWebsocket({
        headers: { cookie: browser.cookie },
      });
      const { error } = await client.request({ event: "roomAdd", room: "vip" });
      expect(error).toMatch(/not you/);
      expect(await browser.ask("read")).toMatchObject({ left: 5 });
      client.close();
    });

    test("a TCP client has that of the token that it keeps", async () => {
      const { cookie } = await signedIn();
      const token = decodeURIComponent(cookie.slice("session=".length));
      const peer = await SocketPeer.connect();
      await peer.next(); // the welcome
      expect((await peer.ask("roomAdd vip")).error).toMatch(/please sign in/);
      await peer.ask(`paramAdd sessionToken=${token}`);
      expect((await peer.ask("roomAdd vip")).status).toBe("OK");
    });
  });

  test("over HTTP a token in the params is no session", async () => {
    const browser = await signedIn();
    const token = browser.cookie.slice("session=".length);
    const other = new Browser();
    expect((await other.ask(`who?sessionToken=${token}`)).user).toBeNull();
  });

  engine.only("redis", "as the embedded engine cannot go away", () => {
    test("while redis is unavailable, clients with a session get an error, and others are served", async () => {
      const browser = await signedIn();
      const proxy = await new FlakyProxy(engine.server!.port).start();
      const own = api.redis.clients.client;
      const { Redis } = jest.requireActual<typeof import("ioredis")>("ioredis");
      const client = new Redis({ port: proxy.port, commandTimeout: 500 });
      client.on("error", () => undefined);
      await until(() => client.status === "ready");
      api.redis.clients.client = client;
      proxy.stall();
      try {
        const stranger = new Browser();
        expect((await stranger.ask("who")).user).toBeNull();
        const answers = await Promise.all([
          browser.ask("who"),
          browser.ask("write?name=left&value=1"),
          stranger.ask("write?name=left&value=1"),
        ]);
        for (const { error } of answers)
          expect(error).toMatch(/Command timed out/);
        // a cookie would make each of its further requests wait for redis
        expect(stranger.cookie).toBe("");
      } finally {
        api.redis.clients.client = own;
        client.disconnect();
        await proxy.stop();
      }
      expect(await browser.ask("who")).toMatchObject({ user: "ann" });
      expect(await browser.ask("read")).toMatchObject({ left: null });
    }, 30_000);

    test("while redis is unavailable, messages of one session are refused for that reason only", async () => {
      const { cookie } = await signedIn();
      const peer = await connectWebsocket({ headers: { cookie } });
      const { client } = api.redis.clients;
      const away = new Error("Command timed out");
      const evalsha = jest.spyOn(client, "evalsha").mockRejectedValue(away);
      const replies = await Promise.all(
        [1, 2].map(() =>
          peer.request({ event: "action", params: { action: "who" } }),
        ),
      );
      expect(replies.map(({ error }) => error)).toEqual([
        expect.stringContaining("Command timed out"),
        expect.stringContaining("Command timed out"),
      ]);
      evalsha.mockRestore();
      expect(
        await peer.request({ event: "action", params: { action: "who" } }),
      ).toMatchObject({ user: "ann" });
      peer.close();
    });
  });

  test("the specHelper keeps the cookie of a connection as a browser does", async () => {
    const connection = await specHelper.buildConnection();
    connection.params = { user: "eve" };
    await specHelper.runAction("signIn", connection);
    const { user } = await specHelper.runAction("who", connection);
    expect(user).toBe("eve");
  });

  test("what the server runs in-line has an empty session", async () => {
    const browser = await signedIn();
    const { inner } = await browser.ask("inner");
    expect(inner).toMatchObject({ user: null });
  });
});

describe("without session.enabled", () => {
  test("there is no store, and projects keep what they like under its name", async () => {
    const app = await startSocketApp();
    try {
      const connection = await specHelper.buildConnection();
      expect(connection.store).toBeUndefined();
      connection.store = { own: 1 } as never;
      expect(connection.store).toEqual({ own: 1 });
    } finally {
      await app.stop();
    }
  });
});

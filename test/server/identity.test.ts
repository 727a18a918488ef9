/** Who a client is, over HTTP and over websockets: one rule for both. */
import type * as http from "node:http";
import * as https from "node:https";
import type { AddressInfo } from "node:net";
import { once } from "node:events";
import { WebSocket } from "ws";
import { api, config, type Connection } from "../../src/index";
import type { FingerprintOptions } from "../../src/config/types";
import type { Browser } from "playwright-core";
import { describeInBrowser, startBrowser } from "../support/browser";
import { certificate } from "../support/certificate";
import { until } from "../support/until";
import { addActions, startWebApp, type WebApp } from "../support/webApp";
import {
  connectWebsocket,
  websocketUrl,
  type WebsocketClient,
} from "../support/websocketClient";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

const SIGNED = /^[\da-f]{72}$/;

let app: WebApp;
let before: FingerprintOptions;
const clients: WebsocketClient[] = [];

beforeAll(async () => {
  app = await startWebApp();
  addActions({
    who: { run: ({ connection }) => ({ fingerprint: connection.fingerprint }) },
    signIn: {
      run: async ({ connection }: { connection: Connection }) => ({
        rotated: await connection.rotateFingerprint(),
        now: connection.fingerprint,
      }),
    },
    late: {
      run: async (data: any) => {
        data.toRender = false;
        data.connection.pipe("sent");
        lateError = await data.connection
          .rotateFingerprint()
          .catch((error: Error) => error);
      },
    },
  });
});

let lateError: Error | undefined;

beforeEach(() => {
  before = config.web.fingerprintOptions;
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await until(() => api.servers.servers.websocket.connections().length === 0);
});

afterAll(() => app.stop());

function use(options: FingerprintOptions): void {
  config.web.fingerprintOptions = { ...before, ...options } as never;
}

/** How a client tells its id, and what the server then knows it by. */
type Bring = (id: string) => Promise<string>;

const overHttp: Record<string, Bring> = {
  "the cookie": async (id) => httpFingerprint({ Cookie: `sessionID=${id}` }),
  "the header": async (id) => httpFingerprint({ "X-SessionID": id }),
};
const overWebsocket: Record<string, Bring> = {
  "the cookie": async (id) =>
    websocketFingerprint({ headers: { Cookie: `sessionID=${id}` } }),
  "the header": async (id) =>
    websocketFingerprint({ headers: { "X-SessionID": id } }),
  "the param of the URL": async (id) =>
    websocketFingerprint({ url: websocketUrl(`/primus?sessionID=${id}`) }),
};
const ways = [
  ...Object.entries(overHttp).map(([name, bring]) => ["HTTP", name, bring]),
  ...Object.entries(overWebsocket).map(([name, bring]) => [
    "a websocket",
    name,
    bring,
  ]),
] as [string, string, Bring][];

async function httpFingerprint(
  headers: http.OutgoingHttpHeaders,
): Promise<string> {
  return (await app.ask("/api/who", { headers })).json.fingerprint;
}

async function websocketFingerprint(
  options: Parameters<typeof connectWebsocket>[0],
): Promise<string> {
  const client = await connectWebsocket(options);
  clients.push(client);
  return (await client.action("who")).fingerprint;
}

async function freshId(): Promise<string> {
  return httpFingerprint({});
}

/** The headers of the answer to an upgrade. */
async function upgradeHeaders(
  headers: Record<string, string> = {},
): Promise<http.IncomingHttpHeaders> {
  const ws = new WebSocket(websocketUrl(), { headers });
  const [response] = (await once(ws, "upgrade")) as [http.IncomingMessage];
  ws.on("error", () => undefined);
  ws.terminate();
  return response.headers;
}

describe("without `signed`, as in version 29", () => {
  test.each(ways)("over %s %s is taken as it is", async (_over, _by, bring) => {
    expect(await bring("of-my-own")).toBe("of-my-own");
  });

  test("of two cookies of one name HTTP and websockets take the first", async () => {
    const headers = { Cookie: "sessionID=first; sessionID=second" };
    expect(await httpFingerprint(headers)).toBe("first");
    expect(await websocketFingerprint({ headers })).toBe("first");
  });

  test("of two cookies of one name the first counts that can be an id", async () => {
    const headers = { Cookie: "sessionID=; sessionID=second" };
    expect(await httpFingerprint(headers)).toBe("second");
    expect(await websocketFingerprint({ headers })).toBe("second");
  });
});

describe("with `signed`", () => {
  beforeEach(() => use({ signed: true }));

  test("a new id is hex without a dash, and is sent as a cookie", async () => {
    const { json, headers } = await app.ask("/api/who");
    expect(json.fingerprint).toMatch(SIGNED);
    expect(headers["set-cookie"]![0]).toContain(
      `sessionID=${json.fingerprint};`,
    );
  });

  test("clients read a digest of their id, which is the value of a cookie that scripts cannot read", async () => {
    const own = await freshId();
    const headers = { Cookie: `sessionID=${own}` };
    const client = await connectWebsocket({ headers });
    clients.push(client);
    const { data } = await client.request({ event: "detailsView" });
    const { json } = await app.ask("/api/who", { headers });
    const { id, fingerprint } = json.requesterInformation;
    expect(fingerprint).toMatch(/^[\da-f]{40}$/);
    expect(data.fingerprint).toBe(fingerprint);
    expect(id.split("-")[0]).toBe(fingerprint);
    for (const shown of [data, json.requesterInformation])
      expect(JSON.stringify(shown)).not.toContain(own.slice(0, 40));
    expect(
      await httpFingerprint({ Cookie: `sessionID=${fingerprint}` }),
    ).not.toBe(own);
  });

  test.each(ways)("over %s %s is known again", async (_over, _by, bring) => {
    const id = await freshId();
    expect(await bring(id)).toBe(id);
    expect(await bring(id)).toBe(id);
  });

  test.each(ways)(
    "over %s %s is replaced when the server has not made it",
    async (_over, _by, bring) => {
      const id = await freshId();
      const forged = (at: number) =>
        `${id.slice(0, at)}${id[at] === "0" ? "1" : "0"}${id.slice(at + 1)}`;
      const foreign = [
        "chosen",
        "a".repeat(40),
        "a".repeat(72),
        forged(0),
        forged(71),
        id.slice(0, 40),
        id.toUpperCase(),
        `${id}0`,
      ];
      for (const one of foreign) expect(await bring(one)).not.toBe(one);
    },
  );

  test("a client with a foreign id gets a new one", async () => {
    const { headers, json } = await app.ask("/api/who", {
      headers: { Cookie: "sessionID=planted" },
    });
    expect(headers["set-cookie"]![0]).toContain(json.fingerprint);
  });

  test("a valid id behind a planted one is found", async () => {
    const id = await freshId();
    const headers = { Cookie: `sessionID=planted; sessionID=${id}` };
    expect(await httpFingerprint(headers)).toBe(id);
    expect(await websocketFingerprint({ headers })).toBe(id);
    const url = websocketUrl(`/primus?sessionID=planted&sessionID=${id}`);
    expect(await websocketFingerprint({ url })).toBe(id);
  });

  test("nodes with the same server token know each other's ids, others do not", async () => {
    const { serverToken } = config.general;
    const id = await freshId();
    config.general.serverToken = "another cluster's";
    expect(await overHttp["the cookie"](id)).not.toBe(id);
    const theirs = await freshId();
    config.general.serverToken = serverToken;
    expect(await overHttp["the cookie"](theirs)).not.toBe(theirs);
    expect(await overHttp["the cookie"](id)).toBe(id);
  });

  test("ids derived from traits are signed, too", async () => {
    use({ signed: true, onlyStaticElements: true });
    const [first, second] = [await freshId(), await freshId()];
    expect(first).toMatch(SIGNED);
    expect(second).toBe(first);
  });
});

describe("where the cookie is sent", () => {
  const cookieOf = async (path: string, method = "GET") =>
    (await app.ask(path, { method })).headers["set-cookie"];

  test('on: "all" gives it to every client of the web server', async () => {
    use({ on: "all" });
    expect(await cookieOf("/api/who")).toHaveLength(1);
    expect(await cookieOf("/public/simple.html")).toHaveLength(1);
    expect(await cookieOf("/api/who", "OPTIONS")).toHaveLength(1);
    expect((await upgradeHeaders())["set-cookie"]).toBeUndefined();
  });

  test('on: "all" lets no shared cache keep a response with the cookie', async () => {
    use({ on: "all" });
    for (const path of ["/api/who", "/public/simple.html"]) {
      const { headers } = await app.ask(path);
      expect(headers["set-cookie"]).toHaveLength(1);
      expect(headers["cache-control"]).toMatch(/\bprivate\b/);
      expect(headers["cache-control"]).not.toMatch(/\bpublic\b/);
    }
    const Cookie = "sessionID=known";
    const { headers } = await app.ask("/public/simple.html", {
      headers: { Cookie },
    });
    expect(headers["cache-control"]).toMatch(/\bpublic\b/);
  });

  test('on: "actions" keeps it off files, preflights and TRACE', async () => {
    use({ on: "actions" });
    expect(await cookieOf("/api/who")).toHaveLength(1);
    expect(await cookieOf("/api/noSuchAction")).toHaveLength(1);
    expect(await cookieOf("/public/simple.html")).toBeUndefined();
    expect(await cookieOf("/no/such/file")).toBeUndefined();
    expect(await cookieOf("/api/who", "OPTIONS")).toBeUndefined();
    expect(await cookieOf("/api/who", "TRACE")).toBeUndefined();
  });

  test('on: "actions" gives it to a websocket, which is known by it', async () => {
    use({ on: "actions", signed: true });
    const [cookie] = (await upgradeHeaders())["set-cookie"]!;
    expect(cookie).toMatch(/^sessionID=[\da-f]{72};path=\/;expires=/);
    const [pair] = cookie.split(";");
    const headers = { Cookie: pair };
    expect(await websocketFingerprint({ headers })).toBe(
      pair.slice("sessionID=".length),
    );
    expect((await upgradeHeaders(headers))["set-cookie"]).toBeUndefined();
  });

  test("a websocket has the id that its upgrade was given", async () => {
    use({ on: "actions" });
    const ws = new WebSocket(websocketUrl());
    const upgraded = once(ws, "upgrade") as Promise<[http.IncomingMessage]>;
    const [{ headers }] = await upgraded;
    const [connection] = await until(() => {
      const found = api.servers.servers.websocket.connections();
      return found.length === 1 && found;
    });
    expect(headers["set-cookie"]![0]).toContain(
      `sessionID=${connection.fingerprint};`,
    );
    ws.terminate();
  });

  test("the page of another site gets no id with its websocket", async () => {
    use({ on: "actions" });
    const headers = { Origin: "https://evil.com" };
    expect((await upgradeHeaders(headers))["set-cookie"]).toBeUndefined();
  });

  test("without toSetCookie no client gets one", async () => {
    use({ on: "actions", toSetCookie: false });
    expect(await cookieOf("/api/who")).toBeUndefined();
    expect((await upgradeHeaders())["set-cookie"]).toBeUndefined();
  });
});

describe("attributes", () => {
  const attributes = async (headers?: http.OutgoingHttpHeaders) =>
    (await app.ask("/api/who", { headers })).headers["set-cookie"]![0].replace(
      /^sessionID=[\da-f]+;/,
      "",
    );

  test("true is the name alone, and false omits the attribute", async () => {
    use({
      settings: { path: "/", HttpOnly: true, Partitioned: false, Odd: "" },
    });
    expect(await attributes()).toBe("path=/;HttpOnly;Odd;");
  });

  test('Secure: "auto" is for clients that come by TLS, or by a proxy that says so', async () => {
    use({ settings: { Secure: "auto", SameSite: "Lax" } });
    expect(await attributes()).toBe("SameSite=Lax;");
    expect(await attributes({ "X-Forwarded-Proto": "https" })).toBe(
      "Secure;SameSite=Lax;",
    );
    expect(await attributes()).toBe("SameSite=Lax;");
  });

  test('with Secure: "auto", the cookie of another host does not count over TLS', async () => {
    const who = (headers: Record<string, string>) =>
      app.ask("/api/who", { headers });
    const overTls = { "X-Forwarded-Proto": "https" };
    const nameOf = ({ headers }: { headers: http.IncomingHttpHeaders }) =>
      headers["set-cookie"]?.[0].split("=")[0];

    use({ settings: { path: "/", Secure: "auto" } });
    const first = await who(overTls);
    expect(nameOf(first)).toBe("__Host-sessionID");
    const [own] = first.headers["set-cookie"]![0].split(";");
    const again = await who({ ...overTls, Cookie: `sessionID=bad; ${own}` });
    expect(again.json.fingerprint).toBe(first.json.fingerprint);
    expect(nameOf(again)).toBeUndefined();
    const tossed = await who({ ...overTls, Cookie: "sessionID=bad" });
    expect(tossed.json.fingerprint).not.toBe("bad");

    expect(nameOf(await who({}))).toBe("sessionID");
    const plain = await who({ Cookie: "sessionID=good" });
    expect(plain.json.fingerprint).toBe("good");
    use({ settings: { path: "/", domain: "x.example", Secure: "auto" } });
    expect(nameOf(await who(overTls))).toBe("sessionID");
    use({ settings: { path: "/", Secure: true } });
    expect(nameOf(await who(overTls))).toBe("sessionID");
  });

  test('Secure: "auto" looks at the socket', async () => {
    use({ settings: { Secure: "auto" } });
    const web = api.servers.servers.web as unknown as {
      handleRequest: http.RequestListener;
    };
    const server = https.createServer(certificate, (req, res) =>
      web.handleRequest(req, res),
    );
    await once(server.listen(0), "listening");
    try {
      const { port } = server.address() as AddressInfo;
      const request = https.get(`https://localhost:${port}/api/who`, {
        rejectUnauthorized: false,
        agent: false,
      });
      const [response] = (await once(request, "response")) as [
        http.IncomingMessage,
      ];
      response.resume();
      expect(response.headers["set-cookie"]![0]).toMatch(/;Secure;$/);
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });
});

describe("rotateFingerprint", () => {
  test.each([false, true])(
    "gives a client another id, and its cookie (signed: %s)",
    async (signed) => {
      use({ signed });
      const old = await freshId();
      const { json, headers } = await app.ask("/api/signIn", {
        headers: { Cookie: `sessionID=${old}` },
      });
      expect(json.now).toBe(json.rotated);
      expect(json.rotated).not.toBe(old);
      const shown = json.requesterInformation.fingerprint;
      expect(shown === json.rotated).toBe(!signed);
      expect(headers["set-cookie"]).toHaveLength(1);
      const [pair] = headers["set-cookie"]![0].split(";");
      expect(await httpFingerprint({ Cookie: pair })).toBe(json.rotated);
    },
  );

  test("a client without a cookie gets the last one alone", async () => {
    const { json, headers } = await app.ask("/api/signIn");
    expect(headers["set-cookie"]).toHaveLength(1);
    expect(headers["set-cookie"]![0]).toContain(`sessionID=${json.rotated};`);
    expect(headers["cache-control"]).toBe("private");
  });

  test("without toSetCookie the action alone learns the id", async () => {
    use({ toSetCookie: false });
    const { json, headers } = await app.ask("/api/signIn");
    expect(json.rotated).toMatch(/^[\da-f]{40}$/);
    expect(headers["set-cookie"]).toBeUndefined();
  });

  test("a websocket has another id from then on", async () => {
    const client = await connectWebsocket();
    clients.push(client);
    const { rotated } = await client.action("signIn");
    const { data } = await client.request({ event: "detailsView" });
    expect(data.fingerprint).toBe(rotated);
    expect(rotated).toMatch(/^[\da-f]{40}$/);
  });

  test("is an error when the client cannot get it", async () => {
    const old = await freshId();
    await app.ask("/api/late", { headers: { Cookie: `sessionID=${old}` } });
    await until(() => lateError !== undefined);
    expect(lateError!.message).toBe(
      "the response has begun: its cookies can no longer be changed",
    );
  });
});

describeInBrowser("with the cookie of new projects, in a browser", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await startBrowser();
  });
  afterAll(() => browser.close());

  test("scripts do not see it, and the websocket, actions and a sign-in share it", async () => {
    use({
      on: "actions",
      signed: true,
      settings: { path: "/", HttpOnly: true, SameSite: "Lax", Secure: "auto" },
    });
    const page = await browser.newPage();
    await page.goto(`${app.url}/public/simple.html`);
    await page.addScriptTag({
      url: `${app.url}/public/javascript/ActionheroWebsocketClient.js`,
    });
    const seen: Record<string, string> = await page.evaluate(async () => {
      const page = globalThis as any;
      const connect = async () => {
        const client = new page.ActionheroWebsocketClient();
        await client.connect();
        client.disconnect();
        return client.fingerprint;
      };
      const ask = async (path: string): Promise<any> =>
        (await fetch(path)).json();
      const first = await connect();
      const shownBy = async (path: string) =>
        (await ask(path)).requesterInformation.fingerprint;
      const overHttp = await shownBy("/api/who");
      const again = await connect();
      const rotated = await shownBy("/api/signIn");
      const after = await connect();
      const { cookie } = page.document;
      return { first, overHttp, again, rotated, after, cookie };
    });
    expect(seen.cookie).toBe("");
    expect(seen.first).toMatch(/^[\da-f]{40}$/);
    expect(seen.overHttp).toBe(seen.first);
    expect(seen.again).toBe(seen.first);
    expect(seen.rotated).not.toBe(seen.first);
    expect(seen.after).toBe(seen.rotated);
  });
});

/** The same requests to actionhero 29.3.5 and to this server: status, headers and body are the same. */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { ask, type Answer, type Ask } from "../support/ask";
import { describeOnRedisWithPeers } from "../support/peers";
import { RedisServer } from "../support/redisServer";
import type { RemoteNode } from "../support/remoteNode";
import { startV29Node } from "../support/v29Node";
import { startWebApp, type WebApp } from "../support/webApp";
import * as actionhero from "../../src/index";

/** Put actions, routes and a public folder there; sent as text to the other version, so it sees its arguments only. */
function prepare({ api, route, config }: any, folder: string): number {
  const actions: { [name: string]: { [field: string]: any } } = {
    echo: {
      inputs: {
        text: { required: true },
        number: {
          default: 5,
          formatter: (value: unknown) => Number(value),
          validator: (value: number) => {
            if (Number.isNaN(value)) throw new Error("number is not a number");
          },
        },
        list: {},
        object: {},
      },
      run: ({ params, connection }: any) => ({
        params: { ...params },
        cookies: connection.rawConnection.cookies,
        matched: connection.matchedRoute?.path,
      }),
    },
    fail: {
      run: () => {
        throw new Error("it failed");
      },
    },
    teapot: {
      run: () => {
        throw Object.assign(new Error("a teapot"), { code: 418 });
      },
    },
    ownError: { run: () => ({ error: "in the response" }) },
    nothing: { run: () => undefined },
    created: {
      run: ({ connection }: any) => {
        connection.rawConnection.responseHttpCode = 201;
        connection.rawConnection.responseHeaders.push(
          ["X-One", "1"],
          ["Set-Cookie", "a=1"],
          ["X-One", "2"],
          ["Set-Cookie", "b=2"],
        );
        return { created: true };
      },
    },
    plain: {
      run: (data: any) => {
        data.connection.rawConnection.responseHeaders.push([
          "Content-Type",
          "text/plain",
        ]);
        data.response = "only text, ünïcode";
      },
    },
    piped: {
      run: (data: any) => {
        data.toRender = false;
        data.connection.pipe("piped", { "X-Piped": "yes" });
      },
    },
    sent: {
      run: async (data: any) => {
        data.toRender = false;
        await data.connection.sendFile("page.html");
      },
    },
    mimed: { matchExtensionMimeType: true, run: () => ({ mimed: true }) },
    blocked: { blockedConnectionTypes: ["web"], run: () => ({}) },
  };
  for (const [name, template] of Object.entries(actions)) {
    api.actions.actions[name] = {
      1: { name, description: name, version: 1, ...template },
    };
    api.actions.versions[name] = [1];
    route.registerRoute("all", `/${name}`, name);
  }
  route.registerRoute("get", "/v:apiVersion/versioned", "echo");
  route.registerRoute("get", "/user/:text/:number(^\\d+$)", "echo");
  route.registerRoute("get", "/rest/:text", "echo", 1, true);
  route.registerRoute("get", "/mimed.json", "mimed");
  api.params.buildPostVariables();
  api.staticFile.searchLocations.unshift(folder);
  config.general.serverName = "compared";
  config.general.apiVersion = "compared";
  config.web.httpHeaders["X-Powered-By"] = "compared";
  return api.servers.servers.web.server.address().port as number;
}

const json = { "Content-Type": "application/json" };
const form = { "Content-Type": "application/x-www-form-urlencoded" };

type Request = [path: string, options?: Ask];

const REQUESTS: Request[] = [
  ["/api/echo?text=a"],
  ["/api/echo?text=a&number=7&other=left"],
  ["/api/echo"],
  ["/api/echo?text="],
  ["/api/echo?text=a&number=x"],
  ["/api/echo?text=a%20b+c%26&list[]=1&list[]=2&object[a][b]=1"],
  ["/api/echo?text=a&text=b"],
  ["/api/echo?text=a&__proto__=x&constructor=y"],
  ["/api/echo?text=a&callback=call"],
  ["/api/echo?text=a&callback=alert('hi')"],
  ["/api/echo?callback=call"],
  ["/api/echo?text=a&apiVersion=2"],
  ["/api/echo/?text=a"],
  ["/api//echo?text=a"],
  ["/API/echo?text=a"],
  ["/api/ECHO?text=a"],
  ["/api/echo?text=a", { headers: { Cookie: "sessionID=known; x=1" } }],
  ["/api/echo?text=a", { headers: { "x-sessionid": "known" } }],
  ["/api/echo", { method: "POST", headers: json, body: '{"text":"a"}' }],
  [
    "/api/echo?text=query",
    { method: "PUT", headers: json, body: '{"text":"body","number":"8"}' },
  ],
  ["/api/echo", { method: "POST", headers: form, body: "text=a&number=1" }],
  ["/api/echo", { method: "POST", headers: form, body: "text=a&text=b" }],
  ["/api/echo?text=a", { method: "DELETE" }],
  ["/api/echo?text=a", { method: "POST", body: "ignored" }],
  [
    "/api/echo?text=a",
    { method: "POST", headers: { "Content-Type": "x/y" }, body: "ignored" },
  ],
  ["/api/echo?text=a", { method: "OPTIONS" }],
  ["/api/echo?text=a", { method: "TRACE" }],
  ["/api/v1/versioned?text=a"],
  ["/api/v2/versioned?text=a"],
  ["/api/user/an%20id/12?text=other"],
  ["/api/user/id/x"],
  ["/api/rest/and/some/more"],
  ["/api/fail"],
  ["/api/teapot"],
  ["/api/ownError"],
  ["/api/nothing"],
  ["/api/created"],
  ["/api/plain"],
  ["/api/piped"],
  ["/api/sent"],
  ["/api/mimed.json"],
  ["/api/blocked"],
  ["/api/unknown?text=a"],
  ["/api"],
  ["/page.html"],
  ["/public/page.html"],
  ["/public/page.html", { method: "POST" }],
  ["/public/a%20b.txt"],
  ["/public/sub/"],
  ["/public/none.html"],
  ["/public/%2e%2e/%2e%2e/etc/passwd"],
  ["/public/%E0%A4%A"],
];

/** What is random, or tells the time. */
const VOLATILE: [RegExp, string][] = [
  [/[\da-f]{40}/g, "FINGERPRINT"],
  [/[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}/g, "UUID"],
  [/"(requestDuration|currentTime)": \d+/g, '"$1": 0'],
  [/expires=[^;]+/g, "expires=DATE"],
];

function stable(text: string): string {
  return VOLATILE.reduce((so, [from, to]) => so.replace(from, to), text);
}

/** The answer to TRACE does not tell the cookie's value; see docs/migrating-from-v29.md. */
const IDENTITY = /^ *"(?:id|fingerprint)": ".*",\n/gm;

/** New here; see docs/migrating-from-v29.md. */
const NEW_HEADERS = ["accept-ranges", "x-content-type-options"];

type Compared = Pick<Answer, "status" | "rawHeaders" | "text">;

/** What version 29 would have answered, had it done what is different on purpose; see docs/migrating-from-v29.md. */
function withNewRules(
  { status, headers, rawHeaders, text }: Answer,
  url: string,
): Compared {
  const isJsonp = url.includes("callback=");
  const ipv4 = text.replace('"remoteIP": "::ffff:', '"remoteIP": "');
  return {
    status,
    rawHeaders: headers["set-cookie"] ? asPrivate(rawHeaders) : rawHeaders,
    text: isJsonp
      ? ipv4.replace(/ +"(?:id|fingerprint)": "[\da-f-]+",\n/g, "")
      : ipv4,
  };
}

/** A response with a cookie is for one client. */
function asPrivate(rawHeaders: string[]): string[] {
  const at = rawHeaders.findIndex((name) => /^cache-control$/i.test(name));
  if (at === -1) return [...rawHeaders, "cache-control", "private"];
  const changed = [...rawHeaders];
  changed[at + 1] = changed[at + 1].replace("public", "private");
  return changed;
}

function comparable({ status, rawHeaders, text }: Compared): string {
  const headers: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i].toLowerCase();
    if (name === "date" || NEW_HEADERS.includes(name)) continue;
    // of bodies with times in them
    const value = name === "content-length" ? "N" : stable(rawHeaders[i + 1]);
    headers.push(`${name}: ${value}`);
  }
  return [status, ...headers.sort(), "", stable(text)].join("\n");
}

describeOnRedisWithPeers("HTTP is as in version 29", () => {
  let app: WebApp;
  let node: RemoteNode;
  let redis: RedisServer;
  let folder: string;
  let ports: { ours: number; theirs: number };

  beforeAll(async () => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), "compared-"));
    fs.mkdirSync(path.join(folder, "sub"));
    for (const name of ["page.html", "a b.txt", "sub/index.html"])
      fs.writeFileSync(path.join(folder, name), `content of ${name}`);
    redis = new RedisServer();
    await redis.start();
    [node, app] = await Promise.all([
      startV29Node({
        redisUrl: redis.url,
        overrides: { web: { enabled: true, port: 0, bindIP: "::" } },
      }),
      startWebApp(),
    ]);
    ports = {
      theirs: await node.run(prepare, folder),
      ours: prepare(actionhero, folder),
    };
  }, 60_000);

  afterAll(async () => {
    await node?.kill();
    await app?.stop();
    await redis?.stop();
    fs.rmSync(folder, { recursive: true, force: true });
  });

  test.each(REQUESTS.map(([url, options = {}]) => [url, options] as const))(
    "%s %j",
    async (url, options) => {
      const [theirs, ours] = await Promise.all([
        ask(ports.theirs, url, options),
        ask(ports.ours, url, options),
      ]);
      if (options.method === "TRACE") {
        expect(ours.text).not.toMatch(IDENTITY);
        theirs.text = theirs.text.replace(IDENTITY, "");
      }
      expect(comparable(ours)).toBe(comparable(withNewRules(theirs, url)));
    },
  );
});

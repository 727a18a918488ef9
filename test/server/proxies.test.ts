/** What `web.trustProxy` makes of the headers of proxies: address, scheme and host, over HTTP and websockets. */
import type { IncomingMessage } from "node:http";
import { api, config } from "../../src/index";
import { clientNetwork } from "../../src/action/caller";
import {
  clientAddressOf,
  hostOf,
  isSameOrigin,
  schemeOf,
  trustedProxies,
} from "../../src/server/proxies";
import type { TrustProxy } from "../../src/config/types";
import { rawSocket, rawUpgrade } from "../support/rawWebsocket";
import { until } from "../support/until";
import { addActions, startWebApp, type WebApp } from "../support/webApp";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

let app: WebApp;

beforeAll(async () => {
  app = await startWebApp();
  addActions({
    who: {
      run: ({ connection }) => ({
        ip: connection.remoteIP,
        network: clientNetwork(connection, 0),
      }),
    },
  });
});
afterAll(() => app.stop());
afterEach(() => trust(undefined));

function trust(setting: TrustProxy): void {
  config.web.trustProxy = setting as typeof config.web.trustProxy;
}

/** A request from `peer`; undefined: by a unix socket. */
function request(
  peer: string | undefined,
  headers: IncomingMessage["headers"],
  isTls = false,
): IncomingMessage {
  const socket = {
    remoteAddress: peer,
    remotePort: 4000,
    ...(isTls && { encrypted: true }),
  };
  return { headers, socket } as unknown as IncomingMessage;
}

const chain = { "x-forwarded-for": "6.6.6.6, 1.2.3.4, 10.0.0.9" };

test.each<[string, TrustProxy, string, string]>([
  ["nothing set believes the first entry", undefined, "10.0.0.1", "6.6.6.6"],
  ["false believes the socket", false, "10.0.0.1", "10.0.0.1"],
  ["the empty text is false", "", "10.0.0.1", "10.0.0.1"],
  ["0 hops believe the socket", 0, "10.0.0.1", "10.0.0.1"],
  ["1 hop is the last entry", 1, "10.0.0.1", "10.0.0.9"],
  ["2 hops are the one before", "2", "10.0.0.1", "1.2.3.4"],
  ["more hops than entries are the first", 9, "10.0.0.1", "6.6.6.6"],
  ["networks end at the first stranger", "10.0.0.0/8", "10.0.0.1", "1.2.3.4"],
  ["a list of networks", ["10.0.0.0/8", "1.2.3.4"], "10.0.0.1", "6.6.6.6"],
  ["a name of networks", "uniquelocal, loopback", "127.0.0.1", "1.2.3.4"],
  ["an IPv4 address in IPv6", "loopback", "::ffff:127.0.0.1", "10.0.0.9"],
  [
    "a function that throws trusts nobody",
    () => {
      throw new Error("odd address");
    },
    "10.0.0.1",
    "10.0.0.1",
  ],
  [
    "a promise of an async function trusts nobody",
    (async () => true) as never,
    "10.0.0.1",
    "10.0.0.1",
  ],
  ["a stranger is believed nothing", "10.0.0.0/8", "5.5.5.5", "5.5.5.5"],
  [
    "a function of a configuration file",
    { _toExpand: false, trusts: (ip) => ip === "9.9.9.9" },
    "9.9.9.9",
    "10.0.0.9",
  ],
  [
    "a function",
    (ip, hop) => hop === 0 && ip === "9.9.9.9",
    "9.9.9.9",
    "10.0.0.9",
  ],
])("web.trustProxy: %s", (_name, setting, peer, expected) => {
  trust(setting);
  expect(clientAddressOf(request(peer, chain)).ip).toBe(expected);
});

test("a network is known for the address that asks, whatever others asked before", () => {
  trust("10.0.0.0/8");
  const addressOf = (peer: string) =>
    clientAddressOf(request(peer, { "x-forwarded-for": "7.7.7.7" })).ip;
  for (let i = 0; i < 2500; i++) {
    const last = `${i >> 8}.${i & 255}`;
    expect(addressOf(`10.1.${last}`)).toBe("7.7.7.7");
    expect(addressOf(`11.1.${last}`)).toBe(`11.1.${last}`);
  }
  expect(addressOf("10.1.0.0")).toBe("7.7.7.7");
  trust("11.0.0.0/8");
  expect(addressOf("10.1.0.0")).toBe("10.1.0.0");
});

test("a unix socket counts as loopback", () => {
  trust("loopback");
  expect(clientAddressOf(request(undefined, chain)).ip).toBe("10.0.0.9");
  trust(false);
  expect(clientAddressOf(request(undefined, chain)).ip).toBe("0.0.0.0");
});

test.each([
  ["[::5]:77", { ip: "::5", port: 77 }],
  ["1.2.3.4:88", { ip: "1.2.3.4", port: 88 }],
  ["::5", { ip: "::5", port: 0 }],
  ["1.2.3.4,", { ip: "1.2.3.4", port: 0 }],
  ["6.6.6.6, unknown", { ip: "127.0.0.1", port: 4000 }],
  ["<script>", { ip: "127.0.0.1", port: 4000 }],
  [`${"9.9.9.9,".repeat(9000)}1.2.3.4`, { ip: "1.2.3.4", port: 0 }],
])("the entry %#: %.20s has its address and port", (header, expected) => {
  trust("loopback");
  const req = request("127.0.0.1", { "x-forwarded-for": header });
  expect(clientAddressOf(req)).toEqual(expected);
});

test("X-Real-IP counts for nothing once web.trustProxy is set", () => {
  const headers = { "x-real-ip": "6.6.6.6" };
  expect(clientAddressOf(request("127.0.0.1", headers)).ip).toBe("6.6.6.6");
  trust(1);
  expect(clientAddressOf(request("127.0.0.1", headers)).ip).toBe("127.0.0.1");
});

test("scheme and host are those that a trusted proxy reports", () => {
  const req = request("127.0.0.1", {
    host: "inner:8080",
    "x-forwarded-proto": "http, https",
    "x-forwarded-host": "evil.com, site.com",
  });
  trust("loopback");
  expect([schemeOf(req), hostOf(req)]).toEqual(["https", "site.com"]);
  expect(isSameOrigin(req, "https://site.com")).toBe(true);
  // without TLS, anyone on the network path can write pages of the site
  expect(isSameOrigin(req, "http://site.com")).toBe(false);
  expect(isSameOrigin(req, "https://evil.com")).toBe(false);
  trust(false);
  expect([schemeOf(req), hostOf(req)]).toEqual(["http", "inner:8080"]);
  expect(schemeOf(request("127.0.0.1", req.headers, true))).toBe("https");
});

test.each<[string, TrustProxy, Record<string, string>, string, string]>([
  [
    "two hops that add to the lists",
    2,
    {
      "x-forwarded-for": "6.6.6.6, 10.0.0.2",
      "x-forwarded-proto": "https, http",
      "x-forwarded-host": "site.com, inner",
    },
    "https",
    "site.com",
  ],
  [
    "networks, behind what the client sent",
    "10.0.0.0/8, loopback",
    {
      "x-forwarded-for": "1.1.1.1, 6.6.6.6, 10.0.0.2",
      "x-forwarded-proto": "http, https, http",
      "x-forwarded-host": "evil.com, site.com, inner",
    },
    "https",
    "site.com",
  ],
  [
    "one proxy, which does not pass on what the client sent as its own",
    "loopback",
    {
      "x-forwarded-for": "1.1.1.1, 6.6.6.6",
      "x-forwarded-proto": "https, http",
      "x-forwarded-host": "evil.com, site.com",
    },
    "http",
    "site.com",
  ],
  [
    "two hops, of which one replaces the lists",
    2,
    {
      "x-forwarded-for": "6.6.6.6, 10.0.0.2",
      "x-forwarded-proto": "https",
      "x-forwarded-host": "site.com",
    },
    "https",
    "site.com",
  ],
  [
    "two hops that are configured and one that was passed",
    2,
    {
      "x-forwarded-for": "6.6.6.6",
      "x-forwarded-proto": "https, http",
      "x-forwarded-host": "evil.com, site.com",
    },
    "http",
    "site.com",
  ],
])(
  "scheme and host of %s come from the outermost proxy",
  (_name, setting, headers, scheme, host) => {
    trust(setting);
    const req = request("127.0.0.1", { host: "inner:8080", ...headers });
    expect([schemeOf(req), hostOf(req)]).toEqual([scheme, host]);
    expect(clientAddressOf(req).ip).toBe("6.6.6.6");
  },
);

test("a page without TLS is another site for a server with TLS, and a secure page never is", () => {
  trust("loopback");
  const host = { host: "site.com" };
  const from = (scheme: string, peer = "127.0.0.1") =>
    request(peer, { ...host, "x-forwarded-proto": scheme });
  // of a websocket some proxies tell the scheme of its URL
  for (const secure of ["https", "wss"]) {
    expect(schemeOf(from(secure))).toBe("https");
    expect(isSameOrigin(from(secure), "https://site.com")).toBe(true);
    expect(isSameOrigin(from(secure), "http://site.com")).toBe(false);
  }
  for (const plain of ["http", "ws"]) {
    expect(isSameOrigin(from(plain), "http://site.com")).toBe(true);
    // the proxy in front of this one may have received TLS
    expect(isSameOrigin(from(plain), "https://site.com")).toBe(true);
    expect(isSameOrigin(from(`https, ${plain}`), "https://site.com")).toBe(
      true,
    );
  }
  for (const req of [
    from("http", "5.5.5.5"),
    request("127.0.0.1", host),
    from("other"),
  ])
    expect(isSameOrigin(req, "https://site.com")).toBe(true);
  trust(undefined);
  expect(isSameOrigin(from("http"), "https://site.com")).toBe(true);
});

test("behind a proxy that encrypts again, the reported scheme counts without web.trustProxy, as in version 29", () => {
  const headers = { host: "site.com", "x-forwarded-proto": "http" };
  const reported = request("127.0.0.1", headers, true);
  const silent = request("127.0.0.1", { host: "site.com" }, true);
  expect(isSameOrigin(reported, "http://site.com")).toBe(true);
  expect(isSameOrigin(reported, "https://site.com")).toBe(true);
  expect(isSameOrigin(silent, "http://site.com")).toBe(false);
  trust(false);
  expect(isSameOrigin(reported, "http://site.com")).toBe(false);
  trust("loopback");
  expect(isSameOrigin(reported, "http://site.com")).toBe(true);
});

test.each(["javascript", "constructor", ""])(
  "the invalid scheme %j is ignored",
  (scheme) => {
    trust("loopback");
    const headers = { "x-forwarded-proto": scheme };
    expect(schemeOf(request("127.0.0.1", headers))).toBe("http");
  },
);

test.each([true, "everybody", ["10.0.0.0/33"], ["10.0.0.0/"], -1, 1.5, {}])(
  "web.trustProxy %p is refused",
  (setting) => {
    trust(setting as TrustProxy);
    expect(() => trustedProxies()).toThrow(
      /^web\.trustProxy has .+, and must be false/,
    );
  },
);

test("a refused TRUST_PROXY is named, so that the boot error shows its place", () => {
  process.env.TRUST_PROXY = "true";
  trust("true");
  try {
    expect(() => trustedProxies()).toThrow("web.trustProxy (TRUST_PROXY)");
  } finally {
    delete process.env.TRUST_PROXY;
  }
});

describe("a server", () => {
  const forwarded = { "X-Forwarded-For": "6.6.6.6, 1.2.3.4" };

  test("gives an action the address that is trusted, and counts by it", async () => {
    const before = await app.ask("/api/who", { headers: forwarded });
    expect(before.json).toMatchObject({ ip: "6.6.6.6" });
    expect(before.json.network).not.toBe("6.6.6.6");
    trust("loopback");
    const after = await app.ask("/api/who", { headers: forwarded });
    expect(after.json).toMatchObject({ ip: "1.2.3.4", network: "1.2.3.4" });
  });

  test("gives a websocket the same address", async () => {
    trust("loopback");
    const raw = await rawUpgrade("/primus", forwarded);
    expect(await raw.status()).toBe(101);
    const connection = await until(() =>
      api.connections.table.list().find(({ type }) => type === "websocket"),
    );
    expect(connection.remoteIP).toBe("1.2.3.4");
    raw.socket.destroy();
    await raw.closed;
  });

  test("does not count the connections of a trusted proxy", async () => {
    config.general.maxConnectionsPerAddress = 1;
    const held = await rawSocket();
    expect((await app.ask("/api/who")).status).toBe(429);
    trust("loopback");
    expect((await app.ask("/api/who")).status).toBe(200);
    held.socket.destroy();
    await held.closed;
  });
});

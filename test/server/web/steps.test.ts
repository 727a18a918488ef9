/**
 * A request takes a direct way where nothing else is asked for: its action is started without a promise, a recent path keeps
 * its route, the default headers are ready. Middleware, listeners and replaced methods lead through the same steps one by
 * one. Whatever is set and asked for, clients and actions must not see a difference.
 */
import * as http from "node:http";
import * as fc from "fast-check";
import { api, config } from "../../../src/index";
import { resetMiddleware } from "../../support/app";
import {
  addActions,
  ask,
  startWebApp,
  type WebApp,
} from "../../support/webApp";
import { restoreConfig } from "../../support/withConfig";

let app: WebApp;
const agent = new http.Agent({ keepAlive: true });
/** What `run` got, of the last request. */
let seen: unknown;

beforeAll(async () => {
  app = await startWebApp();
  const note = (data: any) => {
    const { params, action, messageId, connection } = data;
    const { rawConnection, fingerprint, id, extension, matchedRoute } =
      connection;
    seen = {
      params,
      frozen: Object.isFrozen(params),
      action,
      own: Object.keys(data as object),
      isKnown: { ...data }.connection === connection,
      isOneId: id === `${fingerprint}-${messageId}`,
      extension,
      route: matchedRoute?.path,
      query: rawConnection.params.query,
      body: rawConnection.params.body,
      method: rawConnection.method,
      cookies: connection.cookies,
    };
  };
  const inputs = {
    id: { required: true },
    count: {
      formatter: Number,
      validator: (count: number) => {
        if (Number.isNaN(count)) throw new Error("count is not a number");
      },
      default: 3,
    },
    list: {},
  };
  addActions({
    stepsAsync: {
      inputs,
      run: async (data) => {
        note(data);
        await Promise.resolve();
        return { id: data.params.id, count: data.params.count };
      },
    },
    stepsSync: {
      inputs,
      run: (data) => {
        note(data);
        data.response.early = true;
        data.connection.rawConnection.responseHeaders.push(["X-Own", "1"]);
        return { list: data.params.list, text: "\u00e4" };
      },
    },
    stepsFails: {
      inputs,
      run: async (data) => {
        note(data);
        throw new Error(`no ${data.params.id}`);
      },
    },
  });
  api.routes.routes.get.push({
    path: "/steps/:id",
    action: "stepsAsync",
    apiVersion: 1,
  });
});
afterAll(async () => {
  agent.destroy();
  await app.stop();
});
restoreConfig();

/** Each of them leads through steps that the direct way does not take; calling it undoes that. */
const DETOURS: { [name: string]: () => () => void } = {
  "action middleware": () => {
    const name = "steps";
    api.actions.middleware[name] = {
      name,
      global: true,
      preProcessor: async () => undefined,
      postProcessor: () => undefined,
    };
    api.actions.globalMiddleware.push(name);
    return resetMiddleware;
  },
  "connection middleware": () => {
    const name = "steps";
    api.connections.middleware[name] = {
      name,
      create: async () => undefined,
      destroy: async () => undefined,
    };
    api.connections.globalMiddleware.push(name);
    return resetMiddleware;
  },
  "a list of headers": () => {
    const name = "steps";
    api.connections.middleware[name] = {
      name,
      create: ({ rawConnection }: any) => void rawConnection.responseHeaders,
    };
    api.connections.globalMiddleware.push(name);
    return resetMiddleware;
  },
  "listeners of the server": () => {
    const { web } = api.servers.servers;
    const ignore = () => undefined;
    web.on("actionComplete", ignore).on("connection", ignore);
    return () =>
      void web.off("actionComplete", ignore).off("connection", ignore);
  },
  "a replaced processAction": () => {
    const { web } = api.servers.servers;
    const processAction = web.processAction.bind(web);
    web.processAction = async (connection) => {
      await Promise.resolve();
      return processAction(connection);
    };
    return () => void Reflect.deleteProperty(web, "processAction");
  },
  "a replaced processRoute": () => {
    const { routes } = api;
    const before = { ...routes };
    routes.processRoute = (connection, pathParts) => {
      before.processRoute(connection, [...pathParts]);
      (pathParts as string[]).length = 0; // it gets a copy
    };
    return () => void Object.assign(routes, before);
  },
  "replaced route tables": () => {
    const before = api.routes.routes;
    api.routes.routes = { ...before, get: [...before.get] };
    return () => void (api.routes.routes = before);
  },
  "an interceptor": () => {
    const { interceptors } = api.servers.servers.web as unknown as {
      interceptors: unknown[];
    };
    interceptors.push(() => false);
    return () => void interceptors.pop();
  },
};

const text = fc.oneof(
  fc.string({ maxLength: 8 }),
  fc.constantFrom("1", "a b", "%", "\u00e4", "__proto__", "constructor", ""),
);
const names = fc.constantFrom(
  ...["id", "count", "list", "action", "apiVersion", "callback", "other"],
  ...["__proto__", "0", "1", "id[x]", "file"],
);
const pairs = fc.array(fc.tuple(names, text), { maxLength: 4 });

const path = fc.oneof(
  fc.constantFrom(
    ...["/api/stepsAsync", "/api/stepsSync", "/api/stepsFails", "/api/none"],
    ...[
      "/api",
      "/api/",
      "/api/stepsAsync.json",
      "/api//stepsSync",
      "/%61pi/none",
    ],
  ),
  text.map((id) => `/api/steps/${encodeURIComponent(id)}`),
);

const settings = fc.record({
  returnErrorCodes: fc.boolean(),
  strictHttp: fc.boolean(),
  strictPaths: fc.boolean(),
  queryRouting: fc.boolean(),
  nosniff: fc.boolean(),
  saveRawBody: fc.boolean(),
  jsonp: fc.constantFrom(true, false, "strict"),
  padding: fc.constantFrom(null, 2),
  listErrors: fc.boolean(),
  compress: fc.boolean(),
});

const request = fc.record({
  path,
  pairs,
  method: fc.constantFrom("GET", "POST", "HEAD", "PUT", "OPTIONS"),
  body: fc.oneof(
    fc.constant(undefined),
    fc.dictionary(names, fc.jsonValue()).map((value) => JSON.stringify(value)),
    fc.constantFrom(
      "{",
      "[1,2]",
      "",
      '{"id":"\u00e4"}',
      '{"__proto__":{"x":1}}',
    ),
  ),
  type: fc.constantFrom(
    "application/json",
    "application/x-www-form-urlencoded",
    "text/plain",
  ),
  cookie: fc.constantFrom(undefined, `sessionID=${"a".repeat(40)}`, "x=1"),
  requester: fc.boolean(),
  scrubbing: fc.boolean(),
  settings,
});

type Given = typeof request extends fc.Arbitrary<infer Value> ? Value : never;

interface Outcome {
  status: number;
  /** All that the client and the action get, without what differs each time. */
  told: string;
}

async function outcome(given: Given): Promise<Outcome> {
  const { path, pairs, method, body, type, cookie } = given;
  seen = undefined;
  const query = pairs
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    .join("&");
  const hasBody = body !== undefined && /^P/.test(method);
  const { status, rawHeaders, text } = await ask(
    app.port,
    query === "" ? path : `${path}?${query}`,
    {
      method,
      agent,
      headers: {
        ...(cookie === undefined ? {} : { Cookie: cookie }),
        ...(hasBody ? { "Content-Type": type } : {}),
      },
      body: hasBody ? body : undefined,
    },
  );
  const headers = rawHeaders
    .map((name, i) => (i % 2 === 0 ? `${name}: ${rawHeaders[i + 1]}` : ""))
    .sort();
  const told = JSON.stringify({ status, headers, text, seen }, null, 1)
    .replace(/[0-9a-f]{40}/g, "fingerprint")
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "uuid")
    .replace(/"Date: [^"]*"/g, "date")
    .replace(/(requestDuration|currentTime)\\*": ?\d+/g, "$1")
    .replace(/expires=[^;]*/g, "expires");
  return { status, told };
}

function configure({ settings, requester, scrubbing }: Given): void {
  Object.assign(config.web, settings);
  config.web.metadataOptions.requesterInformation = requester;
  config.web.metadataOptions.serverInformation = false;
  config.general.disableParamScrubbing = scrubbing;
}

test.each(Object.entries(DETOURS))(
  "%s: no client and no action sees a difference",
  async (_name, detour) => {
    await fc.assert(
      fc.asyncProperty(request, async (given) => {
        configure(given);
        const direct = await outcome(given);
        const undo = detour();
        try {
          expect(await outcome(given)).toEqual(direct);
        } finally {
          undo();
        }
        // the direct way again: nothing of the other one is kept
        expect(await outcome(given)).toEqual(direct);
      }),
      { numRuns: 150 },
    );
  },
);

test("some of the requests reach an action, and some are refused", async () => {
  const statuses = new Set<unknown>();
  let reached = 0;
  await fc.assert(
    fc.asyncProperty(request, async (given) => {
      configure(given);
      const { status } = await outcome(given);
      statuses.add(status);
      if (seen !== undefined) reached++;
    }),
    { numRuns: 200 },
  );
  expect([...statuses]).toEqual(expect.arrayContaining([200, 404]));
  expect(reached).toBeGreaterThan(20);
});

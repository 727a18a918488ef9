import { once } from "node:events";
import {
  createServer,
  type IncomingMessage,
  type ServerResponse,
} from "node:http";
import { connect, type AddressInfo } from "node:net";
import * as fc from "fast-check";
import { api, config } from "../../../src/index";
import {
  addActions,
  ask,
  startWebApp,
  type WebApp,
} from "../../support/webApp";
import { restoreConfig } from "../../support/withConfig";

restoreConfig();

let app: WebApp;
/** Runs in the action of this test. */
let onAction: (data: any) => unknown;
/** Runs before the framework sees a request. */
let early: (res: ServerResponse) => void;
const before = (_req: IncomingMessage, res: ServerResponse) => early(res);

const KNOWN = { Cookie: "sessionID=0123456789abcdef0123456789abcdef01234567" };

beforeAll(async () => {
  app = await startWebApp();
  addActions({
    headers: { run: (data) => onAction(data) },
    limited: { middleware: ["limit"], run: (data) => onAction(data) },
  });
  api.actions.middleware.limit = {
    name: "limit",
    preProcessor: async ({ connection }: any) => {
      await connection.setHeader("X-RateLimit-Limit", 10);
    },
  } as never;
  api.servers.servers.web.server.prependListener("request", before);
});

beforeEach(() => {
  onAction = () => ({ ok: true });
  early = () => undefined;
});

afterAll(() => app.stop());

/** Every way of a project to set a header while its action runs. */
const WAYS: Record<
  string,
  (connection: any, name: string, value: string) => unknown
> = {
  "connection.setHeader": (connection, name, value) =>
    connection.setHeader(name, value),
  "responseHeaders.push": ({ rawConnection }, name, value) =>
    rawConnection.responseHeaders.push([name, value]),
  "res.setHeader": ({ rawConnection }, name, value) =>
    rawConnection.res.setHeader(name, value),
  "res.appendHeader": ({ rawConnection }, name, value) => {
    if (!/cookie|vary/i.test(name)) rawConnection.res.removeHeader(name);
    rawConnection.res.appendHeader(name, value);
  },
};

/** What answers: each has other defaults of the framework. */
const ANSWERS: Record<string, (data: any) => unknown> = {
  JSON: () => ({ ok: true }),
  "an error": () => {
    throw new Error("no");
  },
  sendFile: async (data) => {
    data.toRender = false;
    await data.connection.sendFile("simple.html");
  },
  pipe: async (data) => {
    data.toRender = false;
    await data.connection.pipe("piped");
  },
};

const pairs = Object.keys(WAYS).flatMap((first) =>
  Object.keys(WAYS).flatMap((second) =>
    Object.keys(ANSWERS).map((answer) => ({ first, second, answer })),
  ),
);

describe.each(pairs)(
  "$first, then $second, answered by $answer",
  ({ first, second, answer }) => {
    const set = async (name: string, values: [string, string]) => {
      onAction = async (data) => {
        await WAYS[first](data.connection, name, values[0]);
        await WAYS[second](data.connection, name, values[1]);
        return ANSWERS[answer](data);
      };
      return app.ask("/api/headers", { headers: KNOWN });
    };

    test.each([
      ["X-Own", ["one", "two"]],
      ["Content-Type", ["text/csv", "application/json; own=1"]],
      ["Cache-Control", ["public", "max-age=7"]],
      ["Access-Control-Allow-Origin", ["https://a.test", "https://b.test"]],
      ["X-Powered-By", ["me", "somebody"]],
      ["ETag", ['"one"', '"two"']],
    ] as [string, [string, string]][])(
      "the later value of %s is sent",
      async (name, values) => {
        const { headers } = await set(name, values);
        expect(headers[name.toLowerCase()]).toBe(values[1]);
      },
    );

    test("cookies add up, the later first", async () => {
      const { headers } = await set("Set-Cookie", ["a=1", "b=2"]);
      expect(headers["set-cookie"]).toEqual(["b=2", "a=1"]);
    });

    test("of one cookie the later value is sent", async () => {
      const { headers } = await set("Set-Cookie", [
        "a=1; Path=/",
        "a=2;path=/",
      ]);
      expect(headers["set-cookie"]).toEqual(["a=2;path=/"]);
    });

    test("the values of Vary are merged", async () => {
      const { headers } = await set("Vary", ["Origin", "Accept, origin"]);
      expect(headers.vary).toBe("Origin, Accept");
    });
  },
);

test.each(
  Object.keys(WAYS).flatMap((way) =>
    ["headers", "limited"].map((path) => [way, path] as const),
  ),
)(
  "a cookie set by %s is sent beside a new session cookie by the action %s",
  async (way, path) => {
    onAction = async ({ connection }) => {
      await WAYS[way](connection, "Set-Cookie", "login=1; Path=/");
    };
    const { headers } = await app.ask(`/api/${path}`);
    expect(headers["set-cookie"]).toEqual([
      "login=1; Path=/",
      expect.stringMatching(/^sessionID=/),
    ]);
  },
);

test("a session cookie that the project sets replaces the framework's", async () => {
  onAction = async ({ connection }) => {
    await connection.setHeader("Set-Cookie", "sessionID=mine;path=/;");
  };
  const { headers } = await app.ask("/api/headers");
  expect(headers["set-cookie"]).toEqual(["sessionID=mine;path=/;"]);
});

test("an array sets several cookies, and setting it again with more repeats none", async () => {
  onAction = ({ connection }) => {
    const { res } = connection.rawConnection;
    res.setHeader("Set-Cookie", ["a=1", "b=2"]);
    res.setHeader("Set-Cookie", [...res.getHeader("Set-Cookie"), "c=3"]);
  };
  const { headers } = await app.ask("/api/headers", { headers: KNOWN });
  expect(headers["set-cookie"]).toEqual(["a=1", "b=2", "c=3"]);
});

test("a header that middleware set before the framework saw the request is sent, and later ones win", async () => {
  early = (res) => {
    res.setHeader("X-Early", "yes");
    res.setHeader("X-Powered-By", "early");
    res.setHeader("Set-Cookie", "early=1");
  };
  const first = await app.ask("/api/headers", { headers: KNOWN });
  expect(first.headers).toMatchObject({
    "x-early": "yes",
    "x-powered-by": "early",
    "set-cookie": ["early=1"],
  });
  onAction = async ({ connection }) => {
    await connection.setHeader("X-Powered-By", "late");
  };
  const second = await app.ask("/api/headers", { headers: KNOWN });
  expect(second.headers["x-powered-by"]).toBe("late");
});

test("res.removeHeader removes a default, however it was set", async () => {
  onAction = ({ connection }) => {
    connection.rawConnection.res.removeHeader("X-Powered-By");
  };
  const { headers } = await app.ask("/api/headers");
  expect(headers["x-powered-by"]).toBeUndefined();
});

test("res.setHeaders sets each", async () => {
  onAction = ({ connection }) => {
    const headers = new Map([
      ["X-Own", "yes"],
      ["X-Powered-By", "me"],
    ]);
    connection.rawConnection.res.setHeaders(headers);
  };
  const { headers } = await app.ask("/api/headers");
  expect(headers).toMatchObject({ "x-own": "yes", "x-powered-by": "me" });
});

test("the list can be replaced, and is what is sent", async () => {
  onAction = ({ connection }) => {
    const request = connection.rawConnection;
    request.responseHeaders = request.responseHeaders.filter(
      ([name]: [string]) => name !== "X-Powered-By",
    );
    request.responseHeaders.push(["X-Own", "yes"]);
  };
  const { headers } = await app.ask("/api/headers");
  expect(headers["x-own"]).toBe("yes");
  expect(headers["x-powered-by"]).toBeUndefined();
  expect(headers["access-control-allow-origin"]).toBe("*");
});

test("pipe adds no defaults of the framework", async () => {
  onAction = ANSWERS.pipe!;
  const { headers, text } = await app.ask("/api/headers");
  expect(text).toBe("piped");
  expect(Object.keys(headers).sort()).toEqual([
    "connection",
    "content-length",
    "date",
  ]);
});

test("pipe cannot lie about the length of its body", async () => {
  onAction = async (data) => {
    data.toRender = false;
    await data.connection.pipe("piped", {
      "Content-Length": "1",
      "Transfer-Encoding": "chunked",
    });
  };
  const { headers, text } = await app.ask("/api/headers");
  expect(text).toBe("piped");
  expect(headers["content-length"]).toBe("5");
  expect(headers["transfer-encoding"]).toBeUndefined();
});

test("a rendered response cannot lie about the length of its body", async () => {
  onAction = async ({ connection }) => {
    await connection.setHeader("Content-Length", "1");
    await connection.setHeader("Transfer-Encoding", "chunked");
    return { ok: true };
  };
  const { headers, json } = await app.ask("/api/headers");
  expect(json.ok).toBe(true);
  expect(headers["transfer-encoding"]).toBeUndefined();
});

test("one invalid header costs the response no other", async () => {
  onAction = ({ connection }) => {
    connection.rawConnection.responseHeaders.push(["X-Bad", "a\r\nb: c"]);
    connection.rawConnection.responseHeaders.push(["X-Good", "yes"]);
  };
  const { status, headers } = await app.ask("/api/headers");
  expect(status).toBe(500);
  expect(headers).toMatchObject({
    "x-good": "yes",
    "access-control-allow-origin": "*",
    "content-type": "application/json; charset=utf-8",
  });
  expect(headers["x-bad"]).toBeUndefined();
});

describe("a response that the action writes itself", () => {
  const PATH = "/api/headers";

  /** Sets what can be set, and lets `write` answer. */
  function writing(write: (res: ServerResponse) => unknown) {
    onAction = async (data) => {
      const { connection } = data;
      data.toRender = false;
      await connection.setHeader("X-A", "1");
      connection.rawConnection.responseHeaders.push(["X-B", "2"]);
      connection.setCookie("mine", "yes");
      await connection.setStatusCode(202);
      write(connection.rawConnection.res);
    };
  }

  test.each<[string, (res: ServerResponse) => unknown, number]>([
    ["end", (res) => res.end("whole"), 202],
    ["write", (res) => (res.write("wh"), res.end("ole")), 202],
    ["flushHeaders", (res) => (res.flushHeaders(), res.end("whole")), 202],
    ["writeHead", (res) => res.writeHead(200).end("whole"), 200],
  ])("by `%s` has what was set", async (_name, write, status) => {
    writing(write);
    const answer = await ask(app.port, PATH);
    expect([answer.status, answer.text]).toEqual([status, "whole"]);
    expect(answer.headers).toMatchObject({ "x-a": "1", "x-b": "2" });
    const cookies = answer.headers["set-cookie"]!.join(" ");
    expect(cookies).toContain("mine=yes");
    expect(cookies).toContain("sessionID=");
    // nobody knows its type
    expect(answer.headers["content-type"]).toBeUndefined();
  });

  test.each<[string, object | unknown[]]>([
    ["an object", { "x-a": "3", "Set-Cookie": "last=1" }],
    ["a list", ["x-a", "3", "Set-Cookie", "last=1"]],
  ])(
    "lets the headers that `writeHead` is given as %s win",
    async (_name, given) => {
      writing((res) => res.writeHead(200, "Fine", given as never).end());
      const { headers } = await ask(app.port, PATH, { headers: KNOWN });
      expect(headers).toMatchObject({ "x-a": "3", "x-b": "2" });
      expect(headers["set-cookie"]).toEqual([
        "last=1",
        expect.stringContaining("mine=yes"),
      ]);
    },
  );

  test("keeps its trailers", async () => {
    writing((res) => {
      res.setHeader("Trailer", "X-Sum");
      res.write("a");
      res.addTrailers({ "X-Sum": "1" });
      res.end();
    });
    const { headers } = await ask(app.port, PATH, { headers: KNOWN });
    expect(headers.trailer).toBe("X-Sum");
  });
});

describe("a response with a cookie is private", () => {
  const cacheControl = async (
    value: string | undefined,
    path = "/api/headers",
  ) => {
    onAction = async ({ connection }) => {
      if (value) await connection.setHeader("Cache-Control", value);
    };
    return (await app.ask(path)).headers["cache-control"];
  };

  test.each([
    [undefined, "private"],
    ["public, max-age=60", "max-age=60, private"],
    ["s-maxage=5, max-age=60", "max-age=60, private"],
    ["private, max-age=60", "private, max-age=60"],
    ["no-store", "no-store"],
  ])("%s becomes %s", async (value, sent) => {
    expect(await cacheControl(value)).toBe(sent);
  });

  test("files have the same headers", async () => {
    const { headers } = await app.ask("/simple.html");
    expect(headers["cache-control"]).toBe(
      "max-age=60, must-revalidate, private",
    );
    const known = await app.ask("/simple.html", { headers: KNOWN });
    expect(known.headers["cache-control"]).toBe(
      "max-age=60, must-revalidate, public",
    );
  });

  test("a default Cache-Control of the configuration is kept, too", async () => {
    config.web.httpHeaders["Cache-Control"] = "public";
    expect(await cacheControl(undefined)).toBe("private");
    const { headers } = await app.ask("/api/headers", { headers: KNOWN });
    expect(headers["cache-control"]).toBe("public");
  });
});

describe("the default headers that no project has touched", () => {
  type Written = ReturnType<typeof parts>;

  /** Status line, sorted header lines and body; the time of the answer may differ. */
  function parts(text: string) {
    const end = text.indexOf("\r\n\r\n");
    const [status, ...lines] = text.slice(0, end).split("\r\n");
    const kept = lines.filter((line) => !/^date: .*GMT$/i.test(line));
    return { status, lines: kept.sort(), body: text.slice(end + 4) };
  }

  /** All bytes that the server writes to a connection that ends with the request. */
  async function bytesOf(path: string, head: string[]): Promise<Written> {
    const socket = connect(app.port, "localhost");
    const [method, version, ...lines] = head;
    const first = `${method} ${path} HTTP/${version}`;
    socket.end([first, "Host: localhost", ...lines, "", ""].join("\r\n"));
    const chunks: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    await once(socket, "close");
    return parts(Buffer.concat(chunks).toString("latin1"));
  }

  const httpHeaders = fc.dictionary(
    fc.constantFrom(
      "X-Powered-By",
      "x-one",
      "Cache-Control",
      "Vary",
      "Date",
      "Connection",
      "Keep-Alive",
      "Content-Disposition",
      "Content-Length",
      "Transfer-Encoding",
      "Trailer",
      "X-Request-Id",
      "Content-Type",
    ),
    fc.constantFrom("1", "close", "public", "\xe4", "text/plain", "chunked"),
    { maxKeys: 4 },
  );
  const request = fc.record({
    httpHeaders,
    nosniff: fc.boolean(),
    isSecured: fc.boolean(),
    status: fc.constantFrom(200, 201, 404, 204, 205, 304, "418 teapot", "no"),
    head: fc.tuple(
      fc.constantFrom("GET", "HEAD"),
      fc.constantFrom("1.0", "1.1"),
      fc.constantFrom(`Cookie: ${KNOWN.Cookie}`, "Accept: */*"),
      fc.constantFrom("Connection: close", "Connection: keep-alive"),
    ),
  });

  test("are those of the list that it may touch, whatever is set and asked for", async () => {
    config.web.metadataOptions.requesterInformation = false;
    config.web.metadataOptions.serverInformation = false;
    config.web.fingerprintOptions.settings = { path: "/" } as never;
    await fc.assert(
      fc.asyncProperty(request, async (given) => {
        config.web.httpHeaders = given.httpHeaders as never;
        config.web.nosniff = given.nosniff;
        config.securityHeaders.enabled = given.isSecured;
        const answer =
          (isListed: boolean) =>
          ({ connection }: any) => {
            const { rawConnection } = connection;
            rawConnection.responseHttpCode = given.status;
            if (isListed) void rawConnection.responseHeaders;
            return { text: "\u00e4" };
          };
        const written: Written[] = [];
        for (const isListed of [false, true]) {
          onAction = answer(isListed);
          written.push(await bytesOf("/api/headers", given.head));
        }
        const withoutId = JSON.stringify(written).replace(
          /sessionID=[0-9a-f]{40}/g,
          "sessionID=x",
        );
        const [untouched, list] = JSON.parse(withoutId) as Written[];
        expect(untouched).toEqual(list);
      }),
      { numRuns: 100 },
    );
  });

  test("follow a setting that is changed in place", async () => {
    const values: unknown[] = [];
    try {
      for (const value of ["1", "2", undefined]) {
        config.web.httpHeaders["X-Changing"] = value!;
        const { headers } = await app.ask("/api/headers", { headers: KNOWN });
        values.push(headers["x-changing"]);
      }
    } finally {
      delete config.web.httpHeaders["X-Changing"];
    }
    expect(values).toEqual(["1", "2", undefined]);
  });
});

test("the methods of a response class that the project brings are written, too", async () => {
  const web = api.servers.servers.web as unknown as {
    handleRequest: (req: IncomingMessage, res: ServerResponse) => void;
  };
  onAction = ({ connection }) => {
    const { res, responseHeaders } = connection.rawConnection;
    res.setHeader("X-Powered-By", "me");
    res.setHeader("Set-Cookie", "a=1");
    responseHeaders.push(["Set-Cookie", "b=2"]);
  };
  const server = createServer((req, res) => web.handleRequest(req, res));
  server.listen(0);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  try {
    const { headers } = await ask(port, "/api/headers", { headers: KNOWN });
    expect(headers["x-powered-by"]).toBe("me");
    expect(headers["set-cookie"]).toEqual(["a=1", "b=2"]);
  } finally {
    server.close();
  }
});

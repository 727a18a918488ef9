/** What a new project does differently from a v29 project, as its clients see it. */
import { once } from "events";
import * as fs from "fs";
import * as net from "net";
import * as tls from "tls";
import { parseEnv } from "util";
import { ask } from "../../support/ask";
import { certificate } from "../../support/certificate";
import { freePort } from "../../support/freePort";
import {
  generatedProject,
  linkedProject,
  runProject,
  startProject,
  type StartedProject,
} from "../../support/generatedProject";
import { runCli } from "../../support/runCli";
import { buildConfigs } from "../../support/profiles";

const project = generatedProject();
const started: StartedProject[] = [];
afterAll(async () => {
  await Promise.all(started.map(({ service }) => service.stop()));
  project.remove();
});

async function start(env: Record<string, string | undefined> = {}) {
  const server = await startProject(project, env);
  started.push(server);
  return server;
}

const post = (body: object) => ({
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
});

describe("in development", () => {
  let port: number;
  beforeAll(async () => {
    ({ port } = await start());
  });

  describe("createChatRoom", () => {
    test("is reached by POST only", async () => {
      const path = "/api/createChatRoom";
      const { status, headers } = await ask(port, `${path}?name=linked`);
      expect([status, headers.allow]).toEqual([405, "POST, OPTIONS"]);
      const { json } = await ask(port, path, post({ name: "posted" }));
      expect(json).toMatchObject({ name: "posted", didCreate: true });
    });

    test("takes a name of at most 256 bytes", async () => {
      const create = (name: unknown) =>
        ask(port, "/api/createChatRoom", post({ name }));
      expect((await create("é".repeat(128))).json.didCreate).toBe(true);
      const { json } = await create("é".repeat(128) + "x");
      expect(json.error).toBe("name must have at most 256 bytes");
      const odd = await create({ x: 1 });
      expect([odd.status, odd.json.error]).toEqual([
        422,
        "name must be a text",
      ]);
    });

    test("runs 60 times an hour for one address", async () => {
      const statuses: number[] = [];
      while (statuses.length < 61) {
        const body = post({ name: "again" });
        statuses.push((await ask(port, "/api/createChatRoom", body)).status);
      }
      expect(statuses.at(-1)).toBe(429);
      expect(statuses[0]).toBe(200);
    });
  });
});

test("servers share a log file, and commands write to none", async () => {
  const logged = generatedProject();
  const lines = () =>
    fs
      .readFileSync(logged.path("log/development.log"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { id: string });
  try {
    await runCli(["task", "list"], { cwd: logged.root });
    expect(fs.existsSync(logged.path("log/development.log"))).toBe(false);
    for (const id of ["a", "b"]) {
      const { service } = await startProject(logged, { ACTIONHERO_TITLE: id });
      await service.stop();
    }
    expect(fs.readdirSync(logged.path("log"))).toEqual(["development.log"]);
    expect(new Set(lines().map(({ id }) => id))).toEqual(new Set(["a", "b"]));
  } finally {
    logged.remove();
  }
});

describe("a boot that fails says why in three lines", () => {
  /** The last three lines, without time and level, and whether there is a stack anywhere. */
  async function failure(
    files: Record<string, string>,
    env: Record<string, string> = {},
  ) {
    const failing = generatedProject();
    try {
      for (const [file, content] of Object.entries(files))
        failing.write(file, content);
      const service = runProject(failing, { PORT: "0", ...env });
      const [exitCode] = await service.exit;
      return {
        exitCode,
        reason: service.lines
          .filter((line) => / - error: /.test(line))
          .map((line) => line.replace(/^.* - error: /, "").trimEnd()),
        /** Everything that it printed. */
        output: service.lines.filter((line) => line !== ""),
        hasStack: service.lines.some((line) => /^\s+at /.test(line)),
      };
    } finally {
      failing.remove();
    }
  }

  test.each([
    ["PORT", "web", "PORT=8081"],
    ["SOCKET_PORT", "socket", "SOCKET_PORT=5001"],
  ])("when the port of %s is taken", async (variable, type, example) => {
    const taken = net.createServer().listen(0);
    await once(taken, "listening");
    const { port } = taken.address() as net.AddressInfo;
    const { exitCode, reason, hasStack } = await failure(
      {},
      {
        PORT: String(await freePort()),
        ENABLE_TCP_SERVER: "true",
        [variable]: String(port),
      },
    );
    taken.close();
    expect(reason).toEqual([
      expect.stringMatching(
        new RegExp(`^cannot start: [Cc]annot start ${type} server @ .*${port}`),
      ),
      `  in src/config/${type}.ts`,
      `  stop the program that has this port, or choose another one: ${example} npm start`,
    ]);
    expect([exitCode, hasStack]).toEqual([1, false]);
  });

  test("when a setting has a value that is not accepted", async () => {
    const { exitCode, reason, hasStack } = await failure(
      {
        "src/config/session.ts": `export const DEFAULT = { session: () => ({ enabled: true, ttl: 0 }) };`,
      },
      { PORT: String(await freePort()) },
    );
    expect(reason).toEqual([
      "cannot start: session.ttl is 0, and must be a number above 0 (src/config/session.ts)",
      "  in src/config/session.ts",
      "  correct this file; LOG_LEVEL=debug shows the stack",
    ]);
    expect([exitCode, hasStack]).toEqual([1, false]);
  });

  test("when production has no server token", async () => {
    const { exitCode, reason, hasStack } = await failure(
      { ".env": "" },
      {
        NODE_ENV: "production",
        ACTIONHERO_CONFIG_OVERRIDES: '{"logger":{"format":"text"}}',
      },
    );
    expect(reason).toEqual([
      "cannot start: general.serverToken is not set: set ACTIONHERO_SERVER_TOKEN to a secret that all nodes share",
      "  in src/config/api.ts",
      "  `openssl rand -hex 32` creates one; `.env` can hold it",
    ]);
    expect([exitCode, hasStack]).toEqual([1, false]);
  });

  test("when two files have an action of one name", async () => {
    const action = `import { defineAction } from "actionhero";
export const greet = defineAction({ name: "greet", description: "greets", run: () => ({}) });
`;
    const { exitCode, reason, hasStack } = await failure({
      "src/actions/greet.ts": action,
      "src/actions/hello.ts": action,
    });
    expect(reason).toEqual([
      "cannot start: the action `greet` exists twice, also in src/actions/greet.ts",
      "  in src/actions/hello.ts",
      "  correct this file; LOG_LEVEL=debug shows the stack",
    ]);
    expect([exitCode, hasStack]).toEqual([1, false]);
  });

  test("when an action is broken", async () => {
    const { exitCode, reason, hasStack } = await failure({
      "src/actions/broken.ts": `import { Action } from "actionhero";
export class Broken extends Action {
  constructor() {
    super();
    this.name = "broken";
    throw new Error("oops");
  }
  async run() {}
}
`,
    });
    expect(reason).toEqual([
      "cannot start: oops",
      expect.stringMatching(/^ {2}in src\/actions\/broken\.ts(:6:\d+)?$/),
      "  correct this file; LOG_LEVEL=debug shows the stack",
    ]);
    expect([exitCode, hasStack]).toEqual([1, false]);
  });

  test("when PORT is no port", async () => {
    const { reason } = await failure({}, { PORT: "abc" });
    expect(reason).toEqual([
      expect.stringMatching(/^cannot start: cannot start web server @ .*abc/),
      "  in the environment: PORT",
      "  a port is a number from 0 to 65535",
    ]);
  });

  test.each([
    [
      "exports something else",
      "export const five = 5;\n",
      "cannot start: its export `five` is no initializer, and such a file exports nothing else",
      /^ {2}in src\/initializers\/broken\.ts$/,
    ],
    [
      "throws",
      'throw new Error("boom");\n',
      "cannot start: boom",
      /^ {2}in src\/initializers\/broken\.ts:1:\d+$/,
    ],
    [
      "has a syntax error",
      "const a = 1;\nconst b = ;\n",
      'cannot start: Unexpected ";"',
      /^ {2}in src\/initializers\/broken\.ts:2:\d+$/,
    ],
  ])("when an initializer %s", async (_, content, headline, place) => {
    const { exitCode, reason, hasStack } = await failure({
      "src/initializers/broken.ts": content,
    });
    expect(reason).toEqual([
      headline,
      expect.stringMatching(place),
      "  correct this file; LOG_LEVEL=debug shows the stack",
    ]);
    expect([exitCode, hasStack]).toEqual([1, false]);
  });

  test.each([
    [
      "a file of the configuration has a syntax error",
      { "src/config/zz.ts": "export const a = 1;\nexport const b = ;\n" },
      {},
      [
        'cannot start: Unexpected ";"',
        expect.stringMatching(/^ {2}in src\/config\/zz\.ts:2:\d+$/),
        "  correct this file; LOG_LEVEL=debug shows the stack",
      ],
    ],
    [
      "a variable of the environment is wrong",
      {},
      { REDIS_URL: "nonsense" },
      [
        "cannot start: REDIS_URL must be a URL that begins with redis:// or rediss://, such as redis://localhost:6379/0",
        "  in the environment: REDIS_URL",
        "  correct REDIS_URL; LOG_LEVEL=debug shows the stack",
      ],
    ],
    [
      "a variable in .env is wrong",
      { ".env": "# mine\nACTIONHERO_CONFIG_OVERRIDES={bad\n" },
      {},
      [
        expect.stringMatching(
          /^cannot start: could not parse ACTIONHERO_CONFIG_OVERRIDES: SyntaxError/,
        ),
        "  in .env:2",
        "  correct ACTIONHERO_CONFIG_OVERRIDES; LOG_LEVEL=debug shows the stack",
      ],
    ],
    [
      "the folder of the configuration is missing",
      {},
      { ACTIONHERO_CONFIG: "/nope" },
      [
        "cannot start: the config directory /nope does not exist (named by ACTIONHERO_CONFIG)",
        "  in the environment: ACTIONHERO_CONFIG",
        "  correct ACTIONHERO_CONFIG; LOG_LEVEL=debug shows the stack",
      ],
    ],
  ])("when %s", async (_, files, env, lines) => {
    const { exitCode, output } = await failure(files, env);
    expect(output).toEqual(lines);
    expect(exitCode).toBe(1);
  });

  test("when an empty variable of the environment hides the one in .env", async () => {
    const { output } = await failure(
      { ".env": "ACTIONHERO_SERVER_TOKEN=mine\n" },
      { ACTIONHERO_SERVER_TOKEN: "", NODE_ENV: "production" },
    );
    expect(
      output
        .slice(-2)
        .map((line) => (JSON.parse(line) as { message: string }).message),
    ).toEqual([
      "  in the environment: ACTIONHERO_SERVER_TOKEN, which takes precedence over .env:1",
      "  correct ACTIONHERO_SERVER_TOKEN; LOG_LEVEL=debug shows the stack",
    ]);
  });

  test("a command fails in the same way", async () => {
    const failing = generatedProject();
    try {
      failing.write("src/initializers/broken.ts", "export const five = 5;\n");
      const options = { cwd: failing.root };
      const command = await runCli(["task", "list"], options);
      expect(command.stderr.trim().split("\n")).toEqual([
        expect.stringMatching(/^cannot start: its export `five`/),
        "  in src/initializers/broken.ts",
        "  correct this file; LOG_LEVEL=debug shows the stack",
      ]);
      expect(command.exitCode).toBe(1);
    } finally {
      failing.remove();
    }
  });

  test("when there is no redis", async () => {
    const { exitCode, reason, output, hasStack } = await failure(
      {},
      { REDIS_URL: `redis://127.0.0.1:${await freePort()}` },
    );
    expect(hasStack).toBe(false);
    expect(output.join("\n")).not.toContain("Unable to connect to Redis");
    expect(reason).toEqual([
      expect.stringMatching(/^cannot start: cannot reach redis .*ECONNREFUSED/),
      "  in src/config/redis.ts",
      "  start the redis server, or correct REDIS_URL, or REDIS_HOST and REDIS_PORT; without them a redis inside the process is used",
    ]);
    expect(exitCode).toBe(1);
  });

  test.each([
    [{}, /: self-signed certificate$/, /NODE_EXTRA_CA_CERTS/],
    [{ trusted: true }, /: no reply |closed|ECONNRESET/i, /^ {2}start the/],
  ])(
    "when redis has a certificate of a private authority (%j)",
    async ({ trusted }: { trusted?: boolean }, headline, remedy) => {
      const refusing = tls.createServer(certificate, (socket) =>
        socket.destroy(),
      );
      refusing.on("tlsClientError", () => undefined);
      await once(refusing.listen(0), "listening");
      const { port } = refusing.address() as net.AddressInfo;
      const files = { "ca.pem": certificate.cert };
      const { exitCode, reason } = await failure(files, {
        REDIS_URL: `rediss://localhost:${port}`,
        ...(trusted ? { NODE_EXTRA_CA_CERTS: "ca.pem" } : {}),
      });
      refusing.close();
      expect(reason).toEqual([
        expect.stringMatching(headline),
        "  in src/config/redis.ts",
        expect.stringMatching(remedy),
      ]);
      expect(exitCode).toBe(1);
    },
    30_000,
  );

  test("the stack is shown with LOG_LEVEL=debug", async () => {
    const { hasStack } = await failure(
      { "src/actions/broken.ts": 'throw new Error("oops");\n' },
      { LOG_LEVEL: "debug" },
    );
    expect(hasStack).toBe(true);
  });
});

describe("in production", () => {
  let port: number;
  beforeAll(async () => {
    ({ port } = await start({ NODE_ENV: "production" })); // with the token in .env
  });

  test("status says only that the server is healthy", async () => {
    const { status, json } = await ask(port, "/api/status");
    expect([status, json]).toEqual([200, { status: "healthy" }]);
  });

  test("swagger is not found", async () => {
    const { status } = await ask(port, "/api/swagger");
    expect(status).toBe(404);
  });

  describe("the headers of responses", () => {
    const SITE = "https://shop.example";
    const own = {
      "content-security-policy":
        "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'",
      "cross-origin-opener-policy": "same-origin",
      "cross-origin-resource-policy": "same-origin",
      "referrer-policy": "strict-origin-when-cross-origin",
      "x-content-type-options": "nosniff",
      "x-request-id": expect.any(String),
      vary: "Origin",
    };
    const old = {
      "access-control-allow-headers": "Content-Type",
      "access-control-allow-methods":
        "HEAD, GET, POST, PUT, PATCH, DELETE, OPTIONS, TRACE",
      "access-control-allow-origin": "*",
      "strict-transport-security": "max-age=31536000; includeSubDomains",
    };
    const [bare, flags] = [
      expect.not.stringContaining("HttpOnly"),
      expect.stringMatching(/HttpOnly;SameSite=Lax;$/),
    ];
    const json = {
      "content-type": "application/json; charset=utf-8",
      "cache-control": "private",
    };
    const v29Json = { ...old, ...json, "set-cookie": [bare] };
    const file = {
      "accept-ranges": "bytes",
      etag: expect.any(String),
    };

    /** The same in both: of the connection, and how long the body is. */
    const OTHERS = [
      "connection",
      "content-length",
      "date",
      "keep-alive",
      "last-modified",
      "x-powered-by",
    ];
    const requests = {
      "an action": { path: "/api/status" },
      "a missing action": { path: "/api/nothing" },
      "a file": { path: "/public/index.html" },
      "a preflight request": {
        path: "/api/status",
        method: "OPTIONS",
        headers: { "access-control-request-method": "PUT" },
      },
    };
    const expected = {
      "version 29": {
        "an action": v29Json,
        "a missing action": v29Json,
        "a file": {
          ...old,
          ...file,
          "content-type": "text/html",
          "cache-control": "max-age=60, must-revalidate, private",
          "set-cookie": [bare],
        },
        "a preflight request": v29Json,
      },
      "a new project": {
        "an action": { ...own, ...json, "set-cookie": [flags] },
        "a missing action": { ...own, ...json, "set-cookie": [flags] },
        "a file": {
          ...own,
          ...file,
          "content-type": "text/html; charset=utf-8",
          "cache-control": "max-age=60, must-revalidate, public",
        },
        "a preflight request": {
          ...own,
          "content-type": "application/json; charset=utf-8",
        },
      },
    };
    const oldProject = linkedProject({
      "src/config/.keep": "",
      "src/server.ts": fs.readFileSync(project.path("src/server.ts"), "utf8"),
      "public/index.html": "<p>old</p>",
    });
    let oldPort: number;
    beforeAll(async () => {
      const old = await startProject(oldProject, {
        NODE_ENV: "production",
        ACTIONHERO_SERVER_TOKEN: "of this test",
      });
      started.push(old);
      oldPort = old.port;
    });
    afterAll(() => oldProject.remove());

    const cases = Object.entries(expected).flatMap(([profile, table]) =>
      Object.entries(table).map(
        ([name, headers]) => [name, profile, headers] as const,
      ),
    );
    test.each(cases)(
      "headers of responses to %s are those of %s",
      async (name, profile, wanted) => {
        const { path, ...options } = requests[name as keyof typeof requests];
        const { headers } = await ask(
          profile === "version 29" ? oldPort : port,
          path,
          {
            ...options,
            headers: { ...(options as any).headers, origin: SITE },
          },
        );
        for (const other of OTHERS) delete headers[other];
        expect(headers).toEqual(wanted);
      },
    );
  });

  test("a new project does not start without a token", async () => {
    const service = runProject(project, {
      PORT: "0",
      NODE_ENV: "production",
      ACTIONHERO_SERVER_TOKEN: "change-me", // goes before the one in .env
    });
    const [exitCode] = await service.exit;
    expect(exitCode).toBe(1);
    expect(service.lines.join("\n")).toContain(
      "general.serverToken is change-me, which everyone knows: set ACTIONHERO_SERVER_TOKEN to a secret that all nodes share",
    );
  });
});

describe("general.serverToken", () => {
  const tokens = (environment: "development" | "test" | "production") =>
    buildConfigs(project.root, environment).map((config) =>
      config.get("general.serverToken"),
    );

  test.each(["development", "test"] as const)(
    "is random for each process in %s, and shared by those that share redis",
    (environment) => {
      const [embedded, onRedis] = tokens(environment);
      expect(embedded).toMatch(/^[0-9a-f]{64}$/);
      expect(onRedis).toMatch(/^(change-me|serverToken-\d+)$/);
      const [next, nextOnRedis] = tokens(environment);
      expect(next).not.toBe(embedded);
      expect(nextOnRedis).toBe(onRedis);
    },
  );

  test("is empty in production without the variable", () => {
    expect(tokens("production")).toEqual(["", ""]);
  });

  test("of .env.example is none, so that a copy does not hide that it is missing", () => {
    const example = fs.readFileSync(project.path(".env.example"), "utf8");
    expect(example).toMatch(/^# ACTIONHERO_SERVER_TOKEN=$/m);
    expect(parseEnv(example)).not.toHaveProperty("ACTIONHERO_SERVER_TOKEN");
  });
});

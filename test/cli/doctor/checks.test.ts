import * as fs from "fs";
import * as net from "net";
import * as path from "path";
import { once } from "events";
import type { Finding } from "../../../src/cli/doctor/check";
import {
  checkBuild,
  checkCode,
  checkFolders,
  checkNode,
} from "../../../src/cli/doctor/environment";
import {
  checkPort,
  checks,
  type ListenSettings,
  checkBoot,
} from "../../../src/cli/doctor/checks";
import { checkRoutes } from "../../../src/cli/doctor/booted";
import { checkRedis } from "../../../src/cli/doctor/redis";
import { checkSettings } from "../../../src/cli/doctor/settings";
import { TemporaryProject } from "../../support/temporaryProject";

let project: TemporaryProject;
beforeEach(() => (project = new TemporaryProject()));
afterEach(() => project.remove());

describe("node", () => {
  test("must meet the requirement of the framework", () => {
    expect(checkNode(project.root, "20.19.0").verdict).toBe("ok");
    expect(checkNode(project.root, "18.0.0")).toMatchObject({
      verdict: "fail",
      message: expect.stringContaining("actionhero asks for"),
    });
  });

  test.each([
    ["20.1.0", "18 - 22", "ok"],
    ["0.9.0", "^0.2.3", "fail"],
    ["20.19.0", "^20.19 || >=22.12", "ok"],
    ["21.7.0", "^20.19 || >=22.12", "fail"],
    ["20.1.2", "latest", "fail"],
  ])("%s for a project that asks for %s: %s", (version, node, verdict) => {
    project.write("package.json", JSON.stringify({ engines: { node } }));
    expect(checkNode(project.root, version, project.root).verdict).toBe(
      verdict,
    );
  });

  test("must meet the requirement of the project", () => {
    const content = { name: "mine", engines: { node: ">=99" } };
    project.write("package.json", JSON.stringify(content));
    expect(checkNode(project.root)).toMatchObject({
      verdict: "fail",
      message: expect.stringContaining("mine asks for"),
    });
  });
});

describe("build", () => {
  test("is missing", () => {
    project.write("src/a.ts", "");
    expect(checkBuild(project.root).verdict).toBe("fail");
  });

  test("is older than a source", () => {
    const source = project.write("src/deep/a.ts", "");
    const made = project.write("dist/deep/a.js", "");
    expect(checkBuild(project.root).verdict).toBe("ok");
    fs.utimesSync(made, 1, 1);
    expect(checkBuild(project.root).message).toContain("src/deep/a.ts");
    fs.utimesSync(source, 0, 0);
    expect(checkBuild(project.root).verdict).toBe("ok");
  });

  test("is not needed without sources", () => {
    expect(checkBuild(project.root).verdict).toBe("ok");
  });
});

test("folders that cannot be made are named", () => {
  const file = project.write("file", "");
  expect(checkFolders([project.path("log"), project.root]).verdict).toBe("ok");
  expect(checkFolders([file]).message).toContain(file);
  expect(checkFolders([project.path("a/b")]).verdict).toBe("fail");
});

describe("folders", () => {
  /** A folder below a file can neither be made nor be written. */
  const below = () => project.path("file/folder");
  const run = (config: object) => {
    project.write("file", "");
    const check = checks.find(({ name }) => name === "folders")!;
    return check.run({ config } as never) as Finding[];
  };
  const websocket = {
    enabled: true,
    clientJsPath: "javascript/",
    clientJsName: "client",
  };

  test("the folder of uploads must be writable if the web server runs", () => {
    const formOptions = { uploadDir: below() };
    expect(run({ web: { enabled: true, formOptions } })).toMatchObject([
      { verdict: "fail", message: `${below()} cannot be written` },
    ]);
    const disabled = run({ web: { enabled: false, formOptions } });
    expect(disabled).toMatchObject([{ verdict: "ok" }]);
    // the temporary folder of the system
    expect(run({ web: { enabled: true } })).toMatchObject([{ verdict: "ok" }]);
  });

  test("a websocket client that cannot be written is a warning", () => {
    const general = { paths: { public: [below()] } };
    const [ok, warning] = run({ general, websocket });
    expect(ok.verdict).toBe("ok");
    expect(warning.verdict).toBe("warn");
    expect(warning.message).toContain("javascript/client.js");
    const disabled = { ...websocket, enabled: false };
    expect(run({ general, websocket: disabled })).toHaveLength(1);
    const unnamed = { ...websocket, clientJsName: undefined };
    expect(run({ general, websocket: unnamed })).toHaveLength(1);
    const writable = { paths: { public: [project.root] } };
    expect(run({ general: writable, websocket })).toHaveLength(1);
  });
});

describe("settings", () => {
  const safe = {
    general: { serverToken: "mine", overload: { maxHeapUsed: 0.9 } },
    tasks: { maxTaskProcessors: 1 },
  };

  const verdicts = (findings: Finding[]) =>
    findings.map(({ verdict }) => verdict);

  test("the default token is refused in production only", () => {
    const config = {
      ...safe,
      general: { ...safe.general, serverToken: "change-me" },
    };
    expect(checkSettings(config, "development")[0].verdict).toBe("ok");
    expect(checkSettings(config, "production")[0].verdict).toBe("fail");
    expect(verdicts(checkSettings(safe, "production"))).toEqual(["ok", "ok"]);
  });

  test("https needs a certificate", () => {
    const web = { secure: true, serverOptions: { key: "a" } };
    expect(checkSettings({ ...safe, web }, "test")[1].verdict).toBe("fail");
    const whole = { secure: true, serverOptions: { key: "a", cert: "b" } };
    expect(checkSettings({ ...safe, web: whole }, "test")[1].verdict).toBe(
      "ok",
    );
  });

  test.each([
    ["web", { web: { secure: true, serverOptions: {} } }],
    ["web.https", { web: { https: { enabled: true } } }],
    ["socket", { socket: { secure: true, serverOptions: { key: "a" } } }],
  ])("a listener of %s without a certificate is a fault", (name, settings) => {
    expect(checkSettings({ ...safe, ...settings }, "test")[1]).toMatchObject({
      verdict: "fail",
      check: "certificate",
      message: `${name} speaks TLS, and has no key and cert`,
    });
  });

  test.each([
    { web: { https: { enabled: true, keyFile: "k", certFile: "c" } } },
    { web: { https: { enabled: true, serverOptions: { pfx: "p" } } } },
    { socket: { secure: true, serverOptions: { keyFile: "k", cert: "c" } } },
  ])("%j has a certificate", (settings) => {
    expect(checkSettings({ ...safe, ...settings }, "test")[1]).toMatchObject({
      verdict: "ok",
      check: "certificate",
    });
  });

  test("an empty token is refused as the default is", () => {
    const config = { ...safe, general: { ...safe.general, serverToken: "" } };
    expect(checkSettings(config, "production")[0].verdict).toBe("fail");
  });

  test("the cookies of sessions and of fingerprints must have different names", () => {
    const web = { fingerprintOptions: { cookieKey: "session" } };
    const session = { enabled: true, cookie: "session" };
    expect(checkSettings({ ...safe, web, session }, "test")[1]).toMatchObject({
      verdict: "fail",
      check: "session cookie",
    });
    for (const other of [
      { ...session, cookie: "other" },
      { ...session, enabled: false },
    ])
      expect(
        checkSettings({ ...safe, web, session: other }, "test"),
      ).toHaveLength(1);
  });

  test("a stop that takes longer than the process has is worth a look", () => {
    const withTimeout = (shutdownTimeout: number) => ({
      ...safe,
      general: { ...safe.general, shutdownTimeout },
    });
    const short = checkSettings(withTimeout(10_000), "production");
    expect(verdicts(short)).toEqual(["ok", "ok"]);
    const [, finding] = checkSettings(withTimeout(30_000), "production");
    expect(finding).toMatchObject({ verdict: "warn", check: "shutdown" });
  });

  test("a stop timeout that is not a number is refused", () => {
    process.env.ACTIONHERO_SHUTDOWN_TIMEOUT = "30s";
    const [, finding] = checkSettings(safe, "production");
    delete process.env.ACTIONHERO_SHUTDOWN_TIMEOUT;
    expect(finding).toMatchObject({
      verdict: "fail",
      message: 'ACTIONHERO_SHUTDOWN_TIMEOUT must be a number of ms, not "30s"',
    });
  });

  test("production without workers is worth a look", () => {
    const config = { ...safe, tasks: { maxTaskProcessors: 0 } };
    expect(checkSettings(config, "production")[1].verdict).toBe("warn");
  });
});

describe("code", () => {
  const action = (name: string, version: string | number = 1) =>
    `exports.A = class { name = ${JSON.stringify(name)}; version = ${JSON.stringify(version)}; validate() {} };`;

  test("the same action in two files is found, two versions are fine", () => {
    const files = [
      project.write("a.js", action("one")),
      project.write("b.js", action("one", 2)),
    ];
    expect(checkCode("actions", files, project.root)).toEqual([
      {
        verdict: "ok",
        check: "actions",
        message: expect.stringMatching(/^2 /),
      },
    ]);
    files.push(project.write("c.js", action("one")));
    expect(checkCode("actions", files, project.root)).toEqual([
      {
        verdict: "fail",
        check: "actions",
        message: "one v1 is in both a.js and c.js",
      },
    ]);
  });

  test("versions may be texts", () => {
    const files = ["2026-01-01", "2026-06-01"].map((version) =>
      project.write(`${version}.js`, action("dated", version)),
    );
    expect(checkCode("actions", files, project.root)).toMatchObject([
      { verdict: "ok" },
    ]);
    expect(checkCode("actions", [...files, files[0]], project.root)).toEqual([
      expect.objectContaining({
        message: expect.stringMatching(/^dated v2026-01-01 is in both/),
      }),
    ]);
  });

  test("a file may add middleware while it loads", () => {
    const index = JSON.stringify(path.resolve(__dirname, "../../../src/index"));
    const kinds = ["action", "task", "chatRoom", "api.connections"];
    const added = kinds.map(
      (kind) => `require(${index}).${kind}.addMiddleware({ name: "any" });`,
    );
    const file = project.write("m.js", added.join("\n") + action("one"));
    expect(checkCode("actions", [file], project.root)).toMatchObject([
      { verdict: "ok", message: "1 load, each with its own name" },
    ]);
  });

  test("a file that does not load is named", () => {
    const files = [
      project.write("x.js", "throw new Error('broken')"),
      project.write("y.js", "exports.T = class { validate() {} }"),
      project.write("z.js", "exports.helper = () => 1"),
    ];
    const messages = checkCode("tasks", files, project.root).map(
      ({ message }) => message,
    );
    expect(messages).toEqual([
      "x.js: broken",
      "y.js: it has no name",
      "z.js: its export `helper` is no task, and such a file exports nothing else",
    ]);
  });
});

describe("ports", () => {
  const inEnv = (env: string) => ({ env, isRunning: false });

  test("a taken port is found", async () => {
    const taken = net.createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as net.AddressInfo;
    const settings = { enabled: true, port, bindIP: "127.0.0.1" };
    expect(await checkPort("web", settings, inEnv("production"))).toMatchObject(
      {
        verdict: "fail",
        message: `${port} is taken by another process`,
      },
    );
    taken.close();
    await once(taken, "close");
    expect(
      (await checkPort("web", settings, inEnv("production")))?.verdict,
    ).toBe("ok");
  });

  test("is a warning if the boot continues without the server", async () => {
    const taken = net.createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as net.AddressInfo;
    const socket = (enabled: boolean | undefined, env = "development") =>
      checkPort("socket", { enabled, port, bindIP: "127.0.0.1" }, inEnv(env));
    expect((await socket(undefined))?.verdict).toBe("warn");
    expect((await socket(true))?.verdict).toBe("fail");
    expect(await socket(false)).toBeUndefined();
    expect(await socket(undefined, "production")).toBeUndefined();
    taken.close();
    await once(taken, "close");
    expect((await socket(undefined))?.verdict).toBe("ok");
  });

  test("servers that do not listen on a port are skipped", async () => {
    const check = (settings?: ListenSettings) =>
      checkPort("web", settings, inEnv("development"));
    expect(await check({ enabled: false, port: 1 })).toBeUndefined();
    expect(await check({ enabled: true, port: "/tmp/x.sock" })).toBeUndefined();
    expect(await check(undefined)).toBeUndefined();
  });
});

describe("redis", () => {
  /** A client that answers what the test says. */
  function redisThat(info: string | Error, save: string | Error = "3600 1") {
    class Client {
      on() {}
      disconnect() {}
      async info() {
        if (info instanceof Error) throw info;
        return info.replaceAll("\n", "\r\n");
      }
      async config() {
        if (save instanceof Error) throw save;
        return ["save", save];
      }
    }
    return { client: { konstructor: Client, args: [], buildNew: true } };
  }
  const verdicts = async (...redis: Parameters<typeof redisThat>) =>
    (await checkRedis(redisThat(...redis), "production")).map(
      ({ verdict }) => verdict,
    );

  test("answers, is new enough and persists", async () => {
    const info = "redis_version:7.2.1\naof_enabled:0";
    expect(await verdicts(info)).toEqual(["ok", "ok"]);
    expect(await verdicts(info, "")).toEqual(["ok", "warn"]);
    expect(await verdicts(info, new Error("NOPERM"))).toEqual(["ok", "ok"]);
    const aof = "redis_version:7.2.1\naof_enabled:1";
    expect(await verdicts(aof, "")).toEqual(["ok", "ok"]);
  });

  test.each(["2.8.0", "6.0.5", "unknown"])(
    "version %s is too old",
    async (version) => {
      const info = `redis_version:${version}\naof_enabled:1`;
      expect(await verdicts(info)).toEqual(["fail", "ok"]);
    },
  );

  test.each(["6.0.6", "7.4.2-v1", "10.0"])(
    "version %s is new enough",
    async (version) => {
      const info = `redis_version:${version}\naof_enabled:1`;
      expect(await verdicts(info)).toEqual(["ok", "ok"]);
    },
  );

  test("has the time of this host, or the finding says how far it is off", async () => {
    const checkClock = async (offMs: number) => {
      const redis = redisThat("redis_version:7.2.1\naof_enabled:1");
      const { konstructor } = redis.client as any;
      konstructor.prototype.time = async () => {
        const ms = Date.now() + offMs;
        return [String(Math.floor(ms / 1000)), String((ms % 1000) * 1000)];
      };
      const findings = await checkRedis(redis, "production");
      return findings.find(({ check }) => check === "redis clock");
    };
    expect(await checkClock(0)).toMatchObject({ verdict: "ok" });
    expect(await checkClock(3_600_000)).toMatchObject({
      verdict: "warn",
      message: expect.stringMatching(
        /^that of this host is (3599|3600)\d\d\d ms behind it/,
      ),
    });
    expect((await checkClock(-3_600_000))!.message).toContain("ms ahead of it");
  });

  test("notices hosts that vanish, unless tcp-keepalive is off", async () => {
    const checkKeepAlive = async (seconds: string) => {
      const redis = redisThat("redis_version:7.2.1\naof_enabled:1");
      const { konstructor } = redis.client as any;
      konstructor.prototype.config = async (_get: string, name: string) => [
        name,
        name === "tcp-keepalive" ? seconds : "3600 1",
      ];
      const findings = await checkRedis(redis, "production");
      return findings.find(({ check }) => check === "redis tcp-keepalive");
    };
    expect(await checkKeepAlive("300")).toMatchObject({
      verdict: "ok",
      message: "300 s",
    });
    expect(await checkKeepAlive("0")).toMatchObject({ verdict: "warn" });
  });

  test("may throw away tasks when its memory is full", async () => {
    const info =
      "redis_version:7.2.1\naof_enabled:1\nmaxmemory:100\nmaxmemory_policy:allkeys-lru";
    expect(await verdicts(info)).toEqual(["ok", "ok", "warn"]);
  });

  test("cannot be reached", async () => {
    const redis = redisThat(new Error("connect ECONNREFUSED"));
    expect(await checkRedis(redis, "production")).toEqual([
      {
        verdict: "fail",
        check: "redis",
        message: "cannot be reached: connect ECONNREFUSED",
      },
    ]);
    expect((await checkRedis(undefined, "test"))[0].verdict).toBe("fail");
  });

  test.each([
    ["self-signed certificate in certificate chain", true],
    ["unable to verify the first certificate", true],
    [
      "All sentinels are unreachable. Last error: certificate has expired",
      true,
    ],
    ["tlsv13 alert certificate required", false],
  ])("with the reason `%s`", async (reason, isOurs) => {
    const redis = redisThat(new Error(reason));
    const [{ message }] = await checkRedis(redis, "production");
    expect(message).toContain(`cannot be reached: ${reason}`);
    expect(message.includes("NODE_EXTRA_CA_CERTS")).toBe(isOurs);
  });

  test("inside the process is for development", async () => {
    class RedisMock {
      on() {}
      disconnect() {}
    }
    const redis = { client: { konstructor: RedisMock, args: [] } };
    expect((await checkRedis(redis, "development"))[0].verdict).toBe("ok");
    expect((await checkRedis(redis, "production"))[0].verdict).toBe("warn");
  });
});

describe("routes", () => {
  const route = (path: string, action = "one", more = {}) => ({
    path,
    action,
    ...more,
  });
  const actions = new Map([
    ["one", new Set(["id", "user.name", "a-b"])],
    ["two", new Set<string>()],
  ]);
  const verdicts = (...routes: ReturnType<typeof route>[]) =>
    checkRoutes({ get: routes }, actions).map(({ message }) => message);

  test.each([
    ["/users/:id", "/users/me"],
    ["/users/:id", "/users/:name"],
    ["/users/:id", "/users/:id"],
    ["/:a/:b", "/x/y"],
    ["/Users", "/users"],
    ["/v:apiVersion/x", "/v1/x"],
    ["/n/:id(^\\d+$)", "/n/12"],
    ["/n/:id(^\\d+$)", "/n/:other(^\\d+$)"],
  ])("%s covers %s", (earlier, later) => {
    expect(verdicts(route(earlier), route(later, "two"))).toEqual([
      `GET ${later} is never reached: GET ${earlier} (one) comes first`,
    ]);
  });

  test.each([
    ["/users/me", "/users/:id"],
    ["/users", "/users/:id"],
    ["/users/:id", "/users"],
    ["/n/:id(^\\d+$)", "/n/:id"],
    ["/n/:id(^\\d+$)", "/n/abc"],
    ["/v:apiVersion/x", "/:any/x"],
  ])("%s leaves %s to be reached", (earlier, later) => {
    expect(verdicts(route(earlier), route(later, "two"))).toEqual([
      "2 can be reached",
    ]);
  });

  test("a route with trailing parts covers longer ones", () => {
    const rest = { matchTrailingPathParts: true };
    expect(
      verdicts(route("/docs/:page", "one", rest), route("/docs/a/b", "two")),
    ).toHaveLength(1);
    expect(
      verdicts(route("/docs/:page"), route("/docs/:page", "two", rest)),
    ).toEqual(["2 can be reached"]);
  });

  test.each([
    "/two/:lat-:lng",
    "/:file.json",
    "/user/:",
    "/n/:id(^a",
    "/:id-details",
  ])("the name of the variable of %s is reported", (path) => {
    const variable = path.slice(path.indexOf(":") + 1);
    expect(verdicts(route(path))).toEqual([
      `GET ${path}: its variable is named "${variable}": all text after the first colon of a part is the name`,
    ]);
  });

  test.each(["/:user.name", "/:a-b", "/v:other-id", "/:नाम", "/:id(^[a:.]$)"])(
    "the name of the variable of %s is one that an action can read",
    (path) => {
      expect(verdicts(route(path))).toEqual(["1 can be reached"]);
    },
  );

  test("routes of several methods are reported once; folders need no action", () => {
    const files = { path: "/assets", dir: "assets", action: "" };
    const findings = checkRoutes(
      { all: [route("/x", "tow")], get: [route("/x", "tow"), files] },
      actions,
    );
    expect(findings.map(({ message }) => message)).toEqual([
      'ALL /x: there is no action "tow" (did you mean "two"?)',
    ]);
  });
});

test("a project that does not initialize in time is stopped", async () => {
  const [finding] = await checkBoot(1);
  expect(finding).toMatchObject({ verdict: "fail", check: "boot" });
  expect(finding.message).toContain("did not initialize within 0.001 s");
});

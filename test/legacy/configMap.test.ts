/** What a `config.js` of version 3 becomes. */
import * as path from "node:path";
import {
  readConfigData,
  type ConfigData,
  mapConfigData,
} from "../../src/legacy/configMap";
import { TemporaryProject } from "../support/temporaryProject";

const ROOT = path.resolve("/srv/old");
const map = (data: ConfigData): any => mapConfigData(data, ROOT);

test("an empty configuration of version 3 changes nothing", () => {
  for (const settings of Object.values(map({}))) expect(settings).toEqual({});
});

test("sections that are null are not given", () => {
  const data = JSON.parse(
    '{"general":null,"log":null,"redis":null,"commonWeb":null,"httpServer":null,"httpsServer":null,"tcpServer":null,"webSockets":null,"mine":null}',
  );
  expect(map(data)).toEqual(map({}));
  expect(data.general).toBeNull();
});

test("general settings are translated", () => {
  const { general, tasks } = map({
    general: {
      apiVersion: "1.0",
      serverName: "old",
      flatFileDirectory: "./files/",
      flatFileNotFoundMessage: "no file",
      workers: 3,
      developmentMode: true,
      maxLogFileSize: 5,
      apiBaseDir: "./node_modules/actionHero/",
      ofMyOwn: 1,
    },
  });
  expect(general).toEqual({
    apiVersion: "1.0",
    serverName: "old",
    developmentMode: true,
    maxLogFileSize: 5,
    ofMyOwn: 1,
    paths: { public: [path.join(ROOT, "files")] },
  });
  expect(tasks).toEqual({ minTaskProcessors: 3, maxTaskProcessors: 3 });
});

describe("web", () => {
  const files = { keyFile: "./certs/key.pem", certFile: "/etc/cert.pem" };
  const resolved = {
    keyFile: path.join(ROOT, "certs/key.pem"),
    certFile: path.resolve("/etc/cert.pem"),
  };

  test("an HTTP server is translated", () => {
    expect(
      map({
        commonWeb: { urlPathForActions: "a", rootEndpointType: "public" },
        httpServer: { enable: true, port: 80, bindIP: "0.0.0.0" },
        httpsServer: { enable: false, ...files },
      }).web,
    ).toEqual({
      urlPathForActions: "a",
      rootEndpointType: "file",
      enabled: true,
      port: 80,
      bindIP: "0.0.0.0",
    });
  });

  test("HTTP and HTTPS servers are translated", () => {
    const { web } = map({
      httpServer: { enable: true, port: 80 },
      httpsServer: { enable: true, port: 443, ...files },
    });
    expect(web).toEqual({
      enabled: true,
      port: 80,
      https: { enabled: true, port: 443, ...resolved },
    });
  });

  test("HTTPS alone, on the port of version 3", () => {
    const { web } = map({
      httpServer: { enable: false, port: 80 },
      httpsServer: { enable: true, ...files },
    });
    expect(web).toEqual({
      enabled: true,
      secure: true,
      port: 4443,
      serverOptions: resolved,
    });
  });

  test("neither: then there are no websockets either", () => {
    const { web, websocket } = map({
      httpServer: { enable: false },
      webSockets: { enable: true },
    });
    expect(web.enabled).toBe(false);
    expect(websocket.enabled).toBe(false);
  });

  test("the websocket server is translated", () => {
    const webSockets = { enable: true, bind: "https" as const, logLevel: 1 };
    expect(map({ webSockets }).websocket).toEqual({
      enabled: true,
      bind: "https",
    });
  });
});

test("the TCP server is translated", () => {
  const tcpServer = { enable: true, port: 5001, bindIP: "127.0.0.1" };
  expect(map({ tcpServer }).socket).toEqual({
    enabled: true,
    port: 5001,
    bindIP: "127.0.0.1",
  });
});

describe("redis", () => {
  test("the address of a redis server is translated", () => {
    const { client, subscriber, tasks } = map({
      redis: {
        enable: true,
        host: "redis.local",
        password: null,
        DB: 2,
        options: { family: 4 },
      },
    }).redis;
    expect(client).toMatchObject({
      buildNew: true,
      args: [
        { host: "redis.local", port: 6379, password: null, db: 2, family: 4 },
      ],
    });
    expect(client.args[0].retryStrategy(3)).toBe(150);
    expect([subscriber, tasks]).toEqual([client, client]);
    const connection = client.konstructor({ lazyConnect: true });
    expect(connection.status).toBe("wait");
  });

  test("none: in the process", () => {
    const { client } = map({ redis: { enable: false, host: "x" } }).redis;
    const connection = client.konstructor(...client.args);
    expect(connection.constructor.name).toMatch(/RedisMock$/);
    connection.disconnect();
  });

  test("settings of today stay", () => {
    expect(map({ redis: { scanCount: 5 } }).redis).toEqual({ scanCount: 5 });
  });
});

test("settings of the log are translated", () => {
  expect(map({ log: { logging: false, logFolder: "x" } }).logger).toEqual({
    loggers: [],
  });
  expect(map({ log: { logging: true } }).logger.loggers).toHaveLength(1);
  const both = map({ log: { logFolder: "./logs", logFile: "a.log" } });
  expect(both.general.paths.log).toEqual([path.join(ROOT, "logs")]);
  const FileTransport = jest.fn();
  const [, file] = both.logger.loggers;
  file({}, { jsonFormat: () => ({}), FileTransport });
  expect(FileTransport).toHaveBeenCalledWith({
    filename: path.join(ROOT, "logs", "a.log"),
  });
});

test("sections of today, and of the project", () => {
  const compute = () => 1;
  const mapped = map({
    tcpServer: { enable: true },
    socket: { idleTimeout: 5, verbs: [] },
    mine: { compute, deep: { a: 1 } },
    plain: { a: 1 },
    no: "section",
    errors: { unknownAction: compute },
  });
  expect(mapped.socket).toEqual({ enabled: true, idleTimeout: 5, verbs: [] });
  expect(mapped.mine).toEqual({ compute, deep: { a: 1 }, _toExpand: false });
  expect(mapped.plain).toEqual({ a: 1 });
  expect(mapped.errors).toEqual({ unknownAction: compute });
  expect(mapped).not.toHaveProperty("no");
});

describe("words for files that are not there", () => {
  const project = new TemporaryProject({ "public/folder/a.txt": "a" });
  afterAll(() => project.remove());

  const wordsFor = (general: object, file: unknown) =>
    (
      mapConfigData({ general } as never, project.root).errors as any
    ).fileNotFound({ params: { file } });
  const both = {
    flatFileNotFoundMessage: "no file",
    flatFileIndexPageNotFoundMessage: "no index",
  };

  test.each([
    ["nothing.txt", "no file"],
    ["folder", "no index"],
    ["folder/", "no index"],
    ["", "no index"],
    ["..", "no file"],
    ["folder/../../..", "no file"],
    ["folder/a.txt", "no file"],
    ["x".repeat(5000), "no file"],
    ["a\0b", "no file"],
    [undefined, "no file"],
    [{}, "no file"],
  ])("%j", (file, words) => {
    expect(wordsFor(both, file)).toBe(words);
  });

  test("one of the texts can be configured alone", () => {
    expect(wordsFor({ flatFileNotFoundMessage: "no file" }, "folder")).toBe(
      "no file",
    );
    const { flatFileIndexPageNotFoundMessage } = both;
    expect(wordsFor({ flatFileIndexPageNotFoundMessage }, "x")).toBe(
      "that file is not found",
    );
  });
});

describe("reading", () => {
  let project: TemporaryProject;
  beforeEach(() => (project = new TemporaryProject()));
  afterEach(() => project.remove());

  const general = { serverName: "x" };

  test("config.js, config.json, or nothing", () => {
    expect(readConfigData(project.root)).toEqual({});
    project.write("config.json", JSON.stringify({ general }));
    expect(readConfigData(project.root)).toEqual({ general });
    project.write("config.json", JSON.stringify({ configData: { general } }));
    expect(readConfigData(project.root)).toEqual({ general });
    project.write("config.js", "exports.configData = { general: { a: 1 } };");
    expect(readConfigData(project.root)).toEqual({ general: { a: 1 } });
  });

  test("a config.js of another kind says nothing", () => {
    project.write("config.js", "module.exports = {};");
    expect(readConfigData(project.root)).toEqual({});
  });

  test("one that is broken is named", () => {
    const file = project.write("config.js", "throw new Error('broken');");
    expect(() => readConfigData(project.root)).toThrow(
      `cannot read ${file}: Error: broken`,
    );
    project.remove();
    const json = project.write("config.json", "{");
    expect(() => readConfigData(project.root)).toThrow(`cannot read ${json}`);
  });
});

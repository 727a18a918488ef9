/** The script that pages load, and what v29's users do with it. */
process.env.PORT = "0";
process.env.AUTOMATIC_ROUTES = "";

import * as fs from "node:fs";
import * as path from "node:path";
import * as vm from "node:vm";
import { EventEmitter } from "node:events";
import { api, config } from "../../../src/index";
import type { WebSocketServer } from "../../../src/server/websocket/webSocketServer";
import { writeClient } from "../../../src/server/websocket/clientScript";
import { LogLines } from "../../support/logLines";
import { TemporaryProject } from "../../support/temporaryProject";
import { until } from "../../support/until";
import { startWebApp, type WebApp } from "../../support/webApp";
import { restoreConfig } from "../../support/withConfig";

restoreConfig();

const NAME = "javascript/ActionheroWebsocketClient.js";

let app: WebApp;
let folder: TemporaryProject;

beforeAll(async () => {
  folder = new TemporaryProject();
  config.general.paths.public = [folder.root];
  app = await startWebApp();
});

afterAll(async () => {
  await app.stop();
  folder.remove();
});

function server(): WebSocketServer {
  return api.servers.servers.websocket as unknown as WebSocketServer;
}

/** As v29's users do it: evaluated in a module, where there is no Primus. */
function evaluated(): any {
  const window = { location: {} };
  const source = server().compileActionheroWebsocketClientJS();
  const body = "return eval(source)";
  const evaluate = vm.compileFunction(body, ["window", "require", "source"]);
  return evaluate(window, require, source);
}

/** Run a script as a page does; its window comes back. */
function run(script: string, document: object = {}): any {
  const location = { origin: "http://here" };
  const window: any = { location, document, WebSocket: class {} };
  window.window = window;
  vm.runInContext(script, vm.createContext(window));
  return window;
}

describe("evaluating the client", () => {
  test("evaluating the client returns its class, which inherits from node's EventEmitter", () => {
    const Client = evaluated();
    expect(Client.name).toBe("ActionheroWebsocketClient");
    expect(new Client()).toBeInstanceOf(EventEmitter);
  });

  test("evaluating the client does not change the module that does it", () => {
    const window = { location: {} };
    const module = { exports: "mine" };
    const source = server().compileActionheroWebsocketClientJS();
    vm.compileFunction("eval(source)", [
      "window",
      "module",
      "require",
      "source",
    ])(window, module, require, source);
    expect(module.exports).toBe("mine");
  });

  test("it works over an existing connection, opened repeatedly", async () => {
    const { Socket } = server().server!;
    const socket = new Socket(`http://localhost:${app.port}`);
    const client = new (evaluated())({}, socket);
    expect(client.externalClient).toBe(true);
    for (let round = 0; round < 3; round++) {
      const [error, details] = await new Promise<any[]>((resolve) =>
        client.connect((...args: any[]) => resolve(args)),
      );
      expect(error).toBeNull();
      expect(details.data.id).toBe(client.id);
      await until(() => server().connections().length === 1);
    }
    await client.roomAdd("defaultRoom");
    const heard: string[] = [];
    client.on("say", ({ message }: any) => heard.push(message));
    await client.say("defaultRoom", "first");
    await client.say("defaultRoom", "second");
    await until(() => heard.includes("second"));
    expect(heard).toEqual(["first", "second"]);
    client.disconnect();
    await until(() => server().connections().length === 0);
  });

  test("the npm client of Primus is such a connection, too", async () => {
    const Primus = require("primus");
    const Socket = Primus.createSocket({ transformer: "websockets" });
    const socket = new Socket(`http://localhost:${app.port}`, {
      reconnect: { min: 10, max: 50 },
    });
    const client = new (evaluated())({}, socket);
    await client.connect();
    await client.roomAdd("defaultRoom");
    const back = new Promise((resolve) => client.once("reconnect", resolve));
    const { sparks } = server();
    for (const spark of sparks) spark.terminate();
    await back;
    expect(client.rooms).toEqual(["defaultRoom"]);
    client.disconnect();
    await until(() => server().connections().length === 0);
  });
});

describe("the options of the page", () => {
  test("the server's URL is that of the page, or a text", () => {
    expect(new (evaluated())().options).toMatchObject({
      url: undefined, // of the window that the test has
      apiPath: "/api",
      cookieKey: "sessionID",
    });
    config.websocket.clientUrl = 'https://example.com/"</script>';
    expect(new (evaluated())().options.url).toBe(
      'https://example.com/"</script>',
    );
    expect(server().renderClientJS()).not.toContain("</script>");
  });

  test("what config.websocket.client has goes to clients; they may have others", () => {
    config.websocket.client.note = "u2028:\u2028";
    const Client = evaluated();
    expect(new Client().options.note).toBe("u2028:\u2028");
    expect(new Client({ note: 1 }).options.note).toBe(1);
  });
});

describe("the script", () => {
  test("the script is served, with the library in it", async () => {
    const { status, text } = await app.ask(`/public/${NAME}`);
    expect(status).toBe(200);
    const window = run(text);
    expect(window.ActionheroWebsocketClient.name).toBe(
      "ActionheroWebsocketClient",
    );
    expect(typeof window.Primus.connect).toBe("function");
    const client = new window.ActionheroWebsocketClient();
    expect(client).toBeInstanceOf(window.Primus.EventEmitter);
  });

  test("the cookie is found by its whole name, and decoded", () => {
    const document = { cookie: "xsessionID=WRONG; sessionID=a%20b; other=1" };
    const window = run(server().renderClientJS(), document);
    const client = new window.ActionheroWebsocketClient();
    expect(client.getCookie("sessionID")).toBe("a b");
    expect(client.getCookie("other")).toBe("1");
    expect(client.getCookie("nothing")).toBeUndefined();
    expect(client.urlWithSession()).toBe("http://here?sessionID=a%20b");
    document.cookie = "sessionID=%";
    expect(client.getCookie("sessionID")).toBe("%");
    document.cookie = "";
    expect(client.urlWithSession()).toBe("http://here");
  });

  test("the script is written only when it has changed", async () => {
    const file = folder.path(NAME);
    const { ino } = fs.statSync(file);
    await server().writeClientJS();
    expect(fs.statSync(file).ino).toBe(ino);
    config.websocket.clientUrl = "http://other";
    try {
      await server().writeClientJS();
    } finally {
      config.websocket.clientUrl = "window.location.origin";
    }
    expect(fs.readFileSync(file, "utf8")).toContain('"http://other"');
    expect(fs.readdirSync(path.dirname(file))).toEqual([path.basename(NAME)]);
  });

  test("a file that is in the way of nothing is replaced, a short one too", async () => {
    const file = folder.write("short.js", "x");
    expect(await writeClient(file, "script")).toBe(true);
    expect(await writeClient(file, "script")).toBe(false);
    expect(fs.readFileSync(file, "utf8")).toMatch(/^\/\* .+ \*\/\nscript$/);
  });

  test("a script that cannot be written is a warning", async () => {
    const lines = new LogLines();
    config.general.paths.public = [folder.write("file", "")];
    try {
      await server().writeClientJS();
    } finally {
      config.general.paths.public = [folder.root];
      lines.stop();
    }
    expect(lines.lines).toEqual([
      expect.objectContaining({
        level: "warning",
        message: expect.stringContaining("Cannot write client-side JS"),
        error: expect.stringContaining("ENOTDIR"),
      }),
    ]);
  });

  test("without a name or a public folder nothing is written", async () => {
    const { clientJsName } = config.websocket;
    fs.rmSync(folder.path("javascript"), { recursive: true });
    config.websocket.clientJsName = undefined;
    await server().writeClientJS();
    config.websocket.clientJsName = clientJsName;
    config.general.paths.public = [];
    await server().writeClientJS();
    expect(fs.existsSync(folder.path("javascript"))).toBe(false);
  });
});

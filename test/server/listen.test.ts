/** Where servers listen: unix sockets, what is at their paths already, and settings that are null. */
import { once } from "node:events";
import * as fs from "node:fs";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import {
  listen,
  type ListenSettings,
  stopListening,
} from "../../src/server/listen";
import { leaveStaleSocket } from "../support/staleSocket";

let folder: string;
let file: string;
let logged: string[];
const servers: net.Server[] = [];

beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "listen-"));
  file = path.join(folder, "a.sock");
  logged = [];
});

afterEach(async () => {
  for (const server of servers.splice(0))
    if (server.listening) await stopListening(server);
  fs.rmSync(folder, { recursive: true });
});

/** A server that greets its clients with a name. */
function serverNamed(name: string): net.Server {
  const server = net.createServer((socket) => {
    socket.on("error", () => undefined);
    socket.end(name);
  });
  servers.push(server);
  return server;
}

async function start(
  name: string,
  settings: Partial<ListenSettings> = {},
): Promise<net.Server> {
  const server = serverNamed(name);
  await listen(
    server,
    { port: file, bindIP: null, ...settings },
    {
      type: "test",
      log: (message) => logged.push(message),
      describe: (error) => error.message,
    },
  );
  return server;
}

async function greeting(at: string): Promise<string> {
  const socket = net.connect(at);
  let text = "";
  socket.on("data", (chunk) => (text += chunk.toString()));
  await once(socket, "end");
  socket.destroy();
  return text;
}

describe("the path of a unix socket", () => {
  test("is taken from a process that was killed, at the first attempt", async () => {
    await leaveStaleSocket(file);
    await start("new");
    expect(await greeting(file)).toBe("new");
    expect(fs.statSync(file).mode & 0o777).toBe(0o777);
    expect(logged).toEqual([`removed stale unix socket @ ${file}`]);
    expect(fs.readdirSync(folder)).toEqual(["a.sock"]);
  });

  test("stays with a server that is running, however often another tries", async () => {
    await start("first");
    const second = start("second", { bootAttempts: 3 });
    await expect(second).rejects.toMatchObject({ code: "AH_SERVER_START" });
    expect(await greeting(file)).toBe("first");
    expect(logged.join()).not.toMatch(/stale/);
  });

  test("does not delete a file that is not a socket", async () => {
    fs.writeFileSync(file, "precious");
    const started = start("new", { bootAttempts: 2 });
    await expect(started).rejects.toMatchObject({ code: "AH_SERVER_START" });
    expect(fs.readFileSync(file, "utf8")).toBe("precious");
  });

  test("of several processes that find a stale unix socket, one gets it", async () => {
    await leaveStaleSocket(file);
    const names = ["a", "b", "c", "d", "e"];
    const outcomes = await Promise.allSettled(names.map((name) => start(name)));
    const winners = names.filter((_, i) => outcomes[i].status === "fulfilled");
    expect(winners).toHaveLength(1);
    expect(await greeting(file)).toBe(winners[0]);
  });

  test("the path of a unix socket does not need bindIP null", async () => {
    await start("new", { bindIP: "0.0.0.0" });
    expect(await greeting(file)).toBe("new");
  });

  test("is left to the server that listens there when another stops", async () => {
    const first = await start("first");
    fs.unlinkSync(file); // somebody has cleaned up
    await start("second");
    await stopListening(first);
    expect(await greeting(file)).toBe("second");
    expect(fs.readdirSync(folder)).toEqual(["a.sock"]);
  });

  test("is free when its server has stopped", async () => {
    await stopListening(await start("first"));
    expect(fs.readdirSync(folder)).toEqual([]);
  });
});

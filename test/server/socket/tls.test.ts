/** Certificates from files and memory, by host name, replaced while the server runs; clients that do it wrong. */
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import * as net from "node:net";
import * as tls from "node:tls";
import { once } from "node:events";
import { certificate } from "../../support/certificate";
import { CertificateFolder, hasOpenssl } from "../../support/openssl";
import {
  allGone,
  closeAll,
  SocketPeer,
  socketPort,
  socketServer,
  startSocketApp,
} from "../../support/socketApp";
import { until } from "../../support/until";
import { addActions } from "../../support/webApp";
import { config, type Process } from "../../../src/index";
import { restoreConfig } from "../../support/withConfig";
import { leaveOut } from "../../support/leftOut";

restoreConfig();

let app: Process;

beforeAll(async () => {
  app = await startSocketApp({ secure: true, serverOptions: certificate });
  addActions({
    slowly: {
      run: async () => {
        await new Promise((resolve) => setTimeout(resolve, 50));
        return { done: true };
      },
    },
    whoAmI: {
      run: ({ connection }: any) => {
        const socket = connection.rawConnection as tls.TLSSocket;
        return {
          authorized: socket.authorized,
          subject: socket.getPeerCertificate().subject ?? null,
          protocol: socket.getProtocol(),
        };
      },
    },
  });
});

afterAll(async () => {
  await app.stop();
});

afterEach(async () => {
  jest.restoreAllMocks();
  await closeAll();
});

async function restart(serverOptions: object): Promise<void> {
  await socketServer().stop();
  config.socket.serverOptions =
    serverOptions as typeof config.socket.serverOptions;
  await socketServer().start();
}

async function welcomed(options: tls.ConnectionOptions = {}) {
  const peer = await SocketPeer.connect(socketPort(), {
    rejectUnauthorized: false,
    ...options,
  });
  await peer.next();
  return peer;
}

const serialOf = ({ socket }: SocketPeer) =>
  parseInt((socket as tls.TLSSocket).getPeerCertificate().serialNumber, 16);

test("the server accepts a certificate in memory", async () => {
  const peer = await welcomed({
    ca: certificate.cert,
    servername: "localhost",
    rejectUnauthorized: true,
  });
  expect(await peer.ask("whoAmI")).toMatchObject({
    authorized: false,
    protocol: "TLSv1.3",
  });
  peer.send("file simple.html");
  await until(() => peer.text.includes("</html>"));
});

test("a stop notifies many clients with large responses", async () => {
  const peers = await Promise.all(Array.from({ length: 20 }, () => welcomed()));
  await Promise.all(peers.map((peer) => peer.ask("documentation")));
  await restart(certificate);
  await Promise.all(peers.map(({ ended }) => ended));
  for (const peer of peers)
    expect(peer.messages.at(-1)).toEqual({ status: "Bye", context: "api" });
});

describe("clients that do it wrong", () => {
  const handshakeLog = () => {
    const log = jest.spyOn(socketServer(), "log");
    return () =>
      until(() =>
        log.mock.calls
          .map(([text]) => text)
          .find((text) => text.startsWith("TLS handshake failed")),
      );
  };

  test.each([
    ["a plain client", "detailsView\r\n"],
    ["a web browser", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"],
  ])("%s", async (_title, text) => {
    const logged = handshakeLog();
    const socket = net.connect(socketPort(), "127.0.0.1");
    socket.on("error", () => undefined);
    socket.resume();
    socket.write(text);
    expect(await logged()).toMatch(/the client does not speak TLS \(ERR_SSL/);
    if (!socket.closed) await once(socket, "close");
    const next = await welcomed();
    expect((await next.ask("whoAmI")).error).toBeUndefined();
  });

  test("a client that does not trust the certificate gets no connection", async () => {
    const socket = tls.connect({ port: socketPort(), host: "127.0.0.1" });
    await once(socket, "error");
    await allGone();
    const next = await welcomed();
    expect((await next.ask("whoAmI")).error).toBeUndefined();
  });

  test("a client that never begins its handshake does not hold up a stop", async () => {
    const socket = net.connect(socketPort(), "127.0.0.1");
    socket.on("error", () => undefined);
    socket.resume();
    await once(socket, "connect");
    const server = socketServer().server as net.Server;
    await until(
      () =>
        new Promise<number>((resolve) =>
          server.getConnections((_error, count) => resolve(count)),
        ),
    );
    await restart(certificate);
    if (!socket.closed) await once(socket, "close");
  });

  test.each([
    ["nothing", ""],
    ["one byte", "16"],
    ["half of a ClientHello", "1603010200010001fc0303"],
  ])(
    "a client that closes in its handshake, after %s, is forgotten at once",
    async (_title, bytes) => {
      const server = socketServer().server as net.Server;
      const count = () =>
        new Promise<number>((resolve) =>
          server.getConnections((_error, number) => resolve(number)),
        );
      const accepted = once(server, "connection");
      const socket = net.connect({
        port: socketPort(),
        host: "127.0.0.1",
        allowHalfOpen: true, // it stays until the server closes its side
      });
      socket.on("error", () => undefined);
      socket.resume();
      const closed = once(socket, "end");
      socket.end(Buffer.from(bytes, "hex"));
      await accepted;
      const startedAt = performance.now();
      await closed;
      await until(async () => (await count()) === 0);
      expect(performance.now() - startedAt).toBeLessThan(25_000); // the time-out of the handshake is 30 s
      socket.destroy();
    },
  );

  test("a client that closes its side after a request receives the response", async () => {
    const options = {
      port: socketPort(),
      host: "127.0.0.1",
      rejectUnauthorized: false,
      allowHalfOpen: true, // missing in the types
    };
    const socket = tls.connect(options);
    await once(socket, "secureConnect");
    let text = "";
    socket.on("data", (data) => (text += String(data)));
    socket.end('{"action":"slowly"}\n');
    await once(socket, "end");
    expect(text).toContain('"done":true');
    socket.destroy();
  });

  test("one client too many is cut before its handshake", async () => {
    config.socket.maxConnections = 1;
    await welcomed();
    const socket = tls.connect({ port: socketPort(), host: "127.0.0.1" });
    await once(socket, "error");
  });
});

test.each([
  ["no key", { cert: certificate.cert, key: "nonsense" }],
  [
    "a file that is not there",
    { keyFile: "/nowhere/key.pem", certFile: "/nowhere/cert.pem" },
  ],
  [
    "a host with a bad certificate",
    { ...certificate, hosts: { a: { cert: "x" } } },
  ],
])("%s: the server does not start, and says why", async (_title, options) => {
  await socketServer().stop();
  config.socket.serverOptions = options as never;
  await expect(socketServer().start()).rejects.toMatchObject({
    code: "AH_SERVER_START",
    message: expect.stringMatching(
      /^Cannot start socket server @ 127.0.0.1:0 => .+/,
    ),
  });
  config.socket.serverOptions = certificate;
  await socketServer().start();
});

if (!hasOpenssl) {
  leaveOut("reloads, host names, client certificates", "openssl");
} else {
  describe("with several certificates", () => {
    const certificates = new CertificateFolder();
    afterAll(() => certificates.remove());

    test("files are read again on SIGHUP; open connections keep their certificate", async () => {
      const files = certificates.make("main", 101);
      await restart(files);
      const log = jest.spyOn(socketServer(), "log");
      const old = await welcomed();
      expect(serialOf(old)).toBe(101);

      certificates.make("main", 102);
      process.emit("SIGHUP", "SIGHUP");
      const fresh = await welcomed();
      expect(serialOf(fresh)).toBe(102);
      expect(serialOf(old)).toBe(101);
      expect((await old.ask("detailsView")).status).toBe("OK");
      expect((await fresh.ask("detailsView")).status).toBe("OK");
      expect(log).toHaveBeenCalledWith("reloaded the certificates", "notice");

      // one that cannot be used changes nothing
      fs.writeFileSync(files.certFile, "nonsense");
      process.emit("SIGHUP", "SIGHUP");
      expect(serialOf(await welcomed())).toBe(102);
      expect(log).toHaveBeenCalledWith(
        expect.stringMatching(/^cannot reload the certificates, the old ones/),
        "error",
      );

      // nor does the key of another
      const other = certificates.make("other", 103);
      const read = (file: string) => fs.readFileSync(file);
      expect(() =>
        socketServer().reloadCertificates({ certFile: other.certFile }),
      ).toThrow();
      expect(serialOf(await welcomed())).toBe(102);

      // a method takes them from memory, too
      socketServer().reloadCertificates({
        keyFile: undefined,
        certFile: undefined,
        key: read(other.keyFile),
        cert: read(other.certFile),
      });
      expect(serialOf(await welcomed())).toBe(103);
    });

    test("a stopped server does not listen to SIGHUP", async () => {
      const count = process.listenerCount("SIGHUP");
      await socketServer().stop();
      expect(process.listenerCount("SIGHUP")).toBe(count - 1);
      expect(() => socketServer().reloadCertificates()).toThrow("not running");
      await restart(certificate);
    });

    test("each host name has its own certificate", async () => {
      const b = certificates.make("b.example.com", 202);
      await restart({
        ...certificates.make("default", 200),
        hosts: {
          "a.example.com": certificates.make("a.example.com", 201),
          "*.example.com": b,
        },
      });
      const serialFor = async (servername?: string) =>
        serialOf(await welcomed({ servername }));
      expect(await serialFor("a.example.com")).toBe(201);
      expect(await serialFor("A.Example.Com")).toBe(201);
      expect(await serialFor("b.example.com")).toBe(202);
      expect(await serialFor("example.com")).toBe(200);
      expect(await serialFor("constructor")).toBe(200);
      expect(await serialFor()).toBe(200);

      certificates.make("a.example.com", 203);
      socketServer().reloadCertificates();
      expect(await serialFor("a.example.com")).toBe(203);
      expect(await serialFor("b.example.com")).toBe(202);
    });

    test("actions see the client's certificate", async () => {
      const mine = certificates.make("client.example.com", 301);
      await restart({
        ...certificate,
        requestCert: true,
        rejectUnauthorized: false,
        caFile: mine.certFile,
      });
      const options = {
        key: fs.readFileSync(mine.keyFile),
        cert: fs.readFileSync(mine.certFile),
      };
      expect(await (await welcomed(options)).ask("whoAmI")).toMatchObject({
        authorized: true,
        subject: { CN: "client.example.com" },
      });
      expect(await (await welcomed()).ask("whoAmI")).toMatchObject({
        authorized: false,
      });
      await restart(certificate);
    });

    test("openssl s_client can talk to the server", async () => {
      const client = spawn(
        "openssl",
        ["s_client", "-quiet", "-connect", `127.0.0.1:${socketPort()}`],
        { stdio: ["pipe", "pipe", "ignore"] },
      );
      let text = "";
      client.stdout.setEncoding("utf8");
      client.stdout.on("data", (chunk: string) => (text += chunk));
      const lines = (count: number) =>
        until(() => text.split("\r\n").length > count);
      await lines(1);
      client.stdin.write("paramAdd key=myKey\n");
      await lines(2);
      client.stdin.write('{"action":"randomNumber"}\n');
      await lines(3);
      client.stdin.write("roomAdd defaultRoom\nsay defaultRoom hooray!\n");
      await lines(6);
      client.stdin.write("quit\n");
      await once(client, "close");
      const messages = text
        .trim()
        .split("\r\n")
        .map((line) => JSON.parse(line));
      expect(messages[0].welcome).toBe(config.general.welcomeMessage);
      expect(messages[1]).toMatchObject({ status: "OK", messageId: 1 });
      expect(messages[2].randomNumber).toBeGreaterThanOrEqual(0);
      expect(messages.slice(3, 6)).toContainEqual(
        expect.objectContaining({ message: "hooray!", context: "user" }),
      );
      expect(messages[6]).toEqual({ status: "Bye", context: "api" });
    });
  });
}

import * as net from "node:net";
import * as tls from "node:tls";
import { once } from "node:events";
import { socketPort } from "../../support/socketApp";
import { until } from "../../support/until";
import { certificate } from "../../support/certificate";
import { config } from "../../../src/index";
import { runContract, type ContractClient } from "../../contract/contract";

const before = { ...config.socket } as Record<string, unknown>;

describe("plain", () => {
  beforeAll(() => configure({ secure: false }));
  runContract({
    type: "socket",
    connect: () => connect(net.connect(socketPort(), "127.0.0.1"), "connect"),
  });
});

describe("TLS", () => {
  beforeAll(() => configure({ secure: true, serverOptions: certificate }));
  runContract({
    type: "socket",
    connect: () =>
      connect(
        tls.connect({
          port: socketPort(),
          host: "127.0.0.1",
          ca: certificate.cert,
          servername: "localhost",
        }),
        "secureConnect",
      ),
  });
});

function configure(settings: Record<string, unknown>): void {
  Object.assign(config.socket, before, { port: 0, bindIP: "127.0.0.1" });
  Object.assign(config.socket, settings);
}

interface Pending {
  resolve: (answer: any) => void;
  reject: (error: Error) => void;
}

/** Gives every request an id, and its answer to who asked. */
async function connect(
  socket: net.Socket,
  event: string,
): Promise<ContractClient> {
  const pending = new Map<string, Pending>();
  const messages: unknown[] = [];
  let count = 0;
  let rest = "";
  /** A file is bytes without a frame: who asks for one takes all that comes. */
  let onRaw: ((text: string) => void) | undefined;
  socket.setEncoding("utf8");
  socket.on("data", (chunk: string) => {
    rest += chunk;
    if (onRaw) {
      const take = onRaw;
      onRaw = undefined;
      const text = rest;
      rest = "";
      return take(text);
    }
    const lines = rest.split("\r\n");
    rest = lines.pop()!;
    for (const line of lines) {
      const message = JSON.parse(line);
      const asked = pending.get(message.messageId);
      if (asked && message.context === "response") {
        pending.delete(message.messageId);
        asked.resolve(message);
      } else messages.push(message);
    }
  });
  const closed = new Promise((resolve) => socket.once("end", resolve));
  socket.once("close", () => {
    for (const { reject } of pending.values())
      reject(new Error("the connection was closed"));
  });
  socket.on("error", () => undefined);
  await once(socket, event);
  await until(() => messages.length > 0);

  const answerTo = (id: string) =>
    new Promise<any>((resolve, reject) => pending.set(id, { resolve, reject }));
  return {
    action(action, params = {}) {
      const messageId = (params.messageId as string) ?? `action-${count++}`;
      socket.write(
        `${JSON.stringify({ action, params: { ...params, messageId } })}\r\n`,
      );
      return answerTo(messageId);
    },
    file(name) {
      socket.write(`file ${name}\r\n`);
      return new Promise((resolve) => {
        onRaw = (text) => {
          const isError = text.startsWith("{") && text.endsWith("}\r\n");
          resolve(
            isError ? { error: JSON.parse(text).error } : { content: text },
          );
        };
      });
    },
    verb(verb, ...words) {
      const messageId = `verb-${count++}`;
      // the reply to the first line carries the id before it
      socket.write(`paramAdd messageId=${messageId}\r\n`);
      socket.write(`${[verb, ...words].join(" ")}\r\n`);
      return answerTo(messageId);
    },
    messages,
    closed,
    close: async () => {
      socket.destroy();
      if (!socket.closed) await once(socket, "close");
    },
  };
}

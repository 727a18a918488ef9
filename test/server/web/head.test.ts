/** Heads that are written as one text are those that node would have written, header by header. */
import { once } from "node:events";
import * as http from "node:http";
import * as net from "node:net";
import * as fc from "fast-check";
import { canWriteLines, writeLines } from "../../../src/server/web/head";
import { WebResponse, writeExactly } from "../../../src/server/web/webResponse";

interface Settings {
  keepAliveTimeout: number;
  maxRequestsPerSocket: number;
  sendDate: boolean;
  status: number;
  headers: [string, string][];
  body: string;
}

let settings: Settings;
let isByLines = false;

const server = http.createServer(
  { ServerResponse: WebResponse } as http.ServerOptions,
  (req, res) => {
    const { status, headers, body, sendDate } = settings;
    req.resume();
    res.sendDate = sendDate;
    const bytes = Buffer.byteLength(body);
    if (isByLines) {
      const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`);
      expect(canWriteLines(res)).toBe(true);
      writeLines(res, status, { lines: lines.join(""), bytes });
    } else
      writeExactly(res, status, [
        ...headers.flat(),
        "content-length",
        String(bytes),
      ]);
    res.end(body);
  },
);

beforeAll(async () => {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});

afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await once(server, "close");
});

/** What two requests on one connection are answered, without the date, and whether the connection ends. */
async function answersTo(request: string): Promise<string> {
  const { port } = server.address() as net.AddressInfo;
  const socket = net.connect(port, "127.0.0.1");
  let text = "";
  socket.setEncoding("latin1").on("data", (chunk: string) => (text += chunk));
  const last = `GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`;
  socket.write(request + request + last);
  await once(socket, "close");
  return text.replaceAll(/Date: .{29}\r\n/g, "Date: (a date)\r\n");
}

const REQUESTS = [
  "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
  "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
  "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab",
  "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
  "GET / HTTP/1.0\r\n\r\n",
  "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
];

test("a head that is written as one text is the one that node writes", async () => {
  const settingsOf = fc.record({
    keepAliveTimeout: fc.constantFrom(0, 900, 5_000, 65_432),
    maxRequestsPerSocket: fc.constantFrom(0, 1, 2, 100),
    sendDate: fc.boolean(),
    status: fc.constantFrom(200, 201, 404, 500),
    headers: fc.array(
      fc.tuple(
        fc.constantFrom("x-one", "set-cookie", "content-type", "vary"),
        fc.constantFrom("", "a", "a: b", "application/json; charset=utf-8"),
      ),
      { maxLength: 4 },
    ),
    body: fc.constantFrom("", "{}", "ä€", "x".repeat(3_000)),
  });
  await fc.assert(
    fc.asyncProperty(
      settingsOf,
      fc.constantFrom(...REQUESTS),
      async (chosen, request) => {
        settings = chosen;
        server.keepAliveTimeout = chosen.keepAliveTimeout;
        server.maxRequestsPerSocket = chosen.maxRequestsPerSocket;
        isByLines = false;
        const expected = await answersTo(request);
        isByLines = true;
        expect(await answersTo(request)).toBe(expected);
      },
    ),
    { numRuns: 150 },
  );
});

test("a response whose writeHead somebody replaced is left to node", () => {
  const res = new WebResponse(new http.IncomingMessage(new net.Socket()));
  expect(canWriteLines(res)).toBe(true);
  res.writeHead = () => res;
  expect(canWriteLines(res)).toBe(false);
});

test("a node that writes other heads than these writes all of them itself", () => {
  jest.isolateModules(() => {
    const prototype = http.ServerResponse.prototype as unknown as {
      _storeHeader: (this: object, line: string, headers: string[]) => void;
    };
    const original = prototype._storeHeader;
    prototype._storeHeader = function (line, headers) {
      original.call(this, line, [...headers, "x-new", "1"]);
    };
    try {
      const web = require("../../../src/server/web/webResponse") as {
        WebResponse: typeof WebResponse;
      };
      const head = require("../../../src/server/web/head") as {
        canWriteLines: typeof canWriteLines;
        writeLines: typeof writeLines;
      };
      const responseWithHead = () => {
        const req = new http.IncomingMessage(new net.Socket());
        req.httpVersionMajor = req.httpVersionMinor = 1;
        const res = new web.WebResponse(req);
        expect(head.canWriteLines(res)).toBe(texts.length === 0);
        head.writeLines(res, 200, { lines: "a: b\r\n", bytes: 1 });
        return (res as unknown as { _header: string })._header;
      };
      const texts: string[] = [];
      texts.push(responseWithHead());
      texts.push(responseWithHead());
      for (const text of texts) expect(text).toContain("x-new: 1\r\n");
    } finally {
      prototype._storeHeader = original;
    }
  });
});

/** Requests on whose end two parsers may disagree. The canary must never be asked for by what is another one's body. */

export interface RawRequest {
  name: string;
  bytes: string;
  /** How many responses are right at most (default 1). */
  responses?: number;
}

const CANARY = "GET /api/canary HTTP/1.1\r\nHost: a\r\n\r\n";

const post = (headers: string[], body: string) =>
  `POST /api/echo HTTP/1.1\r\nHost: a\r\n${headers.map((line) => `${line}\r\n`).join("")}\r\n${body}`;

const chunkedCanary = `${CANARY.length.toString(16)}\r\n${CANARY}\r\n0\r\n\r\n`;

/** The body is the canary; a server that misreads where it ends runs it. */
const hidden = (
  name: string,
  headers: string[],
  body = CANARY,
): RawRequest => ({
  name,
  bytes: post(headers, body),
});

const LENGTH = `Content-Length: ${CANARY.length}`;

export const SMUGGLED: RawRequest[] = [
  hidden("a length alone", [LENGTH]),
  hidden(
    "a length before chunks",
    ["Content-Length: 0", "Transfer-Encoding: chunked"],
    chunkedCanary,
  ),
  hidden(
    "chunks before a length",
    ["Transfer-Encoding: chunked", "Content-Length: 4"],
    chunkedCanary,
  ),
  hidden("two lengths, the first longer", [LENGTH, "Content-Length: 0"]),
  hidden("two lengths, the second longer", ["Content-Length: 0", LENGTH]),
  hidden("a list of lengths", [`Content-Length: 0, ${CANARY.length}`]),
  hidden("a signed length", [`Content-Length: +${CANARY.length}`]),
  hidden("a negative length", ["Content-Length: -1"]),
  hidden("a length in hex", ["Content-Length: 0x10"]),
  hidden("a length with a space in it", ["Content-Length: 1 0"]),
  hidden("an empty length", ["Content-Length: "]),
  hidden("a huge length", ["Content-Length: 99999999999999999999999"]),
  hidden("a space before the colon", [`Content-Length : ${CANARY.length}`]),
  hidden(
    "a tab before the colon",
    ["Transfer-Encoding\t: chunked", LENGTH],
    chunkedCanary,
  ),
  hidden("a folded header", [
    "X-Folded: a\r\n Transfer-Encoding: chunked",
    LENGTH,
  ]),
  hidden(
    "a folded value",
    ["Transfer-Encoding:\r\n chunked", LENGTH],
    chunkedCanary,
  ),
  hidden("an unknown coding", ["Transfer-Encoding: xchunked", LENGTH]),
  hidden(
    "chunked twice",
    ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
    chunkedCanary,
  ),
  hidden(
    "chunked before another coding",
    ["Transfer-Encoding: chunked, gzip"],
    chunkedCanary,
  ),
  hidden(
    "a vertical tab in the coding",
    ["Transfer-Encoding: \x0bchunked", LENGTH],
    chunkedCanary,
  ),
  hidden(
    "a coding in quotes",
    ['Transfer-Encoding: "chunked"', LENGTH],
    chunkedCanary,
  ),
  hidden(
    "a header ended by a line feed",
    ["X: a\nTransfer-Encoding: chunked", LENGTH],
    chunkedCanary,
  ),
  hidden(
    "a header ended by a carriage return",
    ["X: a\rTransfer-Encoding: chunked", LENGTH],
    chunkedCanary,
  ),
  hidden("a null byte in a name", ["Content\0-Length: 0", LENGTH]),
  hidden(
    "a chunk size with a sign",
    ["Transfer-Encoding: chunked"],
    `+2\r\nab\r\n0\r\n\r\n`,
  ),
  hidden(
    "a chunk size in hex notation",
    ["Transfer-Encoding: chunked"],
    `0x2\r\nab\r\n0\r\n\r\n`,
  ),
  hidden(
    "a chunk size with a space",
    ["Transfer-Encoding: chunked"],
    `2 \r\nab\r\n0\r\n\r\n`,
  ),
  hidden(
    "a huge chunk size",
    ["Transfer-Encoding: chunked"],
    `fffffffffffffffff\r\nab\r\n0\r\n\r\n`,
  ),
  hidden(
    "a chunk size ended by a line feed",
    ["Transfer-Encoding: chunked"],
    `2\nab\r\n0\r\n\r\n`,
  ),
  hidden(
    "a chunk that is longer than it says",
    ["Transfer-Encoding: chunked"],
    `1\r\nab\r\n0\r\n\r\n`,
  ),
  hidden(
    "a long chunk extension",
    ["Transfer-Encoding: chunked"],
    `2;${"a".repeat(20_000)}\r\nab\r\n0\r\n\r\n`,
  ),
  hidden(
    "many chunks of a byte",
    ["Transfer-Encoding: chunked"],
    `${"1\r\na\r\n".repeat(20_000)}0\r\n\r\n`,
  ),
  hidden(
    "trailers",
    ["Transfer-Encoding: chunked"],
    `0\r\nContent-Length: 5\r\nX-A: b\r\n\r\n`,
  ),
  hidden("a body of GET", [LENGTH]),
  {
    name: "a GET with a body",
    bytes: `GET /api/echo HTTP/1.1\r\nHost: a\r\n${LENGTH}\r\n\r\n${CANARY}`,
  },
  {
    name: "a HEAD of a file with a body",
    bytes: `DELETE /api/echo HTTP/1.1\r\nHost: a\r\n${LENGTH}\r\n\r\n${CANARY}`,
  },
  {
    name: "an upgrade with a body",
    bytes: post(["Connection: Upgrade", "Upgrade: websocket", LENGTH], CANARY),
  },
  {
    name: "an upgrade to h2c",
    bytes: post(
      [
        "Connection: Upgrade, HTTP2-Settings",
        "Upgrade: h2c",
        "HTTP2-Settings: AA",
        LENGTH,
      ],
      CANARY,
    ),
  },
  {
    name: "a body that is refused unread",
    bytes: `POST /api/unknown HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n${LENGTH}\r\n\r\n${CANARY}`,
  },
  { name: "HTTP/0.9", bytes: "GET /api/echo\r\n\r\n", responses: 0 },
  { name: "HTTP/2.0", bytes: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" },
  {
    name: "HTTP/2.0 for an action",
    bytes: "GET /api/echo HTTP/2.0\r\nHost: a\r\n\r\n",
    responses: 0,
  },
  {
    name: "HTTP/1.1 in small letters",
    bytes: "GET /api/echo http/1.1\r\nHost: a\r\n\r\n",
  },
  {
    name: "a method of many letters",
    bytes: `${"A".repeat(10_000)} / HTTP/1.1\r\nHost: a\r\n\r\n`,
  },
  {
    name: "a space in the target",
    bytes: "GET /api/echo HTTP/1.1 x HTTP/1.1\r\nHost: a\r\n\r\n",
  },
  { name: "TLS", bytes: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" },
  { name: "no bytes at all", bytes: "" },
  { name: "empty lines", bytes: "\r\n".repeat(1_000) },
  { name: "null bytes", bytes: "\0".repeat(10_000) },
];

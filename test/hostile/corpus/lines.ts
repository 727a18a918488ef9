/** What a client of the TCP server may send. */
import { HOSTILE_VALUES } from "./values";

export interface Lines {
  name: string;
  bytes: () => Buffer;
}

const lines = (name: string, ...texts: string[]): Lines => ({
  name,
  bytes: () => Buffer.from(`${texts.join("\r\n")}\r\n`),
});
const action = (params: unknown, name: unknown = "echo") =>
  JSON.stringify({ action: name, params });

export const LINES: Lines[] = [
  lines("empty lines", ...Array.from({ length: 10_000 }, () => "")),
  lines("carriage returns", "\r".repeat(100_000)),
  lines("null bytes", "\0".repeat(100_000)),
  {
    name: "bytes that are not UTF-8",
    bytes: () => Buffer.from([0xff, 0xfe, 0xc0, 0xaf, 0x0a]),
  },
  { name: "Ctrl-D", bytes: () => Buffer.from([4]) },
  {
    name: "Ctrl-C of telnet",
    bytes: () => Buffer.from([0xff, 0xf4, 0xff, 0xfd, 6]),
  },
  {
    name: "telnet options",
    bytes: () =>
      Buffer.from([
        0xff, 0xfb, 1, 0xff, 0xfd, 3, 0xff, 0xfa, 24, 0xff, 0xf0, 10,
      ]),
  },
  {
    name: "a line over the limit",
    bytes: () => Buffer.from(`${"a".repeat(2 * 1024 * 1024)}\r\n`),
  },
  {
    name: "a line that does not end",
    bytes: () => Buffer.alloc(20 * 1024 * 1024, "a"),
  },
  lines("HTTP", "GET / HTTP/1.1", "Host: a", ""),
  {
    name: "TLS",
    bytes: () =>
      Buffer.from("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n", "latin1"),
  },
  lines("redis commands", "*1", "$8", "FLUSHALL", "PING"),
  lines(
    "unknown actions",
    "x",
    "constructor",
    "__proto__",
    "toString",
    " ",
    "  x",
    "ü",
  ),
  lines(
    "verbs without words",
    "roomAdd",
    "roomLeave",
    "roomView",
    "say",
    "paramAdd",
    "paramDelete",
    "paramView",
    "file",
    "documentation",
  ),
  lines(
    "rooms",
    ...["__proto__", "*", "a".repeat(100_000), "\0"].flatMap((room) => [
      `roomAdd ${room}`,
      `say ${room} x`,
      `roomView ${room}`,
      `roomLeave ${room}`,
    ]),
  ),
  lines(
    "verbs as JSON",
    ...["roomAdd", "say", "roomView", "paramAdd", "paramView"].flatMap(
      (event) =>
        ["__proto__", {}, [], null, "a b\n", "a".repeat(100_000)].flatMap(
          (room) => [
            JSON.stringify({ event, room }),
            JSON.stringify({ event, room, message: { room }, more: room }),
          ],
        ),
    ),
    '{"event":"say","__proto__":{"polluted":1},"room":"defaultRoom","message":{"__proto__":{"polluted":1}}}',
  ),
  lines(
    "files outside the public folder",
    "file ../secret.txt",
    "file /etc/passwd",
    "file .env",
    "file link.txt",
    "file \0",
    `file ${"../".repeat(1_000)}etc/passwd`,
  ),
  lines(
    "params of its own",
    "paramAdd __proto__=polluted",
    "paramAdd constructor=x",
    "paramAdd =",
    "paramAdd a",
    "paramAdd a=b=c",
    "paramsView",
    "paramsDelete",
  ),
  lines(
    "many params of its own",
    ...Array.from({ length: 11_000 }, (_, i) => `paramAdd key${i}=x`),
    "paramsDelete",
  ),
  lines(
    "many requests at once",
    ...Array.from({ length: 2_000 }, () => action({ text: "a" })),
  ),
  lines("no JSON", "{", "{}", '{"action"}', '{"action":', "[1]", "{]"),
  lines(
    "odd JSON",
    action(null),
    action([]),
    action(1),
    action("x"),
    action({}, {}),
    action({}, []),
    action({}, null),
    action({ apiVersion: {} }),
    action({ messageId: {} }),
  ),
  ...HOSTILE_VALUES.map(({ name, value }) =>
    lines(`${name} as a param`, action({ text: value }, "reflect")),
  ),
];

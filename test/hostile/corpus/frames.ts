/** Websocket bytes after the upgrade. */
import { clientFrame } from "../../support/frames";
import { HOSTILE_VALUES } from "./values";

export interface Frames {
  name: string;
  bytes: () => Buffer;
}

const text = (name: string, ...payloads: string[]): Frames => ({
  name,
  bytes: () => Buffer.concat(payloads.map((payload) => clientFrame(payload))),
});
const raw = (name: string, ...bytes: number[]): Frames => ({
  name,
  bytes: () => Buffer.from(bytes),
});
const request = (fields: object) => JSON.stringify(fields);

/** Broken by the rules of RFC 6455. */
const BROKEN: Frames[] = [
  raw("an unmasked frame", 0x81, 0x01, 0x61),
  raw("a reserved bit", 0xc1, 0x81, 0, 0, 0, 0, 0x61),
  raw("all reserved bits", 0xf1, 0x81, 0, 0, 0, 0, 0x61),
  raw("an unknown opcode", 0x83, 0x81, 0, 0, 0, 0, 0x61),
  raw("an unknown control opcode", 0x8b, 0x80, 0, 0, 0, 0),
  raw(
    "a length of 64 bits that is too large",
    0x81,
    0xff,
    0x7f,
    255,
    255,
    255,
    255,
    255,
    255,
    255,
    0,
    0,
    0,
    0,
  ),
  raw(
    "a length with its first bit set",
    0x81,
    0xff,
    0xff,
    255,
    255,
    255,
    255,
    255,
    255,
    255,
    0,
    0,
    0,
    0,
  ),
  raw(
    "a length of 100 MB",
    0x81,
    0xff,
    0,
    0,
    0,
    0,
    6,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0x61,
  ),
  raw(
    "a length that is longer than it needs to be",
    0x81,
    0xfe,
    0,
    1,
    0,
    0,
    0,
    0,
    0x61,
  ),
  raw("a long ping", 0x89, 0xfe, 0, 200, 0, 0, 0, 0),
  raw("a ping in fragments", 0x09, 0x80, 0, 0, 0, 0),
  raw("a continuation of nothing", 0x80, 0x81, 0, 0, 0, 0, 0x61),
  raw("a close with half a code", 0x88, 0x81, 0, 0, 0, 0, 3),
  raw("a close with an invalid code", 0x88, 0x82, 0, 0, 0, 0, 0, 1),
  raw(
    "a close with a reason that is not UTF-8",
    0x88,
    0x84,
    0,
    0,
    0,
    0,
    3,
    0xe8,
    0xff,
    0xff,
  ),
  raw("a text that is not UTF-8", 0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe),
  raw("half a head", 0x81),
  {
    name: "a message in a message",
    bytes: () =>
      Buffer.concat([clientFrame("a", { final: false }), clientFrame("b")]),
  },
  {
    name: "many fragments",
    bytes: () =>
      Buffer.concat([
        clientFrame("", { final: false }),
        ...Array.from({ length: 50_000 }, () =>
          clientFrame("", { opcode: 0, final: false }),
        ),
      ]),
  },
  {
    name: "many pings",
    bytes: () =>
      Buffer.concat(
        Array.from({ length: 5_000 }, () => clientFrame("ping", { opcode: 9 })),
      ),
  },
  {
    name: "binary",
    bytes: () => clientFrame(Buffer.alloc(1_000, 255), { opcode: 2 }),
  },
  {
    name: "HTTP",
    bytes: () => Buffer.from("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
  },
];

/** Whole messages that mean nothing good. */
const MESSAGES: Frames[] = [
  text("no JSON", "{", "undefined", "", " ", "\0"),
  text(
    "values that are not objects",
    "null",
    "1",
    "[]",
    '"text"',
    "true",
    "[[]]",
  ),
  text(
    "control messages",
    '"primus::"',
    '"primus::ping::x"',
    '"primus::server::close"',
    '"primus::id::"',
    '"primus::pong::NaN"',
  ),
  text(
    "an unknown verb",
    request({ event: "unknown" }),
    request({ event: "__proto__" }),
    request({ event: "constructor" }),
  ),
  text(
    "events that are not text",
    ...[null, 1, {}, [], true].map((event) => request({ event })),
  ),
  text(
    "an action without params",
    request({ event: "action" }),
    request({ event: "action", params: null }),
    request({ event: "action", params: [] }),
  ),
  text(
    "an action whose name is no text",
    ...[{}, [], 1, true, null].map((action) =>
      request({ event: "action", params: { action } }),
    ),
  ),
  text(
    "names of Object.prototype as actions",
    ...["constructor", "__proto__", "toString", "hasOwnProperty"].map(
      (action) => request({ event: "action", params: { action } }),
    ),
  ),
  text(
    "odd versions",
    ...["x", {}, [], -1, "__proto__"].map((apiVersion) =>
      request({ event: "action", params: { action: "echo", apiVersion } }),
    ),
  ),
  text(
    "odd message ids",
    ...[null, {}, [], -1, "__proto__", "x".repeat(10_000)].map((messageId) =>
      request({ event: "action", messageId, params: { action: "echo" } }),
    ),
  ),
  text(
    "files outside the public folder",
    ...[
      "../secret.txt",
      "/etc/passwd",
      "..%2fsecret.txt",
      ".env",
      "\0",
      {},
      ["a"],
    ].map((file) => request({ event: "file", file })),
  ),
  text(
    "odd rooms",
    ...[
      "",
      "__proto__",
      "a\r\nb",
      "*",
      {},
      [],
      null,
      "x".repeat(100_000),
    ].flatMap((room) =>
      ["roomAdd", "roomLeave", "roomView", "say"].map((event) =>
        request({ event, room, message: "x" }),
      ),
    ),
  ),
  text(
    "a room many times",
    ...Array.from({ length: 500 }, () =>
      request({ event: "roomAdd", room: "defaultRoom" }),
    ),
  ),
  text(
    "many requests at once",
    ...Array.from({ length: 2_000 }, (_, i) =>
      request({ event: "action", messageId: i, params: { action: "echo" } }),
    ),
  ),
  text(
    "params of its own",
    request({ event: "paramAdd", key: "__proto__", value: "polluted" }),
    request({ event: "paramsAdd" }),
    request({ event: "paramDelete", key: "x" }),
  ),
  ...HOSTILE_VALUES.map(({ name, value }) =>
    text(
      `${name} as a param`,
      request({ event: "action", params: { action: "reflect", text: value } }),
    ),
  ),
];

export const FRAMES: Frames[] = [...BROKEN, ...MESSAGES];

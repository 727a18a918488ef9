import * as fc from "fast-check";
import * as ws from "ws";
import {
  isAllowedOrigin,
  isBelow,
} from "../../../src/server/websocket/plainRequests";
import {
  decode,
  encode,
  textFrame,
} from "../../../src/server/websocket/protocol";
import { argumentsOf } from "../../../src/server/jsonRequest";

describe("frames", () => {
  function byWs(text: string): Buffer {
    const frame = (
      ws as unknown as {
        Sender: { frame: (data: Buffer, options: object) => Buffer[] };
      }
    ).Sender.frame(Buffer.from(text), {
      fin: true,
      opcode: 1,
      mask: false,
      readOnly: true,
      rsv1: false,
    });
    return Buffer.concat(frame);
  }

  test.each([0, 1, 125, 126, 127, 65_535, 65_536, 100_000])(
    "of %i bytes are those of ws",
    (length) => {
      const text = "x".repeat(length);
      expect(textFrame(text).equals(byWs(text))).toBe(true);
    },
  );

  test("of any text are those of ws", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => {
        expect(textFrame(text)).toEqual(byWs(text));
      }),
    );
  });
});

describe("messages", () => {
  test("an object is a request, a control message is a text", () => {
    expect(decode('{"event":"say","room":"r"}')).toEqual({
      event: "say",
      room: "r",
    });
    expect(decode('"primus::pong::5"')).toBe("primus::pong::5");
  });

  test.each([
    "",
    "{",
    "nonsense",
    "null",
    "true",
    "5",
    "[]",
    '["event"]',
    '"text"',
    "undefined",
  ])("%s is nothing", (text) => {
    expect(decode(text)).toBeUndefined();
  });

  test("what is encoded is JavaScript, too, and decodes to the same", () => {
    const value = { text: "a\u2028b\u2029c" };
    expect(encode(value)).toBe('{"text":"a\\u2028b\\u2029c"}');
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (any) => {
        // keys that could change what an object inherits are dropped
        const safe: unknown = JSON.parse(
          JSON.stringify(any),
          (key, value: unknown) => (key === "__proto__" ? undefined : value),
        );
        expect(decode(encode(any))).toEqual(safe);
      }),
    );
  });

  test("the arguments of a verb begin with the room, wherever it is", () => {
    const request = {
      event: "say",
      message: "hi",
      room: "r",
      messageId: 1,
      more: 2,
    };
    expect(argumentsOf(request)).toEqual({
      args: ["r", "hi", "2"],
      fields: { message: "hi", room: "r", more: 2 },
    });
    expect(argumentsOf({ event: "say", room: "", message: "hi" }).args).toEqual(
      ["", "hi"],
    );
    expect(argumentsOf({ room: { a: [1] }, message: null }).args).toEqual([
      { a: [1] },
      "null",
    ]);
  });
});

describe("origins", () => {
  test.each([
    ["https://a.com", "*", true],
    ["https://a.com", undefined, true],
    [undefined, "https://a.com", true],
    ["https://a.com", "https://a.com", true],
    ["https://A.com", "https://a.com/", true],
    ["https://b.com", "https://a.com, https://b.com", true],
    ["https://c.com", ["https://a.com", "https://b.com"], false],
    ["http://a.com", "https://a.com", false],
    ["https://x.a.com", "https://*.a.com", true],
    ["https://a.com", "https://*.a.com", false],
    ["https://evil.com/.a.com", "https://*.a.com", false],
    ["https://evil.com#.a.com", "https://*.a.com", false],
    ["https://a.com.evil.com", "https://a.com", false],
    ["http://localhost:8080", "http://localhost:*", true],
    ["https://a.com", /^https:\/\/a\.com$/g, true],
    ["https://b.com", [/^https:\/\/a\.com$/], false],
    ["null", "https://a.com", false],
  ])("%s with %s: %s", (origin, origins, allowed) => {
    expect(isAllowedOrigin(origin, origins)).toBe(allowed);
    expect(isAllowedOrigin(origin, origins)).toBe(allowed);
  });
});

test.each([
  ["/primus", true],
  ["/primus/", true],
  ["/primus?x=1", true],
  ["/primus/any/thing", true],
  ["/primusXYZ", false],
  ["/", false],
  ["/api/primus", false],
])("%s is below /primus: %s", (url, expected) => {
  expect(isBelow(url, "/primus")).toBe(expected);
});

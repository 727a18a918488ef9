import * as fc from "fast-check";
import { linesOf } from "../../support/linesOf";
import {
  LineDecoder,
  MAX_SKIPPED_BYTES,
  type Decoded,
} from "../../../src/server/socket/lineDecoder";

interface Settings {
  delimiter?: string;
  max?: number;
}

function decoder({ delimiter = "\n", max = 0 }: Settings = {}): LineDecoder {
  const made = new LineDecoder();
  made.configure(delimiter, max);
  return made;
}

/** All lines of a stream that comes in these chunks. */
function decode(chunks: Iterable<Buffer>, settings?: Settings): Decoded[] {
  const made = decoder(settings);
  return [...chunks].flatMap((chunk) => linesOf(made, chunk));
}

function whole(bytes: Buffer | string, settings?: Settings): Decoded[] {
  return decode([Buffer.from(bytes)], settings);
}

function* byByte(bytes: Buffer | string): Generator<Buffer> {
  for (const byte of Buffer.from(bytes)) yield Buffer.from([byte]);
}

/** The bytes, cut at these places. */
function cut(bytes: Buffer, places: number[]): Buffer[] {
  const sorted = [...places.map((place) => place % (bytes.length + 1))].sort(
    (a, b) => a - b,
  );
  return [...sorted, bytes.length].map((end, index) =>
    bytes.subarray(sorted[index - 1] ?? 0, end),
  );
}

const STREAMS: [string, Buffer, Settings, Decoded[]][] = [
  ["lines", Buffer.from("a\nbc\n"), {}, ["a", "bc"]],
  ["CRLF, CR", Buffer.from("a\r\nbc\rd\r\n"), {}, ["a", "bc", "d"]],
  ["empty lines", Buffer.from("\n\n\r\na\n\n"), {}, ["a"]],
  ["no end yet", Buffer.from("a\nbc"), {}, ["a"]],
  [
    "characters of two, three and four bytes",
    Buffer.from("é€😀\nänd {ü}\n"),
    {},
    ["é€😀", "änd {ü}"],
  ],
  [
    "bytes that are not characters",
    Buffer.from([0xff, 0xc3, 0x28, 0x0a, 0xe2, 0x82, 0x0a]),
    {},
    ["\ufffd\ufffd(", "\ufffd"],
  ],
  [
    "a delimiter of several bytes, with newlines in lines",
    Buffer.from("a\nbxXxXxXcxXxXxX\r\nd€xXxXxX"),
    { delimiter: "xXxXxX" },
    ["a\nb", "c", "\n\nd€"],
  ],
  [
    "a delimiter that begins like itself",
    Buffer.from("aabaaab1aaab"),
    { delimiter: "aaab" },
    ["aab", "1"],
  ],
  [
    "CRLF as delimiter",
    Buffer.from("a\r\nb\r\n"),
    { delimiter: "\r\n" },
    ["a", "b"],
  ],
  [
    "no delimiter means newline",
    Buffer.from("a\nb\n"),
    { delimiter: "" },
    ["a", "b"],
  ],
  [
    "at the limit, and over it",
    Buffer.from("1234\n12345\n12\n"),
    { max: 4 },
    ["1234", { kind: "tooLong", received: 5 }, "12"],
  ],
  [
    "the limit counts bytes",
    Buffer.from("€€\n€\n"),
    { max: 4 },
    [{ kind: "tooLong", received: 6 }, "€"],
  ],
  [
    "the limit with a delimiter of several bytes",
    Buffer.from("1234ENDE12345ENDE1E"),
    { delimiter: "ENDE", max: 4 },
    ["1234", { kind: "tooLong", received: 5 }],
  ],
  ["Ctrl-D", Buffer.from("a\n\x04b\n"), {}, ["a", { kind: "break" }]],
  ["Ctrl-D within a line", Buffer.from("a\x04\n"), {}, ["a\x04"]],
  [
    "Ctrl-C of telnet",
    Buffer.concat([
      Buffer.from("a\n"),
      Buffer.from("fff4fffd06", "hex"),
      Buffer.from("b\n"),
    ]),
    {},
    ["a", { kind: "break" }],
  ],
  [
    "almost Ctrl-C",
    Buffer.concat([Buffer.from("fff4fffd", "hex"), Buffer.from("b\nc\n")]),
    {},
    ["\ufffd\ufffd\ufffd\ufffdb", "c"],
  ],
];

describe.each(STREAMS)("%s", (_title, bytes, settings, lines) => {
  test("a recorded exchange decodes when it comes in one chunk", () => {
    expect(whole(bytes, settings)).toEqual(lines);
  });

  test("a recorded exchange decodes byte by byte", () => {
    expect(decode(byByte(bytes), settings)).toEqual(lines);
  });

  test("a recorded exchange decodes however it is cut", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1000), { maxLength: 8 }), (places) => {
        expect(decode(cut(bytes, places), settings)).toEqual(lines);
      }),
      { numRuns: 50 },
    );
  });
});

test("lines joined and decoded are the lines, for any delimiter and any cut", () => {
  const delimiters = ["\n", "\r\n", "|", "xXxXxX", "€", "^]"];
  fc.assert(
    fc.property(
      fc.constantFrom(...delimiters),
      fc.array(fc.string({ minLength: 1, unit: "grapheme" }), {
        maxLength: 20,
      }),
      fc.array(fc.nat(10_000), { maxLength: 20 }),
      (delimiter, texts, places) => {
        const lines = texts.filter(
          (text) =>
            !/[\r\n\ud800-\udfff]/.test(text) &&
            !text.startsWith("\x04") &&
            !`${text}${delimiter}`.slice(0, -1).includes(delimiter),
        );
        const bytes = Buffer.from(lines.map((l) => l + delimiter).join(""));
        expect(decode(cut(bytes, places), { delimiter })).toEqual(lines);
      },
    ),
    { numRuns: 300 },
  );
});

test("any bytes, cut anywhere, are decoded as at once", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 300 }),
      fc.array(fc.nat(300), { maxLength: 20 }),
      fc.constantFrom("\n", "ab", "\xff"),
      fc.constantFrom(0, 3, 40),
      (bytes, places, delimiter, max) => {
        const stream = Buffer.from(bytes);
        const settings = { delimiter, max };
        expect(decode(cut(stream, places), settings)).toEqual(
          whole(stream, settings),
        );
      },
    ),
    { numRuns: 300 },
  );
});

test("a gigabyte without a delimiter: one fault, and no memory", () => {
  const made = decoder({ max: 1024 * 1024 });
  const chunk = Buffer.alloc(64 * 1024, "x");
  const before = process.memoryUsage();
  let peak = 0;
  const found: Decoded[] = [];
  for (let sent = 0; sent < 1024 ** 3; sent += chunk.length) {
    found.push(...linesOf(made, chunk));
    if (sent % (16 * 1024 * 1024) === 0)
      peak = Math.max(peak, process.memoryUsage().arrayBuffers);
  }
  expect(found).toEqual([
    { kind: "endless", received: 1024 * 1024 + MAX_SKIPPED_BYTES + 1 },
  ]);
  expect(peak - before.arrayBuffers).toBeLessThan(8 * 1024 * 1024);
  expect(linesOf(made, Buffer.from("status\n"))).toEqual([]);
});

test("a line that is too long in one chunk is the same fault, and nothing after it counts", () => {
  const bytes = Buffer.alloc(MAX_SKIPPED_BYTES + 20, "x");
  bytes.write("\nstatus\n", bytes.length - 8);
  const fault = { kind: "endless", received: 4 + MAX_SKIPPED_BYTES + 1 };
  expect(whole(bytes, { max: 4 })).toEqual([fault]);
  expect(decode([bytes.subarray(0, 9), bytes.subarray(9)], { max: 4 })).toEqual(
    [fault],
  );
});

test("a megabyte byte by byte takes no more than its length", () => {
  const made = decoder({ delimiter: "END" });
  const byte = Buffer.from("x");
  const started = process.cpuUsage();
  for (let i = 0; i < 1024 * 1024; i++) linesOf(made, byte);
  const { user, system } = process.cpuUsage(started);
  const [line] = linesOf(made, Buffer.from("END"));
  expect(line).toHaveLength(1024 * 1024);
  // quadratic work would be hours
  expect((user + system) / 1000).toBeLessThan(20_000);
});

test("lines are decoded one by one", () => {
  const made = decoder();
  const chunk = Buffer.from("ab\n".repeat(20_000));
  made.add(chunk);
  expect(made.next()).toBe("ab");
  expect(made.waitingBytes).toBe(chunk.length);
  made.add(Buffer.from("cd"));
  for (let i = 1; i < 20_000; i++) expect(made.next()).toBe("ab");
  expect(made.next()).toBeUndefined();
  expect([made.waitingBytes, made.storedBytes]).toEqual([0, 2]);
  made.add(Buffer.from("\nef\n"));
  made.clear();
  expect(made.next()).toBeUndefined();
});

test("a short rest does not keep its chunk", () => {
  const made = decoder();
  const chunk = Buffer.concat([Buffer.from("a\n"), Buffer.from("rest")]);
  linesOf(made, chunk);
  chunk.fill(0x78);
  expect(linesOf(made, Buffer.from("\n"))).toEqual(["rest"]);
});

test.each(["\n", "ENDE"])(
  "a line that is dropped before its end (%j) leaves a fault, and the next one is whole",
  (delimiter) => {
    const made = decoder({ delimiter });
    expect(linesOf(made, Buffer.from("a".repeat(1000)))).toEqual([]);
    made.dropLine();
    expect(made.storedBytes).toBeLessThan(delimiter.length);
    const rest = Buffer.from(`more${delimiter}next${delimiter}`);
    expect([...byByte(rest)].flatMap((byte) => linesOf(made, byte))).toEqual([
      { kind: "dropped" },
      "next",
    ]);
  },
);

test("a new delimiter counts for the line that has begun, too", () => {
  const made = decoder();
  expect(linesOf(made, Buffer.from("a;b"))).toEqual([]);
  made.configure(";", 0);
  expect(linesOf(made, Buffer.from("c;\n"))).toEqual(["a", "bc"]);
  made.configure("\n", 0);
  expect(linesOf(made, Buffer.from("d\n"))).toEqual(["d"]);
});

test("a new limit counts for the line that has begun, too", () => {
  const made = decoder({ max: 10 });
  linesOf(made, Buffer.from("12345678"));
  made.configure("\n", 4);
  expect(linesOf(made, Buffer.from("9\n"))).toEqual([
    { kind: "tooLong", received: 9 },
  ]);
  linesOf(made, Buffer.from("12345"));
  made.configure("\n", 100);
  // its first bytes are gone
  expect(linesOf(made, Buffer.from("6"))).toEqual([]);
  expect(linesOf(made, Buffer.from("7\nnext\n"))).toEqual([
    { kind: "tooLong", received: 7 },
    "next",
  ]);
});

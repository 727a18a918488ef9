/** Names of parts, and parts without one: which are files, which are fields, and which are nothing. */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { addActions, startWebApp, type WebApp } from "../../support/webApp";
import { config, file, UploadedFile } from "../../../src/index";

let app: WebApp;
let uploadDir: string;

beforeAll(async () => {
  app = await startWebApp();
  uploadDir = fs.mkdtempSync(path.join(os.tmpdir(), "nameless-"));
  config.web.formOptions = { uploadDir };
  addActions({
    // not declared: `part` may be a file or a field
    any: { inputs: { part: {}, after: {} }, run: describePart },
    declared: { inputs: { part: file() }, run: describePart },
  });
});

afterAll(async () => {
  await app.stop();
  fs.rmSync(uploadDir, { recursive: true, force: true });
});

function describePart({ params }: any) {
  const { part, after } = params;
  if (!(part instanceof UploadedFile)) return { part, after };
  const { originalFilename, mimetype, filepath } = part;
  const bytes = fs.readFileSync(filepath, "hex");
  return { bytes, originalFilename, mimetype, after };
}

/** What the action sees of a part with these headers, and of the field after it. */
async function seen(
  disposition: string,
  type: string,
  bytes: Buffer,
  to = "any",
) {
  const body = Buffer.concat([
    Buffer.from(
      `--b\r\nContent-Disposition: form-data; name="part"${disposition}\r\n${type}\r\n`,
    ),
    bytes,
    Buffer.from(
      '\r\n--b\r\nContent-Disposition: form-data; name="after"\r\n\r\nlast\r\n--b--\r\n',
    ),
  ]);
  const { json } = await app.ask(`/api/${to}`, {
    method: "POST",
    headers: { "Content-Type": "multipart/form-data; boundary=b" },
    body,
  });
  const { bytes: received, originalFilename, mimetype, part, after } = json;
  return {
    bytes: received,
    originalFilename,
    mimetype,
    part,
    after,
    error: json.error,
  };
}

const BYTES = Buffer.from([0x89, 0x50, 0xff, 0x00, 0x0d, 0x0a]);
const NONE = Buffer.alloc(0);
const OCTETS = "application/octet-stream";

describe.each(["any", "declared"])("for the action `%s`", (to) => {
  test.each([
    ["without a filename", "", OCTETS],
    ["with an empty filename", '; filename=""', OCTETS],
    ["of an image without a filename", "", "image/png"],
    ["of an image with an empty filename", '; filename=""', "image/png"],
  ])("bytes %s are a file without a name", async (_what, disposition, type) => {
    const sent = await seen(
      disposition,
      `Content-Type: ${type}\r\n`,
      BYTES,
      to,
    );
    expect(sent).toMatchObject({
      bytes: BYTES.toString("hex"),
      originalFilename: null,
      mimetype: type,
    });
  });

  test("a large file without a name arrives completely", async () => {
    const bytes = Buffer.alloc(3_000_000, "0123456789abcdef");
    const type = `Content-Type: ${OCTETS}\r\n`;
    const sent = await seen('; filename=""', type, bytes, to);
    expect(sent.bytes === bytes.toString("hex")).toBe(true);
  });
});

test.each([
  ['; filename=""', OCTETS],
  ["", OCTETS],
  ["", "image/png"],
])(
  "no bytes%s of %s are a file input that nothing was chosen for",
  async (disposition, type) => {
    const sent = await seen(disposition, `Content-Type: ${type}\r\n`, NONE);
    expect(sent).toEqual({ after: "last" });
  },
);

test.each([
  ["", "text"],
  ["Content-Type: text/plain; charset=utf-8\r\n", "text"],
  ["Content-Type: application/json\r\n", '{"a":1}'],
])("text without a filename is a field (%j)", async (type, text) => {
  const sent = await seen("", type, Buffer.from(text));
  expect(sent).toEqual({ part: text, after: "last" });
});

test.each([
  [
    "as browsers and curl send them",
    'filename="süß 漢 😀.txt"',
    "süß 漢 😀.txt",
  ],
  [
    "with a quotation mark, as browsers send it",
    'filename="a%22b.txt"',
    "a%22b.txt",
  ],
  [
    "with a quotation mark, as curl sends it",
    'filename="a\\"b.txt"',
    'a"b.txt',
  ],
  ["in the form of RFC 8187", "filename*=UTF-8''s%C3%BC%C3%9F.txt", "süß.txt"],
  // RFC 7578 section 4.2 forbids the second form
  [
    "in both forms, as the first says",
    "filename=\"suess.txt\"; filename*=utf-8''s%C3%BC%C3%9F.txt",
    "suess.txt",
  ],
])("file names %s are understood", async (_what, filename, name) => {
  const type = `Content-Type: ${OCTETS}\r\n`;
  const sent = await seen(`; ${filename}`, type, BYTES);
  expect(sent).toMatchObject({
    bytes: BYTES.toString("hex"),
    originalFilename: name,
  });
});

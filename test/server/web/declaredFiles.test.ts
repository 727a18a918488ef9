/** Uploads: who takes files, what they are refused for, and what all of them together may take. */
import * as fs from "node:fs";
import * as http from "node:http";
import * as os from "node:os";
import * as path from "node:path";
import { connectWebsocket } from "../../support/websocketClient";
import { addActions, startWebApp, type WebApp } from "../../support/webApp";
import { run } from "../../support/runCli";
import { until } from "../../support/until";
import { action, api, config, file, UploadedFile } from "../../../src/index";
import type { WebServer } from "../../../src/server/web/webServer";
import { restoreConfig } from "../../support/withConfig";

restoreConfig();

/** A client in a process of its own, which sends while the server writes. */
const POST_FILE = `
  const form = new FormData();
  form.append("picture", new Blob([Buffer.alloc(20_000_000)], { type: "image/png" }), "a.png");
  fetch(process.env.URL_OF_ACTION, { method: "POST", body: form })
    .then(async (response) => {
      const { error } = await response.json();
      process.stdout.write(response.status + " " + error);
    });`;

let app: WebApp;
let uploadDir: string;
let seen: any;

beforeAll(async () => {
  app = await startWebApp();
  uploadDir = fs.mkdtempSync(path.join(os.tmpdir(), "declared-"));
  config.web.formOptions = { uploadDir };
  const note = ({ params, connection }: any) => {
    seen = { params, files: connection.rawConnection.params?.files };
  };
  addActions({
    picture: {
      inputs: {
        picture: file({
          maxSize: 1000,
          types: ["image/png", "text/*"],
          required: true,
        }),
        note: {},
      },
      run: note,
    },
    cover: { inputs: { picture: file({ maxSize: 100_000 }) }, run: note },
    album: { inputs: { pictures: file({ maxFiles: 2 }) }, run: note },
    image: { inputs: { picture: file({ types: ["image/*"] }) }, run: note },
    octets: { inputs: { file: file({ maxSize: 1000 }) }, run: note },
    old: { inputs: { upload: {}, nested: {} }, run: note },
    slow: {
      inputs: { picture: file() },
      run: () => new Promise((done) => setTimeout(done, 50)),
    },
    failing: {
      inputs: { picture: file() },
      run: () => {
        throw new Error("on purpose");
      },
    },
  });
});

afterAll(async () => {
  await app.stop();
  fs.rmSync(uploadDir, { recursive: true, force: true });
});

beforeEach(() => {
  seen = undefined;
});

afterEach(async () => {
  await nothingLeft();
});

/** Uploads are removed right after the response, however it ended. */
async function nothingLeft(): Promise<void> {
  const { uploadDisk } = api.servers.servers.web as WebServer;
  await until(() => fs.readdirSync(uploadDir).length === 0);
  await until(() => uploadDisk.usedBytes === 0);
}

type Part = [name: string, content: string | Buffer, type?: string];

function form(parts: Part[]): Buffer {
  const buffers = parts.map(([name, content, type]) =>
    Buffer.concat([
      Buffer.from(
        `--b\r\nContent-Disposition: form-data; name="${name}"` +
          (type === undefined
            ? "\r\n\r\n"
            : `; filename="f"\r\nContent-Type: ${type}\r\n\r\n`),
      ),
      Buffer.from(content),
      Buffer.from("\r\n"),
    ]),
  );
  return Buffer.concat([...buffers, Buffer.from("--b--\r\n")]);
}

async function post(
  name: string,
  body: string | Buffer,
  type = "multipart/form-data; boundary=b",
): Promise<{ status: number; error: unknown; headers: any }> {
  const { status, json, headers } = await app.ask(`/api/${name}`, {
    method: "POST",
    headers: { "Content-Type": type },
    body,
  });
  return { status, error: json.error, headers };
}

const PNG = "image/png";

describe("a declared file", () => {
  test("is an UploadedFile", async () => {
    const { status } = await post(
      "picture",
      form([
        ["picture", "x", PNG],
        ["note", "a"],
      ]),
    );
    expect(status).toBe(200);
    expect(seen.params.picture).toBeInstanceOf(UploadedFile);
    expect(seen.params).toMatchObject({ note: "a", picture: { size: 1 } });
  });

  test("is required only if it says so", async () => {
    expect((await post("picture", form([["note", "a"]]))).status).toBe(422);
    expect((await post("album", form([["note", "a"]]))).status).toBe(200);
  });

  test.each([
    ["text/html; charset=utf-8", 200],
    ["IMAGE/PNG", 200],
    ["image/pngx", 415],
    ["image/svg+xml", 415],
    ["application/octet-stream; image/png", 415],
  ])("of the type %s is a %d", async (type, status) => {
    const answer = await post("picture", form([["picture", "x", type]]));
    expect(answer.status).toBe(status);
    if (status === 415)
      expect(answer.error).toBe(
        '"picture" takes only files of the type image/png, text/*',
      );
    expect(seen === undefined).toBe(status === 415);
  });

  test.each([
    ["image/png", 200],
    ["image/png; a=b", 200],
    ["image/svg+xml", 200],
    ["image/", 415],
    ["image/*", 415],
    ["image/png/x", 415],
    ["image/png, text/html", 415],
    ["image/png text/html", 415],
  ])("of image/* and the type %s is a %d", async (type, status) => {
    const answer = await post("image", form([["picture", "x", type]]));
    expect(answer.status).toBe(status);
    expect(seen === undefined).toBe(status === 415);
  });

  test("that is too large is a 413", async () => {
    const large = Buffer.alloc(1001);
    const answer = await post("picture", form([["picture", large, PNG]]));
    expect(answer).toMatchObject({
      status: 413,
      error: '"picture" takes files of at most 1000 bytes',
    });
    expect(seen).toBeUndefined();
  });

  test("that is too large is refused for this, however fast its rest arrives", async () => {
    config.web.formOptions = { uploadDir, maxFieldsSize: 100 };
    const { port } = api.servers.servers.web.server.address();
    const { stdout } = await run(process.execPath, ["-e", POST_FILE], {
      cwd: uploadDir,
      env: { URL_OF_ACTION: `http://127.0.0.1:${port}/api/cover` },
    });
    expect(stdout).toBe('413 "picture" takes files of at most 100000 bytes');
  });

  test("an empty list of files is one, beside other files, too", async () => {
    const empty =
      '--b\r\nContent-Disposition: form-data; name="pictures"\r\n' +
      "Content-Type: application/json\r\n\r\n[]\r\n--b--\r\n";
    expect(await post("album", empty)).toMatchObject({ status: 200 });
    expect(seen.params.pictures).toEqual([]);
    const other = empty.replace("[]", '["x"]');
    expect((await post("album", other)).status).not.toBe(200);
  });

  test("comes once, or as a list of at most maxFiles", async () => {
    const two: Part[] = [
      ["picture", "x", PNG],
      ["picture", "y", PNG],
    ];
    expect(await post("picture", form(two))).toMatchObject({
      status: 413,
      error: '"picture" takes at most 1 file',
    });
    const named = (count: number, name = "pictures"): Part[] =>
      Array.from({ length: count }, () => [name, "x", PNG]);
    for (const count of [1, 2]) {
      await post("album", form(named(count)));
      expect(seen.params.pictures).toHaveLength(count);
    }
    expect(await post("album", form(named(3)))).toMatchObject({
      status: 413,
      error: '"pictures" takes at most 2 files',
    });
    config.web.formBrackets = true;
    await post("album", form(named(2, "pictures[]")));
    expect(seen.params.pictures).toHaveLength(2);
  });

  test("named file is a body of the type application/octet-stream", async () => {
    const type = "application/octet-stream";
    expect((await post("octets", "x", type)).status).toBe(200);
    expect(seen.params.file).toBeInstanceOf(UploadedFile);
    expect((await post("octets", "x".repeat(1001), type)).status).toBe(413);
  });

  test("may not be larger than formOptions.maxFileSize", async () => {
    config.web.formOptions = { uploadDir, maxFileSize: 10 };
    const { status, error } = await post(
      "picture",
      form([["picture", "x".repeat(11), PNG]]),
    );
    expect(status).toBe(413);
    expect(error).toContain("web.formOptions.maxFileSize is 10");
  });
});

describe("what looks like an upload", () => {
  const fake = {
    filepath: "/etc/passwd",
    newFilename: "passwd",
    originalFilename: "a.png",
    mimetype: PNG,
    size: 1,
  };
  const refused = 'Input for parameter "picture" is not an uploaded file';

  test.each([
    ["JSON", JSON.stringify({ picture: fake }), "application/json"],
    ["a list of JSON", JSON.stringify({ picture: [fake] }), "application/json"],
    ["a text", JSON.stringify({ picture: "x" }), "application/json"],
    [
      "fields of a form",
      "picture[filepath]=/etc/passwd&picture[mimetype]=image/png",
      "application/x-www-form-urlencoded",
    ],
    ["a field of a form", "picture=x", "application/x-www-form-urlencoded"],
  ])("from %s is a 422", async (_what, body, type) => {
    config.web.formBrackets = true;
    const { status, error } = await post("picture", body, type);
    expect([status, error]).toEqual([422, refused]);
    expect(seen).toBeUndefined();
  });

  test("from a query is a 422", async () => {
    const { status, json } = await app.ask(
      "/api/picture?picture[filepath]=/etc/passwd&picture[mimetype]=image/png",
    );
    expect([status, json.error]).toEqual([422, refused]);
  });

  test("from a websocket is refused, too", async () => {
    const client = await connectWebsocket();
    const { error } = await client.action("picture", { picture: fake });
    expect(error).toBe(refused);
    client.close();
  });

  test("in a call from code is refused, and a real one is not", async () => {
    await expect(action.run("picture", 1, { picture: fake })).rejects.toThrow(
      refused,
    );
    const real = new UploadedFile("/tmp/x", "x", "x.png", PNG);
    await action.run("picture", 1, { picture: real });
    expect(seen.params.picture).toBe(real);
  });

  test("is a plain object for an action that declares no file", async () => {
    await post("old", JSON.stringify({ upload: fake }), "application/json");
    expect(seen.params.upload).toEqual(fake);
    expect(seen.params.upload).not.toBeInstanceOf(UploadedFile);
    await post("old", form([["upload", "x", PNG]]));
    expect(seen.params.upload).toBeInstanceOf(UploadedFile);
  });
});

describe('with uploads "declared"', () => {
  beforeEach(() => {
    config.web.uploads = "declared";
  });

  test("files that no input declares are a 415, and are not written", async () => {
    const opening = jest.spyOn(fs.promises, "open");
    for (const [name, field] of [
      ["old", "upload"],
      ["picture", "other"],
      ["picture", "__proto__"],
      ["picture", "constructor"],
    ] as const)
      expect(await post(name, form([[field, "x", PNG]]))).toMatchObject({
        status: 415,
        error: `this action takes no file "${field}"`,
      });
    expect(await post("old", "x", "application/octet-stream")).toMatchObject({
      status: 415,
      error: 'this action takes no file "file"',
    });
    expect(opening).not.toHaveBeenCalled();
    opening.mockRestore();
  });

  test("declared ones are taken, and fields as well", async () => {
    await post("picture", form([["picture", "x", PNG]]));
    expect(seen.params.picture.size).toBe(1);
    await post("octets", "x", "application/octet-stream");
    expect(seen.params.file.size).toBe(1);
    expect((await post("old", form([["upload", "x"]]))).status).toBe(200);
    expect(seen.params.upload).toBe("x");
  });

  test("an action that only the body names accepts no files", async () => {
    config.web.queryRouting = true;
    const body = form([
      ["action", "picture"],
      ["picture", "x", PNG],
    ]);
    expect((await post("nothing", body)).status).toBe(415);
    const { status } = await post("nothing?action=picture", body);
    expect(status).toBe(200);
  });
});

describe("all uploads together", () => {
  test("a request has at most 100 files unless maxFiles says otherwise", async () => {
    const files = (count: number) =>
      form(Array.from({ length: count }, (_, i): Part => [`f${i}`, "x", PNG]));
    expect((await post("old", files(100))).status).toBe(200);
    expect(await post("old", files(101))).toMatchObject({
      status: 413,
      error:
        "the request body is too large: web.formOptions.maxFiles is 100 files",
    });
  });

  test("a process writes to 8 files at once, and has no more of them open", async () => {
    config.web.formOptions = { uploadDir, maxFiles: 2000 };
    const { open } = fs.promises;
    let openNow = 0;
    let most = 0;
    const opening = jest
      .spyOn(fs.promises, "open")
      .mockImplementation(async (...args) => {
        most = Math.max(most, ++openNow);
        const handle = await open(...args);
        const close = handle.close.bind(handle);
        handle.close = async () => {
          openNow--;
          await close();
        };
        return handle;
      });
    const body = form(
      Array.from({ length: 500 }, (_, i): Part => [`f${i}`, "x", PNG]),
    );
    const answers = await Promise.all(
      Array.from({ length: 4 }, () => post("old", body)),
    );
    opening.mockRestore();
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    expect(Object.keys(seen.files)).toHaveLength(500);
    expect(most).toBe(8);
  });

  test("slow clients do not block uploads of others", async () => {
    config.web.maxUploadWrites = 1;
    const slow = Array.from({ length: 5 }, () => {
      const request = http.request({
        port: app.port,
        path: "/api/old",
        method: "POST",
        headers: { "Content-Type": "multipart/form-data; boundary=b" },
      });
      request.on("error", () => undefined);
      request.write(form([["f", "x", PNG]]).subarray(0, -8));
      return request;
    });
    await until(() => fs.readdirSync(uploadDir).length === 5);
    expect((await post("old", form([["upload", "x", PNG]]))).status).toBe(200);
    for (const request of slow) request.destroy();
  });

  test("beyond maxUploadBytes they are a 503 until others are gone", async () => {
    config.web.maxUploadBytes = 10_000;
    const body = form([["picture", "x".repeat(6000), PNG]]);
    const first = post("slow", body);
    await until(() => fs.readdirSync(uploadDir).length === 1);
    const refusal = await post("slow", body);
    expect(refusal).toMatchObject({
      status: 503,
      error: "the server has no room for uploaded files at the moment",
    });
    expect(refusal.headers["retry-after"]).toBe("10");
    expect((await first).status).toBe(200);
    await nothingLeft();
    expect((await post("slow", body)).status).toBe(200);
  });

  test("a full disk is a 503", async () => {
    const opening = jest
      .spyOn(fs.promises, "open")
      .mockRejectedValue(Object.assign(new Error("full"), { code: "ENOSPC" }));
    const { status } = await post("old", form([["upload", "x", PNG]]));
    opening.mockRestore();
    expect(status).toBe(503);
  });

  test("files of a failing action, and those that were moved, leave nothing behind", async () => {
    const body = form([["picture", "x".repeat(1000), PNG]]);
    expect((await post("failing", body)).status).toBe(500);
    await nothingLeft();
    const moved = path.join(os.tmpdir(), `moved-${process.pid}`);
    addActions({
      move: {
        inputs: { picture: file() },
        run: ({ params }) => fs.promises.rename(params.picture.filepath, moved),
      },
    });
    expect((await post("move", body)).status).toBe(200);
    await nothingLeft();
    expect(fs.readFileSync(moved)).toHaveLength(1000);
    fs.rmSync(moved);
  });

  test("a large file arrives byte for byte", async () => {
    const bytes = Buffer.from(
      Array.from({ length: 3_000_000 }, (_, i) => (i * 31 + (i >> 8)) % 256),
    );
    let copy: Buffer | undefined;
    addActions({
      read: {
        inputs: { picture: file() },
        run: ({ params }) => {
          copy = fs.readFileSync(params.picture.filepath);
        },
      },
    });
    await post("read", form([["picture", bytes, PNG]]));
    expect(copy?.equals(bytes)).toBe(true);
    await post("read", form([["picture", "", PNG]]));
    expect(copy).toHaveLength(0);
  });
});

test("a stop that cuts an upload removes its temporary file before it ends", async () => {
  const { general } = config;
  const before = general.shutdownTimeout;
  general.shutdownTimeout = 50;
  const upload = http.request({
    port: app.port,
    path: "/api/picture",
    method: "POST",
    headers: { "Content-Type": "multipart/form-data; boundary=b" },
  });
  upload.on("error", () => undefined);
  upload.write(form([["picture", "x".repeat(500), PNG]]).subarray(0, 400));
  await until(() => fs.readdirSync(uploadDir).length === 1);
  const web = api.servers.servers.web as WebServer;
  await web.stop();
  expect(fs.readdirSync(uploadDir)).toEqual([]);
  general.shutdownTimeout = before;
  config.web.port = app.port;
  await web.start();
});

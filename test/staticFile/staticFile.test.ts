import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { LogLines } from "../support/logLines";
import { once } from "node:events";
import type { Readable } from "node:stream";
import { config } from "../../src/config/config";
import {
  MAX_HELD_FILE_BYTES,
  REVALIDATE_MS,
} from "../../src/staticFile/results";
import {
  createStaticFileApi,
  type StaticFileApi,
} from "../../src/staticFile/staticFile";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

let folder: string;
let other: string;
let staticFile: StaticFileApi;

beforeEach(() => {
  const base = fs.mkdtempSync(path.join(os.tmpdir(), "static-"));
  folder = path.join(base, "one");
  other = path.join(base, "two");
  fs.mkdirSync(folder);
  fs.mkdirSync(other);
  fs.writeFileSync(path.join(folder, "a.txt"), "first");
  fs.writeFileSync(path.join(other, "b.html"), "second");
  fs.writeFileSync(path.join(folder, "LICENSE"), "none");
  fs.writeFileSync(path.join(folder, "empty.css"), "");
  staticFile = createStaticFileApi([folder, other]);
});

afterEach(() => {
  jest.restoreAllMocks();
  fs.rmSync(path.dirname(folder), { recursive: true, force: true });
});

function connectionFor(file?: unknown) {
  return {
    type: "test",
    remoteIP: "127.0.0.1",
    params: { file } as { [key: string]: any },
    error: null as any,
  };
}

async function textOf(stream: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

test("a small file comes with its bytes, type, length and time", async () => {
  const result = await staticFile.get(connectionFor("a.txt"));
  expect(result.error).toBeUndefined();
  expect(result.content?.toString()).toBe("first");
  expect(result.mime).toBe("text/plain");
  expect(result.length).toBe(5);
  expect(result.lastModified).toEqual(
    fs.statSync(path.join(folder, "a.txt")).mtime,
  );
  expect(result.file).toBe(path.join(folder, "a.txt"));
});

test("and as a stream, for who wants one; more than once", async () => {
  const result = await staticFile.get(connectionFor("a.txt"));
  expect(await textOf(result.fileStream!)).toBe("first");
  expect(await textOf(result.fileStream!)).toBe("first");
  const empty = await staticFile.get(connectionFor("empty.css"));
  expect(await textOf(empty.fileStream!)).toBe("");
});

test("an unknown extension is a stream of bytes", async () => {
  const { mime } = await staticFile.get(connectionFor("LICENSE"));
  expect(mime).toBe("application/octet-stream");
});

test("folders are searched in order, from the one that is asked for", async () => {
  expect((await staticFile.get(connectionFor("b.html"))).length).toBe(6);
  expect((await staticFile.get(connectionFor("a.txt"), 1)).error).toBe(
    "that file is not found",
  );
  expect(staticFile.searchPath()).toBe(folder);
  expect(staticFile.searchPath(1)).toBe(other);
  expect(staticFile.searchPath(2)).toBeUndefined();
});

test("folders can be added and removed while it runs", async () => {
  staticFile.searchLocations.pop();
  expect((await staticFile.get(connectionFor("b.html"))).error).toBeDefined();
  staticFile.searchLocations.push(other);
  expect((await staticFile.get(connectionFor("b.html"))).error).toBeUndefined();
});

test.each([undefined, "", 5, {}, ["a.txt"], null])(
  "%j names no file",
  async (file) => {
    const connection = connectionFor(file);
    const result = await staticFile.get(connection);
    expect(result.error).toBe("that file is not found");
    expect(result.mime).toBe("text/html");
    expect(result.length).toBe("that file is not found".length);
    expect(connection.error.message).toBe(
      "file is a required param to send a file",
    );
  },
);

test("a file that does not exist", async () => {
  const connection = connectionFor("nothing.txt");
  const result = await staticFile.get(connection);
  expect(result.error).toBe("that file is not found");
  expect(connection.error.message).toBe("that file is not found");
});

test("the texts come from config.errors", async () => {
  config.errors.fileNotFound = async () => "nope";
  const { error } = await staticFile.get(connectionFor("nothing.txt"));
  expect(error).toBe("nope");
});

test("the disk is asked again once a file was believed long enough", async () => {
  const now = jest.spyOn(performance, "now");
  const start = 1_000_000;
  now.mockReturnValue(start);
  const file = path.join(folder, "a.txt");
  await staticFile.get(connectionFor("a.txt"));
  fs.writeFileSync(file, "changed");
  const before = await staticFile.get(connectionFor("a.txt"));
  expect(before.content?.toString()).toBe("first");
  now.mockReturnValue(start + REVALIDATE_MS);
  const after = await staticFile.get(connectionFor("a.txt"));
  expect(after.content?.toString()).toBe("changed");
  fs.rmSync(file);
  now.mockReturnValue(start + 2 * REVALIDATE_MS);
  expect((await staticFile.get(connectionFor("a.txt"))).error).toBeDefined();
});

test("a long file is streamed, and the descriptor closed", async () => {
  const bytes = Buffer.alloc(MAX_HELD_FILE_BYTES + 1, "x");
  fs.writeFileSync(path.join(folder, "long.bin"), bytes);
  const result = await staticFile.get(connectionFor("long.bin"));
  expect(result.content).toBeUndefined();
  expect(result.length).toBe(bytes.length);
  const stream = result.fileStream!;
  const closed = once(stream, "close");
  expect((await textOf(stream)).length).toBe(bytes.length);
  await closed;
});

test("a file that vanished between search and opening is an error answer", async () => {
  const connection = connectionFor("gone.txt");
  const missing = path.join(folder, "gone.txt");
  const result = await staticFile.sendFile(missing, connection);
  expect(result.error).toBe("that file is not found");
  expect(connection.error.message).toMatch(/^error reading file: ENOENT/);
});

test("a folder cannot be streamed and does not crash", async () => {
  const result = await staticFile.sendFile(folder, connectionFor("x"));
  const stream = result.fileStream;
  if (stream) {
    const [error] = (await once(stream.resume(), "error")) as [Error];
    expect(error.message).toMatch(/EISDIR/);
  } else expect(result.error).toBeDefined();
});

test("checkExistence follows folders to their index", async () => {
  fs.writeFileSync(path.join(folder, "index.html"), "");
  expect(await staticFile.checkExistence(folder)).toEqual({
    exists: true,
    truePath: path.join(folder, "index.html"),
  });
  const missing = path.join(folder, "no");
  expect(await staticFile.checkExistence(missing)).toEqual({
    exists: false,
    truePath: missing,
  });
});

test("a request is logged once its bytes were sent, not before", async () => {
  const logged = jest.spyOn(staticFile, "logRequest");
  const held = await staticFile.get(connectionFor("a.txt"));
  expect(logged).not.toHaveBeenCalled();
  held.sent!();
  expect(logged).toHaveBeenLastCalledWith(
    held.file,
    held.connection,
    5,
    expect.any(Number),
    true,
  );
  await textOf(held.fileStream!);
  expect(logged).toHaveBeenCalledTimes(2);
});

test("its line shows no more of the request than the other lines do", async () => {
  const lines = new LogLines();
  await staticFile.get(connectionFor("x".repeat(100_000)));
  lines.stop();
  const max = config.logger.maxLogStringLength;
  const [line] = lines.lines.filter(({ message }) =>
    message.includes("file @"),
  );
  expect(line.requestedFile).toBe("x".repeat(max));
});

test("it has the members that projects know", () => {
  expect(Object.keys(staticFile).sort()).toEqual([
    "checkExistence",
    "fileLogger",
    "get",
    "logRequest",
    "searchLocations",
    "searchPath",
    "sendFile",
    "sendFileNotFound",
  ]);
});

test("a name that is longer than any path is not looked for", async () => {
  const look = jest.spyOn(fs.promises, "realpath");
  const { error } = await staticFile.get(connectionFor("a/".repeat(4_000_000)));
  expect(error).toBe("that file is not found");
  expect(look).not.toHaveBeenCalled();
});

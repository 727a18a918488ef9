/** Finds and opens files below the public folders: `api.staticFile`. */
import * as path from "node:path";
import type { Readable } from "node:stream";
import { api } from "../api";
import { settings } from "../config/settings";
import { wordedError, type ErrorName } from "../config/errorMessage";
import { toError } from "../errors";
import { escapeControls, escapeFields } from "../log/escape";
import { textForLogging } from "../log/filters";
import { log } from "../log/log";
import {
  isDotfile,
  locate,
  MAX_NAME_LENGTH,
  type LocatedFile,
  openFile,
  readFile,
} from "./disk";
import {
  ENDINGS,
  type FileConnection,
  FileMemory,
  type HeldFile,
  HeldFileResult,
  MAX_HELD_FILE_BYTES,
  Precompressed,
  type StaticFileResult,
  type StoredCopies,
} from "./results";

export type { FileConnection, StaticFileResult } from "./results";

export interface StaticFileApi {
  /** The public folders in the order in which they are searched; can be changed while the server runs. */
  searchLocations: string[];
  /** Find and open the file that `connection.params.file` names. */
  get(connection: FileConnection, counter?: number): Promise<StaticFileResult>;
  /** The folder that is searched as number `counter`. */
  searchPath(counter?: number): string | undefined;
  /** Open a file whose path is known to be allowed. */
  sendFile(file: string, connection: FileConnection): Promise<StaticFileResult>;
  /** The response when there is no such file; `errorMessage` says why, for the logs. */
  sendFileNotFound(
    connection: FileConnection,
    errorMessage: string,
  ): Promise<StaticFileResult>;
  /** Whether a path leads to a file; a folder leads to its index. */
  checkExistence(file: string): Promise<{ exists: boolean; truePath: string }>;
  logRequest(
    file: string,
    connection: FileConnection,
    length: number | null,
    duration: number | null,
    success: boolean,
  ): void;
  /** Log a stream's end as a successful request, and its failure as one that was not. */
  fileLogger(
    fileStream: Readable,
    connection: FileConnection,
    start: number,
    file: string,
    length: number,
  ): void;
}

declare module "../api" {
  interface Api {
    staticFile: StaticFileApi;
  }
}

export function createStaticFileApi(searchLocations: string[]): StaticFileApi {
  const memory = new FileMemory();
  const precompressed = new Precompressed();
  const copies: StoredCopies = {
    encodingsOf: ({ file, lastModified }) =>
      precompressed.encodingsOf(file!, lastModified!),

    get: ({ file, connection }, encoding) =>
      getFrom(
        path.dirname(file!),
        path.basename(file!) + ENDINGS[encoding],
        connection,
      ),
  };
  const staticFile: StaticFileApi = {
    searchLocations,

    async get(connection, counter = 0) {
      const file: unknown = connection.params.file;
      if (typeof file !== "string" || file === "") {
        return staticFile.sendFileNotFound(
          connection,
          await wording("fileNotProvided", connection),
        );
      }
      const locations = staticFile.searchLocations;
      for (let i = counter; i < locations.length; i++) {
        const found = await getFrom(locations[i]!, file, connection);
        if (found) return found;
      }
      return staticFile.sendFileNotFound(
        connection,
        await wording("fileNotFound", connection),
      );
    },

    searchPath: (counter = 0) => staticFile.searchLocations[counter],

    sendFile: (file, connection) =>
      stream({ realPath: file, path: file, isIndex: false }, connection),

    async sendFileNotFound(connection, reason) {
      connection.error = new Error(reason);
      staticFile.logRequest("{not found}", connection, null, null, false);
      const error = await wording("fileNotFound", connection);
      return { connection, error, mime: "text/html", length: error.length };
    },

    async checkExistence(file) {
      const found = await locate("/", path.resolve(file), indexName());
      return { exists: found !== undefined, truePath: found?.path ?? file };
    },

    logRequest(file, connection, length, duration, success) {
      const level = settings().general.fileRequestLogLevel;
      log(`[ file @ ${connection.type} ]`, level, {
        to: textForLogging(connection.remoteIP),
        file: file && escapeControls(file),
        requestedFile: textForLogging(connection.params.file),
        size: length,
        duration,
        success,
      });
    },

    fileLogger(fileStream, connection, start, file, length) {
      fileStream.once("end", () =>
        staticFile.logRequest(
          file,
          connection,
          length,
          Date.now() - start,
          true,
        ),
      );
      fileStream.once("error", (error) => {
        log(
          escapeControls(`error reading file: ${error.message}`),
          "error",
          escapeFields({ file }),
        );
        staticFile.logRequest(
          file,
          connection,
          length,
          Date.now() - start,
          false,
        );
      });
    },
  };

  /** The file below one folder: from memory, from the disk into memory, or as a stream when it is long. */
  async function getFrom(
    location: string,
    name: string,
    connection: FileConnection,
  ): Promise<StaticFileResult | undefined> {
    if (name.length > MAX_NAME_LENGTH) return undefined;
    if (hidesDotfiles() && isDotfile(location, name)) return undefined;
    const index = indexName();
    const key = `${location}\0${index}\0${name}`;
    const believed = memory.fresh(key);
    if (believed) return fromMemory(believed, connection);

    const found = await locate(location, name, index);
    if (!found) {
      memory.forget(key);
      return undefined;
    }
    if (found.stats.size > MAX_HELD_FILE_BYTES)
      return stream(found, connection);
    const known = memory.confirm(key, found.stats);
    if (known) return fromMemory(known, connection);
    try {
      const content = await readFile(found.realPath);
      const { path: file, isIndex } = found;
      return fromMemory(memory.hold(key, file, content, isIndex), connection);
    } catch (error) {
      return unreadable(connection, error);
    }
  }

  function fromMemory(
    held: HeldFile,
    connection: FileConnection,
  ): StaticFileResult {
    const start = Date.now();
    return new HeldFileResult(connection, held, copies, () =>
      staticFile.logRequest(
        held.file,
        connection,
        held.length,
        Date.now() - start,
        true,
      ),
    );
  }

  async function stream(
    { realPath, path: file, isIndex }: Omit<LocatedFile, "stats">,
    connection: FileConnection,
  ): Promise<StaticFileResult> {
    const start = Date.now();
    try {
      const opened = await openFile(realPath);
      staticFile.fileLogger(
        opened.fileStream,
        connection,
        start,
        file,
        opened.length,
      );
      return { connection, file, isIndex, copies, ...opened };
    } catch (error) {
      return unreadable(connection, error);
    }
  }

  /** Gone, or not readable, since it was found. */
  async function unreadable(
    connection: FileConnection,
    error: unknown,
  ): Promise<StaticFileResult> {
    return staticFile.sendFileNotFound(
      connection,
      await wording("fileReadError", connection, toError(error)),
    );
  }

  return staticFile;
}

function hidesDotfiles(): boolean {
  const { dotfiles } = settings().web;
  return dotfiles === "ignore";
}

function indexName(): string {
  return settings().general.directoryFileType;
}

async function wording(
  name: ErrorName,
  connection: FileConnection,
  error?: Error,
): Promise<string> {
  const worded = await wordedError(name, connection, error);
  if (worded instanceof Error) return worded.message;
  return typeof worded === "string" ? worded : JSON.stringify(worded);
}

/** Log which folders are served. */
export function logSearchLocations(): void {
  log("static files will be served from these directories", "debug", {
    ...api.staticFile.searchLocations,
  });
}

/** The rows of `newProjectSettings.ts` that write whole functions. */

export const createChatRoomRow: NewProjectSetting = {
  setting: "actions/createChatRoom.ts",
  v29: "any method, any name",
  newProject: "POST only, a name of at most 256 bytes",
  reason: "a link must not create rooms, and long names must not fill redis",
  edits: [
    {
      file: "actions/createChatRoom.ts",
      find: `export class CreateChatRoom extends Action {
  override inputs = {
    name: { required: true as const },
  };
`,
      replace: `/** The longest accepted name, in bytes. */
const MAX_NAME_BYTES = 256;

function checkName(name: unknown) {
  if (typeof name !== "string") return "name must be a text";
  if (Buffer.byteLength(name) > MAX_NAME_BYTES)
    return \`name must have at most \${MAX_NAME_BYTES} bytes\`;
  return true;
}

export class CreateChatRoom extends Action {
  readonly httpMethods = ["post"];
  override inputs = {
    name: { required: true as const, validator: checkName },
  };
`,
    },
  ],
};

export const serverTokenRow: NewProjectSetting = {
  setting: "general.serverToken",
  v29: "`change-me`",
  newProject:
    "`ACTIONHERO_SERVER_TOKEN`, which `generate` writes to `.env`; without it, a random token in development and test",
  reason: "anyone who knows the token can call functions of all nodes",
  edits: [
    {
      file: "config/api.ts",
      find: `import * as fs from "fs";
`,
      replace: `import { randomBytes } from "crypto";
import * as fs from "fs";
`,
    },
    {
      file: "config/api.ts",
      find: `      serverToken: "change-me",
`,
      replace: `      serverToken: serverToken(config),
`,
    },
    {
      file: "config/api.ts",
      find: "      serverToken: `serverToken-${process.env.JEST_WORKER_ID || 0}`,\n",
      replace: "",
    },
    {
      file: "config/api.ts",
      find: `export const DEFAULT = {
`,
      replace: `/** One for each process: enough where no other process shares its redis. */
const RANDOM_TOKEN = randomBytes(32).toString("hex");

export const DEFAULT = {
`,
    },
    {
      file: "config/api.ts",
      after: `      fileRequestLogLevel: "debug",
    };
  },
};
`,
      insert: `
/**
 * The variable, which production requires. Processes of development and test that share a redis server share a token.
 */
function serverToken({ process: { env }, redis }: ActionheroConfigInterface) {
  if (process.env.ACTIONHERO_SERVER_TOKEN)
    return process.env.ACTIONHERO_SERVER_TOKEN;
  if (env !== "development" && env !== "test") return "";
  if (redis?.client.konstructor.name === "EmbeddedRedis") return RANDOM_TOKEN;
  return env === "test"
    ? \`serverToken-\${process.env.JEST_WORKER_ID || 0}\`
    : "change-me";
}
`,
    },
  ],
};

// --- The form of a row of the table in `newProjectSettings.ts`.

export type Environment = "development" | "test" | "production";

export interface NewProjectSetting {
  /** The dotted path of the setting, or the file whose code differs, such as `"actions/createChatRoom.ts"`. */
  setting: string;
  /** Version 29's value, as the docs show it. JSON (`false`, `"all"`, `0`) is also compared with the configuration. */
  v29: string;
  /** The value in a new project, in the same form. */
  newProject: string;
  /** The reason for the difference, as in the docs. */
  reason: string;
  edits: readonly SourceEdit[];
  /** The paths that differ in the built configuration (default: `setting`; none when it is a file). */
  paths?: readonly string[];
  /** The environments in which they differ (default: all three). */
  environments?: readonly Environment[];
}

// --- Exact edits of the framework's own sources on their way into a new project.

/** Replaces `find`, or inserts text directly after `after`. */
export type SourceEdit =
  | { file: string; find: string; replace: string }
  | { file: string; after: string; insert: string };

interface Replacement {
  start: number;
  end: number;
  text: string;
}

/**
 * Apply all edits of one file to its source; the order matters only for insertions at the same place.
 * @throws Error if the text of an edit does not occur exactly once, or if two replacements overlap
 */
export function editSource(
  file: string,
  source: string,
  edits: readonly SourceEdit[],
): string {
  const replacements = edits
    .filter((edit) => edit.file === file)
    .map((edit) => locate(source, edit))
    .sort((a, b) => a.start - b.start);
  let edited = "";
  let position = 0;
  for (const { start, end, text } of replacements) {
    if (start < position)
      throw new Error(`two edits of ${file} overlap at: ${text}`);
    edited += source.slice(position, start) + text;
    position = end;
  }
  return edited + source.slice(position);
}

function locate(source: string, edit: SourceEdit): Replacement {
  const wanted = "find" in edit ? edit.find : edit.after;
  const found = source.indexOf(wanted);
  if (found === -1)
    throw new Error(`${edit.file} does not contain the text: ${wanted}`);
  if (source.includes(wanted, found + 1))
    throw new Error(`${edit.file} contains the text more than once: ${wanted}`);
  const end = found + wanted.length;
  return "find" in edit
    ? { start: found, end, text: edit.replace }
    : { start: end, end, text: edit.insert };
}

/** Explains why a server did not start: what failed, in which file, and how to fix it. */
import * as fs from "node:fs";
import * as path from "node:path";
import { parseEnv } from "node:util";
import { findProjectRoot, packageRoot } from "./runtime";

/** Details of an error that ended a boot or a stop. */
interface Failure extends NodeJS.ErrnoException {
  data?: {
    /** The project's file that could not be loaded. */
    loading?: string;
    /** The initializer, its file, and its phase. */
    name?: string;
    file?: string;
    type?: string;
    /** The type of the server that could not listen. */
    server?: string;
    /** The configuration file that lacks a value, and how to set it. */
    config?: string;
    remedy?: string;
  };
}

const DEBUG_HINT = "LOG_LEVEL=debug shows the stack";

/** The original errors behind an explanation, for the stack. */
const reasons = new WeakMap<Error, Failure>();

/** Errors that have already been explained, so that each is explained once. */
const explained = new WeakSet<Error>();

export function markExplained(error: Error): void {
  explained.add(error);
}

export function wasExplained(error: Error): boolean {
  return explained.has(error);
}

/** The stack is shown only for debugging. */
export function wantsStacks(): boolean {
  return process.env.LOG_LEVEL === "debug";
}

/**
 * Add the property `explanation` to a configuration error, because the setting that controls reports is not
 * available yet: `src/server.ts` of new projects and the command line print it.
 * @param reason the error to explain instead
 */
export function explainable<T extends Error>(
  error: T,
  reason: Error = error,
): T {
  if ("explanation" in error || !Object.isExtensible(error)) return error;
  reasons.set(error, reason);
  return Object.defineProperty(error, "explanation", {
    get: () => (wantsStacks() ? undefined : explainBootError(error).join("\n")),
  });
}

/** The explanation of an error, else its message. */
export function explanationOf(error: Error): string {
  const { explanation } = error as { explanation?: string };
  return explanation ?? error.toString();
}

/** @returns three lines */
export function explainBootError(failed: Failure): string[] {
  const error = reasons.get(failed) ?? failed;
  const action = error.data?.type === "stop" ? "stop" : "start";
  const variable = variableIn(error);
  return [
    `cannot ${action}: ${headlineOf(error)}`,
    `  in ${variable === undefined ? placeOf(error) : placeOfVariable(variable)}`,
    `  ${remedyOf(error, variable)}`,
  ];
}

function placeOf(error: Failure): string {
  const { loading, file, name, server, config } = error.data ?? {};
  const namespace = config ?? server;
  if (namespace !== undefined) return configFile(namespace);
  if (error.code === "AH_REDIS_CONNECT") return configFile("redis");
  const culprit = loading ?? (file && isOwn(file) ? undefined : file);
  if (culprit !== undefined)
    return placeOfSyntax(error) ?? `${shown(culprit)}${lineIn(error, culprit)}`;
  return name === undefined ? "the project" : `the initializer \`${name}\``;
}

/** @param variable the environment variable to correct */
function remedyOf(error: Failure, variable: string | undefined): string {
  const { server, loading, type, remedy } = error.data ?? {};
  if (server !== undefined || error.code === "AH_SERVER_START")
    return remedyOfPort(error, server);
  if (variable !== undefined) return `correct ${variable}; ${DEBUG_HINT}`;
  if (remedy !== undefined) return remedy;
  if (error.code === "AH_REDIS_CONNECT")
    return (
      remedyOfCertificate(error.message) ??
      "start the redis server, or correct REDIS_URL, or REDIS_HOST and REDIS_PORT; without them a redis inside the process is used"
    );
  if (loading !== undefined || type === "load")
    return `correct this file; ${DEBUG_HINT}`;
  return DEBUG_HINT;
}

/**
 * The remedy if the certificate of redis is not accepted; undefined for other reasons. Clients of Sentinel and Cluster
 * pass on nothing but the text of the error.
 */
export function remedyOfCertificate(reason: string): string | undefined {
  // an alert is the refusal of redis: it wants a certificate of ours
  if (!/certificate/i.test(reason) || /\balert\b/i.test(reason))
    return undefined;
  return "redis needs a certificate that is valid and names its host; for one of a private authority set NODE_EXTRA_CA_CERTS to the file of the authority's certificate, in the environment, not in .env";
}

/** Examples of another port, by the type of a server. */
const EXAMPLES: Partial<Record<string, string>> = {
  web: ": PORT=8081 npm start",
  socket: ": SOCKET_PORT=5001 npm start",
};

function remedyOfPort(error: Failure, server = ""): string {
  switch (causeOf(error)) {
    case "EADDRINUSE":
      return `stop the program that has this port, or choose another one${EXAMPLES[server] ?? ""}`;
    case "EACCES":
      return "ports below 1024 need more rights: choose a higher one";
    case "ERR_SOCKET_BAD_PORT":
      return "a port is a number from 0 to 65535";
    case undefined:
    default:
      return DEBUG_HINT;
  }
}

function causeOf({ cause }: Failure): string | undefined {
  return (cause as NodeJS.ErrnoException | undefined)?.code;
}

/**
 * The environment variable that caused an error: one that is set and that the error names. Errors thrown by a file
 * of the project are searched in that file.
 */
function variableIn(error: Failure): string | undefined {
  const { loading, server } = error.data ?? {};
  if (server !== undefined)
    return server === "web" &&
      causeOf(error) === "ERR_SOCKET_BAD_PORT" &&
      process.env.PORT
      ? "PORT"
      : undefined;
  const isFrameworks =
    loading === undefined ? error.code === "AH_CONFIG" : isOwn(loading);
  if (!isFrameworks) return undefined;
  const names = error.message.match(/\b[A-Z][A-Z0-9_]{3,}\b/g) ?? [];
  return names.find((name) => process.env[name] !== undefined);
}

/** `.env` with the line, if the value comes from there: a variable of the environment takes precedence, also an empty one. */
function placeOfVariable(name: string): string {
  const file = path.join(findProjectRoot(), ".env");
  const text = fs.existsSync(file) ? fs.readFileSync(file, "utf8") : "";
  const at = text
    .split("\n")
    .findIndex(
      (line) => /^\s*(?:export\s+)?(\w+)\s*=/.exec(line)?.[1] === name,
    );
  if (at < 0) return `the environment: ${name}`;
  return parseEnv(text)[name] === process.env[name]
    ? `.env:${at + 1}`
    : `the environment: ${name}, which takes precedence over .env:${at + 1}`;
}

/** The place where users look for the settings of a namespace. */
function configFile(namespace: string): string {
  const found = ["src/config", "config"].flatMap((folder) =>
    ["ts", "js"].map((extension) => `${folder}/${namespace}.${extension}`),
  );
  const root = findProjectRoot();
  return (
    found.find((file) => fs.existsSync(path.join(root, file))) ?? found[0]!
  );
}

/** The file and line at the beginning of compiler errors. */
const SYNTAX_PLACE =
  /^(?:file:\/\/)?(.+?\.[cm]?[jt]sx?)((?::\d+){1,2})(?=$|: )/;

/** The mistake may be in a file that the failed file loads. */
function placeOfSyntax({ stack = "" }: Failure): string | undefined {
  for (const line of stack.split("\n", 2)) {
    const [, file, at] = SYNTAX_PLACE.exec(line) ?? [];
    if (file !== undefined && path.isAbsolute(file))
      return `${shown(file)}${at}`;
  }
  return undefined;
}

/** The file and line that the error names, in a form that editors and terminals can open. */
function lineIn({ stack = "" }: Failure, file: string): string {
  const at = stack.indexOf(`${file}:`);
  if (at < 0) return "";
  return /^(:\d+)+/.exec(stack.slice(at + file.length))?.[0] ?? "";
}

function shown(file: string): string {
  const relative = path.relative(findProjectRoot(), file);
  return relative.startsWith("..") ? file : relative;
}

function isOwn(file: string): boolean {
  return (
    file.startsWith(packageRoot + path.sep) && packageRoot !== findProjectRoot()
  );
}

/** The first line, or the first entry of a list: tsx prints the number of errors first, then their places. */
function headlineOf({ message }: Failure): string {
  const [first = "", second] = message.trim().split("\n", 2);
  if (!first.endsWith(":") || second === undefined) return first;
  return second
    .trim()
    .replace(SYNTAX_PLACE, "")
    .replace(/^: (?:ERROR: )?/, "");
}

/** Why a server did not start, for the person who started it: the thing, the file, and the remedy. */
import * as path from "node:path";
import { findProjectRoot, packageRoot } from "../environment/paths";

/** What an error that ended a boot or a stop knows of itself. */
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
  };
}

const DEBUG_HINT = "LOG_LEVEL=debug shows the stack";

/** @returns three lines */
export function explainBootError(error: Failure): string[] {
  const action = error.data?.type === "stop" ? "stop" : "start";
  return [
    `cannot ${action}: ${firstLine(error.message)}`,
    `  in ${placeOf(error)}`,
    `  ${remedyOf(error)}`,
  ];
}

function placeOf(error: Failure): string {
  const { loading, file, name, server } = error.data ?? {};
  if (server !== undefined) return configFile(server);
  if (error.code === "AH_REDIS_CONNECT") return configFile("redis");
  const culprit = loading ?? (file && isOwn(file) ? undefined : file);
  if (culprit !== undefined)
    return `${shown(culprit)}${lineIn(error, culprit)}`;
  return name === undefined ? "the project" : `the initializer \`${name}\``;
}

function remedyOf(error: Failure): string {
  const { server, loading } = error.data ?? {};
  const { code } = (error.cause ?? error) as NodeJS.ErrnoException;
  if (server !== undefined && code === "EADDRINUSE")
    return `stop the program that has this port, or choose another one${server === "web" ? ": PORT=8081 npm start" : ""}`;
  if (server !== undefined && code === "EACCES")
    return "ports below 1024 need more rights: choose a higher one";
  if (error.code === "AH_REDIS_CONNECT")
    return "start the redis server, or correct REDIS_URL or REDIS_HOST; without them a redis inside the process is used";
  if (loading !== undefined) return `correct this file; ${DEBUG_HINT}`;
  return DEBUG_HINT;
}

/** Where the settings of a namespace are, as people look for it. */
function configFile(namespace: string): string {
  return `config/${namespace}.ts`;
}

/** The line of the file that the error names, for a place that editors and terminals can open. */
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

function firstLine(text: string): string {
  return text.trim().split("\n", 1)[0]!;
}

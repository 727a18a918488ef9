/** The loggers that a `config.js` of version 3 asks for. */
import * as path from "node:path";
import * as winston from "winston";
import type { LoggerTools } from "../log/loggerTools";
import type { ConfigData } from "./configData";

type Builder = (config: unknown, tools: LoggerTools) => winston.LoggerOptions;

/** The console, and a file when one is named; none when logging is off. */
export function legacyLoggers(
  { logging, logFolder, logFile }: NonNullable<ConfigData["log"]>,
  root: string,
): Builder[] {
  if (logging === false) return [];
  const loggers: Builder[] = [
    (_config, tools) => ({
      ...levels(),
      format: tools.consoleFormat(),
      transports: [new tools.ConsoleTransport()],
    }),
  ];
  if (logFolder === undefined && logFile === undefined) return loggers;
  const filename = path.resolve(root, logFolder ?? "log", logFile ?? "api.log");
  loggers.push((_config, tools) => ({
    ...levels(),
    format: tools.jsonFormat(),
    transports: [new tools.FileTransport({ filename })],
  }));
  return loggers;
}

function levels() {
  return {
    level: process.env.LOG_LEVEL ?? "info",
    levels: winston.config.syslog.levels,
  };
}

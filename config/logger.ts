import * as path from "path";
import type * as winston from "winston";
import type {
  ActionheroConfigInterface,
  ActionheroLogLevel,
  LoggerTools,
} from "../src";

const namespace = "logger";

declare module "../src" {
  interface ActionheroConfigInterface {
    [namespace]: ReturnType<(typeof DEFAULT)[typeof namespace]>;
  }
}

/** Builds one winston logger (or its options); any winston format or transport can be used here. */
type LoggerBuilder = (
  config: ActionheroConfigInterface,
  tools: LoggerTools,
) => winston.Logger | winston.LoggerOptions;

const levelFromEnv = () => process.env.LOG_LEVEL as ActionheroLogLevel;

export const DEFAULT = {
  [namespace]: (config: ActionheroConfigInterface) => {
    return {
      loggers: [
        buildConsoleLogger(levelFromEnv()),
        ...config.general.paths.log.map((folder) =>
          buildFileLogger(folder, levelFromEnv()),
        ),
      ] as LoggerBuilder[],
      // the lines on stdout: readable "text", or "json", one document per line
      format: "text" as "text" | "json",
      // fields whose values are hidden in all log lines: paths as in `general.filteredParams`
      redact: [] as string[] | (() => string[]),
      // longer strings in params are truncated in log lines
      maxLogStringLength: 100,
      // longer arrays in params are shown as their length
      maxLogArrayLength: 10,
    };
  },
};

export const test = {
  [namespace]: (config: ActionheroConfigInterface) => {
    return {
      loggers: [
        buildConsoleLogger(levelFromEnv() ?? "crit"),
        ...config.general.paths.log.map((folder) =>
          buildFileLogger(folder, "debug"),
        ),
      ] as LoggerBuilder[],
    };
  },
};

/** Lines on stdout: by default readable text, coloured at a terminal. */
function buildConsoleLogger(level: ActionheroLogLevel = "info"): LoggerBuilder {
  return (config, { levels, consoleFormat, jsonFormat, ConsoleTransport }) => ({
    level,
    levels,
    format:
      config.logger.format === "json"
        ? jsonFormat({ id: config.process.id })
        : consoleFormat(),
    transports: [new ConsoleTransport()],
  });
}

/** One JSON document per line in `<folder>/<id>-<env>.log`. */
function buildFileLogger(
  folder: string,
  level: ActionheroLogLevel = "info",
): LoggerBuilder {
  return (config, { levels, jsonFormat, FileTransport }) => {
    const { id, env } = config.process;
    return {
      level,
      levels,
      format: jsonFormat(),
      transports: [
        new FileTransport({
          filename: path.join(folder, `${id}-${env}.log`),
        }),
      ],
    };
  };
}

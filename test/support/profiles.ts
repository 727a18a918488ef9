/** Builds the configuration of the two profiles, in a form in which they can be compared. */
import type { ActionheroConfigInterface, LoggerTools } from "../../src";
import type { Environment } from "../../src/cli/generate/newProjectSettings";

/** Each leaf of a configuration by its dotted path; functions are their source. */
export type FlatConfig = Map<string, unknown>;

/** Variables that settings of a profile depend on: each set builds other parts of the configuration. */
const VARIABLES: Record<string, string>[] = [
  {},
  { REDIS_URL: "rediss://localhost:6390/0" },
];

/** Names, versions and paths: they differ between any two projects. */
const OF_THE_PROJECT =
  /^(process\.|general\.(apiVersion|serverName|welcomeMessage|paths\.)|web\.httpHeaders\.X-Powered-By$)/;

/** Build the configuration of the project in a folder, once for each set of variables. */
export function buildConfigs(
  projectRoot: string,
  environment: Environment,
): FlatConfig[] {
  return VARIABLES.map((variables) => {
    const flat: FlatConfig = new Map();
    flatten(loadConfig(projectRoot, environment, variables), "", flat);
    return flat;
  });
}

/** The configuration of the project in a folder, as a process with these variables would build it. */
export function loadConfig(
  projectRoot: string,
  environment: Environment,
  variables: Record<string, string> = {},
): ActionheroConfigInterface {
  const before = { ...process.env };
  try {
    for (const name of Object.keys(process.env))
      if (/^(REDIS_|ACTIONHERO_)/.test(name)) delete process.env[name];
    Object.assign(process.env, variables, {
      PROJECT_ROOT: projectRoot,
      NODE_ENV: environment,
    });
    jest.resetModules();
    return (require("../../src") as typeof import("../../src")).config;
  } finally {
    process.env = before;
  }
}

/** Paths whose values differ, each with the two values. */
export function differences(
  ours: readonly FlatConfig[],
  theirs: readonly FlatConfig[],
): Map<string, [unknown, unknown]> {
  const found = new Map<string, [unknown, unknown]>();
  for (const [index, mine] of ours.entries()) {
    const other = theirs[index];
    for (const path of new Set([...mine.keys(), ...other.keys()])) {
      const values: [unknown, unknown] = [mine.get(path), other.get(path)];
      if (!Object.is(...values)) found.set(path, values);
    }
  }
  return found;
}

function flatten(value: unknown, path: string, flat: FlatConfig): void {
  const below = (name: string | number) =>
    path === "" ? String(name) : `${path}.${name}`;
  if (OF_THE_PROJECT.test(path)) return;
  if (path.startsWith("logger.loggers.") && typeof value === "function")
    return flatten(describeLogger(value as LoggerBuilder), path, flat);

  const entries = Array.isArray(value)
    ? [...value.entries()]
    : isRecord(value)
      ? Object.entries(value)
      : [];
  for (const [name, part] of entries) flatten(part, below(name), flat);
  if (entries.length > 0) return;
  flat.set(path, leaf(value));
}

/** Sections that the framework does not expand are compared key by key, too; class instances are not. */
function isRecord(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  const parent = Object.getPrototypeOf(value) as object | null;
  return parent === null || Object.getPrototypeOf(parent) === null;
}

function leaf(value: unknown): unknown {
  if (typeof value === "function") return sourceOf(value);
  if (typeof value !== "object" || value === null) return value;
  return JSON.stringify(value);
}

/** ES modules reach CommonJS packages in other words. */
function sourceOf(value: unknown): string {
  return String(value)
    .replace(/\bload\(/g, "require(")
    .replace(/\bwinston_1\.default\b/g, "winston");
}

type LoggerBuilder = (config: unknown, tools: unknown) => unknown;

/** A builder's closure is part of what it does: so it is called, with tools that write down how they are used. */
function describeLogger(builder: LoggerBuilder): Record<string, unknown> {
  const uses: Record<string, unknown> = {};
  const { config: known, format } =
    require("winston") as typeof import("winston");
  const Transport =
    require("winston-transport") as typeof import("winston-transport");
  const note =
    (name: string) =>
    (...words: unknown[]) => {
      uses[name] = words;
      return format.simple();
    };
  const transport = (name: string) =>
    class extends Transport {
      constructor({ filename: _, ...options }: Record<string, unknown> = {}) {
        super(options);
        uses[name] = options;
      }
      override log() {}
    };
  const tools: Record<keyof LoggerTools, unknown> = {
    levels: known.syslog.levels,
    consoleFormat: note("consoleFormat"),
    jsonFormat: note("jsonFormat"),
    ConsoleTransport: transport("ConsoleTransport"),
    FileTransport: transport("FileTransport"),
  };
  const config = { process: { id: "id", env: "env" }, logger: {} };
  const logger = builder(config, tools) as {
    level: unknown;
    levels: unknown;
    close?: () => void;
  };
  const { level, levels } = logger;
  logger.close?.();
  return { source: sourceOf(builder), level, levels, uses };
}

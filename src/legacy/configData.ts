/** The `config.js` of version 3. Its keys are all optional. */
import * as fs from "node:fs";
import * as path from "node:path";

type Section = Record<string, unknown>;

interface Listener {
  enable?: boolean;
  port?: number | string;
  bindIP?: string | null;
}

export interface ConfigData {
  general?: {
    flatFileDirectory?: string;
    flatFileNotFoundMessage?: string;
    flatFileIndexPageNotFoundMessage?: string;
    defaultChatRoom?: string;
    workers?: number;
    [setting: string]: unknown;
  };
  log?: {
    logging?: boolean;
    logFolder?: string;
    logFile?: string;
    logRequests?: boolean;
  };
  redis?: {
    enable?: boolean;
    host?: string;
    port?: number;
    password?: string | null;
    DB?: number | null;
    options?: Section | null;
    [setting: string]: unknown;
  };
  commonWeb?: {
    httpHeaders?: Section;
    urlPathForActions?: string;
    urlPathForFiles?: string;
    rootEndpointType?: "api" | "public" | "file";
  };
  httpServer?: Listener;
  httpsServer?: Listener & { keyFile?: string; certFile?: string };
  tcpServer?: Listener;
  webSockets?: {
    enable?: boolean;
    bind?: "http" | "https";
    logLevel?: number;
    settings?: unknown[];
  };
  [section: string]: unknown;
}

/**
 * What the project's `config.js` exports as `configData`, or what its `config.json` holds.
 * @throws Error naming the file that cannot be read
 */
export function readConfigData(root: string): ConfigData {
  const script = path.join(root, "config.js");
  if (fs.existsSync(script)) {
    const { configData } = attempt(
      script,
      () => require(script) as { configData?: ConfigData },
    );
    return configData ?? {};
  }
  const json = path.join(root, "config.json");
  if (!fs.existsSync(json)) return {};
  return attempt(json, () => {
    const value = JSON.parse(fs.readFileSync(json, "utf8")) as ConfigData & {
      configData?: ConfigData;
    };
    return value.configData ?? value;
  });
}

function attempt<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new Error(`cannot read ${file}: ${String(error)}`, { cause: error });
  }
}

/** The live configuration and the live facts about this process. */
import {
  flagValues,
  detectTypescript,
  readActionheroVersion,
  readEnv,
  readId,
} from "../environment/env";
import { explainable } from "../environment/bootErrors";
import { findProjectRoot } from "../environment/runtime";
import { ActionheroError, toError } from "../errors";
import { hashMerge, isPlainObject } from "../utils/objects";
import {
  loadConfig,
  pluginConfigFolders,
  locateConfigDirectories,
  type ReplacedSetting,
} from "./load";
import type { ActionheroConfigInterface } from "./types";

/** The environment: `--NODE_ENV`, NODE_ENV, else `"development"`. */
export let env = readEnv();
/** The framework's version. */
export let actionheroVersion = readActionheroVersion();
/** The project's directory. */
export let projectRoot = findProjectRoot();
/** Whether TypeScript sources are running directly. */
export let typescript = detectTypescript();
/** This process' name in the cluster. */
export let id = readId();
/** The settings of this environment that the DEFAULT of a later file replaced. */
export let replaced: readonly ReplacedSetting[] = [];
/** The configuration; read it at each use, because `rebuildConfig` replaces it. */
export let config: ActionheroConfigInterface = buildConfig();

/** Read environment, arguments and config files again, and replace `config` and the facts beside it. */
export function rebuildConfig(): void {
  env = readEnv();
  actionheroVersion = readActionheroVersion();
  projectRoot = findProjectRoot();
  typescript = detectTypescript();
  id = readId();
  config = buildConfig();
}

function buildConfig(): ActionheroConfigInterface {
  const directories = locateConfigDirectories(projectRoot, typescript);
  const load = (plugins?: string[]) => {
    const loaded = loadConfig(
      { ...directories, plugins },
      { env, id, typescript, projectRoot, actionheroVersion },
    );
    ({ replaced } = loaded);
    return applyOverrides(loaded.config);
  };
  const build = () => {
    const alone = load();
    const plugins = pluginConfigFolders(alone.plugins ?? {});
    return plugins.length > 0 ? load(plugins) : alone;
  };

  const built = build();
  const configuredId = readId(built.general?.id);
  if (configuredId === id) return built;
  id = configuredId; // the configuration may set the id of this process; values derived from the id are then rebuilt
  return build();
}

function applyOverrides(
  built: ActionheroConfigInterface,
): ActionheroConfigInterface {
  const sources = [
    process.env.ACTIONHERO_CONFIG_OVERRIDES ?? "",
    ...flagValues("ACTIONHERO_CONFIG_OVERRIDES"),
  ].filter((source) => source !== "");

  const overridden = sources.reduce(
    (merged, source) =>
      hashMerge(merged, parseOverrides(source)) as ActionheroConfigInterface,
    built,
  );
  return adoptSocketConfig(overridden);
}

/** Before version 28, the settings of the TCP server were in `config.servers.socket`; projects may still use that. */
function adoptSocketConfig(
  built: ActionheroConfigInterface,
): ActionheroConfigInterface {
  const { socket } = (built.servers ?? {}) as { socket?: unknown };
  if (!isPlainObject(socket)) return built;
  return hashMerge(built, { socket }) as ActionheroConfigInterface;
}

function parseOverrides(source: string): Record<string, unknown> {
  try {
    return JSON.parse(source) as Record<string, unknown>;
  } catch (error) {
    throw explainable(
      new ActionheroError(
        "AH_CONFIG",
        `could not parse ACTIONHERO_CONFIG_OVERRIDES: ${toError(error).toString()}`,
        { cause: error },
      ),
    );
  }
}

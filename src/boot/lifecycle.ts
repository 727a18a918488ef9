/** Loads the initializers and runs their phases in order of priority. */
import { discover, pluginFolders } from "../config/discover";
import { ActionheroError, toError } from "../errors";
import { log } from "../log/log";
import { instancesOf, loadModule } from "../utils/modules";
import type { Initializer } from "./initializer";

export type Phase = "initialize" | "start" | "stop";
export type PhaseFunction = () => Promise<void>;

/** An initializer with the file it came from, which error reports name. */
export interface LoadedInitializer {
  initializer: Initializer;
  file: string;
}

const PHASES: Record<
  Phase,
  {
    priority: "loadPriority" | "startPriority" | "stopPriority";
    before: string;
    after: string;
  }
> = {
  initialize: {
    priority: "loadPriority",
    before: "Loading initializer",
    after: "Loaded initializer",
  },
  start: {
    priority: "startPriority",
    before: "Starting initializer",
    after: "Started initializer",
  },
  stop: {
    priority: "stopPriority",
    before: "Stopping initializer",
    after: "Stopped initializer",
  },
};

/**
 * Construct every initializer of the framework, the project and its plugins. If two have the same name, only the
 * later one is kept.
 * @throws the error of the first file that cannot be loaded, `error.data` naming the file
 */
export function loadInitializers(): LoadedInitializer[] {
  pluginFolders("initializers"); // fails for a plugin whose path is missing, before anything is loaded
  const byName = new Map<string, LoadedInitializer>();
  for (const file of discover("initializers")) {
    for (const initializer of instantiate(file)) {
      const { name } = initializer;
      if (byName.delete(name)) {
        log(
          `an existing initializer with the same name \`${name}\` will be overridden by the file ${file}`,
          "warning",
        );
      }
      byName.set(name, { initializer, file });
    }
  }
  return [...byName.values()];
}

function instantiate(file: string): Initializer[] {
  try {
    const exported = loadModule(file, true);
    const found = instancesOf<Initializer>(exported, "initializer");
    if (found.length === 0)
      throw new Error(`no exported initializers found in ${file}`);
    for (const initializer of found) initializer.validate();
    return found;
  } catch (error) {
    throw describeFailure(error, { file, type: "load" });
  }
}

/** The functions of one phase, lowest priority first; equal priorities keep the order in which files were found. */
export function orderPhase(
  loaded: readonly LoadedInitializer[],
  phase: Phase,
): PhaseFunction[] {
  const { priority } = PHASES[phase];
  return loaded
    .filter(({ initializer }) => typeof initializer[phase] === "function")
    .map((entry) => ({ entry, rank: entry.initializer[priority] ?? 0 }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ entry }) => wrapPhase(entry, phase));
}

/** A phase of an initializer that takes longer, in ms, is named in the log, because the boot waits for it. */
const SLOW_PHASE_MS = 10_000;

function wrapPhase(
  { initializer, file }: LoadedInitializer,
  phase: Phase,
): PhaseFunction {
  const { before, after } = PHASES[phase];
  const { name } = initializer;
  return async () => {
    log(`${before}: ${name}`, "debug", { file });
    const timer = setTimeout(() => {
      const seconds = SLOW_PHASE_MS / 1000;
      log(
        `still waiting for \`${phase}\` of the initializer \`${name}\`, after ${seconds} s`,
        "warning",
        { file },
      );
    }, SLOW_PHASE_MS).unref();
    try {
      await initializer[phase]!();
    } catch (error) {
      throw describeFailure(error, { name, file, type: phase });
    } finally {
      clearTimeout(timer);
    }
    log(`${after}: ${name}`, "debug", { file });
  };
}

/** The thrown error itself, with its place of origin in `error.data`, for the reporters. */
function describeFailure(
  thrown: unknown,
  where: { name?: string; file: string; type: string },
): Error {
  const error = toError(thrown) as Error & { data?: object };
  try {
    error.data = { ...error.data, ...where };
    return error;
  } catch {
    return new ActionheroError("AH_BOOT", error.message, { cause: error });
  }
}

/** The base class of initializers, code that runs when the server loads, starts and stops; and how their phases are run. */
import { discover, pluginFolders } from "../config/discover";
import { ActionheroError, toError } from "../errors";
import { log } from "../log/log";
import { instancesOf, loadModule } from "../utils/modules";

const PRIORITIES = ["loadPriority", "startPriority", "stopPriority"] as const;

/** Lower runs earlier, in each of the three phases. */
const DEFAULT_PRIORITY = 1000;

/**
 * Extend it, name it, and give it any of `initialize`, `start` and `stop`. Phases run over all initializers in
 * ascending order of their priority, one after the other.
 */
export abstract class Initializer {
  name: string = null!; // set by the subclass; validate() throws otherwise
  /** When `initialize` runs (default 1000). */
  loadPriority?: number = DEFAULT_PRIORITY;
  /** When `start` runs (default 1000). */
  startPriority?: number = DEFAULT_PRIORITY;
  /** When `stop` runs (default 1000); low numbers also stop first. */
  stopPriority?: number = DEFAULT_PRIORITY;

  /** Create the parts that others depend on, e.g. a property of `api`. */
  initialize?(): Promise<void>;
  /** Start serving: connect, listen. */
  start?(): Promise<void>;
  /** Undo `start`. */
  stop?(): Promise<void>;

  /** @throws Error naming the property that is missing or invalid */
  validate(): void {
    if (!this.name) throw new Error("name is required for this initializer");
    for (const property of PRIORITIES) {
      const value = this[property];
      if (!value || typeof value !== "number" || value < 0) {
        throw new Error(
          `${property} is a required property for the initializer \`${this.name}\``,
        );
      }
    }
  }
}

// --- Loads the initializers and runs their phases in order of priority.

type Phase = "initialize" | "start" | "stop";
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

/** Starting and stopping in the style of version 3. */
import { api } from "../api";
import { Process } from "../boot/process";
import { config, projectRoot, rebuildConfig } from "../config/config";
import { ActionheroError } from "../errors";
import { buildLoggers, loggers } from "../log/log";
import { hashMerge } from "../utils/objects";
import { untilNext, type Next } from "./adapter";
import { type ConfigData, mapConfigData } from "./configMap";

export interface StartParams {
  /** Settings over those of the configuration, named as in `config.js` or as today. */
  configChanges?: ConfigData;
  /** Runs when everything is loaded and nothing listens yet; calls `next` or returns a promise. */
  initFunction?: (api: any, next: Next) => unknown;
}

type Started = (api: any) => void;
type Done = () => void;

export interface ActionHero {
  /** The `api` of the framework; filled when it is loaded. */
  readonly api: any;
  /**
   * Start a server.
   * @throws Error when it runs already, and what ends the boot
   */
  start(params?: StartParams | Started, next?: Started): Promise<any>;
  /** Stop it; one that does not run is stopped already. */
  stop(next?: Done): Promise<void>;
  /** Stop it, and start it with the params of its start. */
  restart(next?: Started): Promise<any>;
}

/** A server that is started with params, and started with the same when it restarts. */
class LegacyProcess extends Process {
  private preparing?: Promise<void>;

  constructor(private readonly params: StartParams) {
    super();
  }

  override initialize(): Promise<void> {
    if (this.initialized) return Promise.resolve();
    this.preparing ??= this.prepare().finally(() => {
      this.preparing = undefined;
    });
    return this.preparing;
  }

  private async prepare(): Promise<void> {
    applyChanges(this.params.configChanges);
    await super.initialize();
    const { initFunction } = this.params;
    if (!initFunction) return;
    // among the start's functions, so that what it throws stops what was started
    this.startInitializers.unshift(async () => {
      await untilNext(
        (next) => initFunction(api, next),
        initFunction.length > 1,
      );
    });
  }
}

/** Whether the loggers are those of a start's changes: they outlive it, and the next start has to take them back. */
let hasChangedLoggers = false;

/** The configuration is built anew for each start, so these have to be applied each time. */
function applyChanges(changes: ConfigData = {}): void {
  const mapped = mapConfigData(changes, projectRoot);
  for (const [namespace, settings] of Object.entries(mapped)) {
    const before = (config as Record<string, object>)[namespace];
    config[namespace] = hashMerge(before ?? {}, settings, config);
  }
  // they are made when the framework is loaded, which has been
  const changesLoggers = Object.keys(mapped.logger ?? {}).length > 0;
  if (changesLoggers || hasChangedLoggers)
    loggers.splice(0, loggers.length, ...buildLoggers());
  hasChangedLoggers = changesLoggers;
}

/** The object that version 3 was started by. */
export function createActionHero(): ActionHero {
  let server: LegacyProcess | undefined;
  /** Resolves when a start in progress has ended; does not reject. */
  let starting: Promise<void> | undefined;

  async function begin(params: StartParams): Promise<void> {
    if (starting || api.running || server?.shuttingDown)
      throw new ActionheroError("AH_BOOT", "actionHero is already running");
    rebuildConfig();
    server = new LegacyProcess(params);
    const started = server.start();
    starting = started.then(
      () => undefined,
      () => undefined,
    );
    try {
      await started;
    } finally {
      starting = undefined;
    }
  }

  return {
    api,

    async start(params, next) {
      const given = typeof params === "function" ? {} : (params ?? {});
      const started = typeof params === "function" ? params : next;
      await begin(given);
      started?.(api);
      return api;
    },

    async stop(next) {
      await starting;
      if (server?.running || server?.shuttingDown) await server.stop();
      next?.();
    },

    async restart(next) {
      if (!server)
        throw new ActionheroError("AH_BOOT", "actionHero was not started");
      await server.restart();
      next?.(api);
      return api;
    },
  };
}

export const actionHero = createActionHero();

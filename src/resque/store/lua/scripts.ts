/** All scripts of the redis store, by name. */
import { defineScript, REDIS_CLOCK, type Script } from "../../../redis/script";
import { recordOf } from "../../../utils/objects";
import { EXCHANGE } from "./exchange";
import * as inspect from "./inspect";
import * as periodic from "./periodic";
import * as processes from "./processes";
import * as producers from "./producers";
import * as scheduler from "./scheduler";

const { APPLY_PARTS: _parts, ...processScripts } = processes;
const {
  REMOVE_QUEUE_PART: _queue,
  REMOVE_JOBS_PART: _jobs,
  REMOVE_DELAYED_PART: _delayed,
  ...producerScripts
} = producers;

const SOURCES = {
  ...processScripts,
  ...producerScripts,
  ...scheduler,
  ...inspect,
  ...periodic,
  EXCHANGE,
};

export type ScriptName = keyof typeof SOURCES;
export type Scripts = Readonly<Record<ScriptName, Script>>;

const compiled = new Map<string, Scripts>();

/** @param clock Lua that defines `now()` and `expire(key, ms)` (default: by redis's clock) */
export function scriptsFor(clock = REDIS_CLOCK): Scripts {
  let scripts = compiled.get(clock);
  if (!scripts) {
    scripts = recordOf(Object.keys(SOURCES) as ScriptName[], (name) =>
      defineScript(`${clock}${SOURCES[name]}`),
    );
    compiled.set(clock, scripts);
  }
  return scripts;
}

/** Finds settings of an environment that the DEFAULT of a later file replaces: files are applied one after the other, as in v29. */
import * as path from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { ActionheroConfigInterface } from "./types";

type Config = ActionheroConfigInterface;

/** A setting that the block of an environment sets. */
interface EnvironmentSetting {
  steps: readonly string[];
  value: unknown;
  file: string;
}

/** A setting of an environment that another file's DEFAULT replaced. */
export interface ReplacedSetting extends EnvironmentSetting {
  by: string;
}

/** Follows the files of one directory, in the order in which they are applied. */
export class ReplacedSettings {
  private readonly present = new Map<string, EnvironmentSetting>();
  private readonly replaced = new Map<string, ReplacedSetting>();

  found(): ReplacedSetting[] {
    return [...this.replaced.values()];
  }

  /** Call it with the configuration before and after the DEFAULT of a file. */
  afterDefault(before: Config, after: Config, file: string): void {
    if (before === after) return;
    for (const [key, setting] of this.present) {
      const value = valueAt(after, setting.steps);
      if (isDeepStrictEqual(valueAt(before, setting.steps), value)) continue;
      if (isDeepStrictEqual(setting.value, value)) this.replaced.delete(key);
      else this.replaced.set(key, { ...setting, by: file });
    }
  }

  /** The same for the block of the environment. */
  afterEnvironment(before: Config, after: Config, file: string): void {
    for (const { steps, value } of changesIn(before, after)) {
      const key = JSON.stringify(steps);
      this.present.set(key, { steps, value, file });
      this.replaced.delete(key);
    }
  }
}

/** One message for each pair of files; settings that have their effect after all, by a later directory or an override, are not named. */
export function replacedSettings(
  replaced: readonly ReplacedSetting[],
  config: Config,
): string[] {
  const { env, projectRoot } = config.process;
  const shown = (file: string) => path.relative(projectRoot, file);
  const groups = new Map<string, string[]>();
  for (const { steps, value, file, by } of replaced) {
    if (isDeepStrictEqual(valueAt(config, steps), value)) continue;
    const reason = `of \`${env}\` in ${shown(file)}: no effect, because files are applied in the order of their names, and the DEFAULT of ${shown(by)} replaces it`;
    groups.set(reason, [...(groups.get(reason) ?? []), steps.join(".")]);
  }
  return [...groups].map(
    ([reason, settings]) => `${settings.join(", ")} ${reason}`,
  );
}

type Change = Pick<EnvironmentSetting, "steps" | "value">;

/**
 * The changed values that hold no further settings.
 * @param around the objects that contain `after`, so that a circle ends
 */
function changesIn(
  before: unknown,
  after: unknown,
  steps: readonly string[] = [],
  around: readonly unknown[] = [],
): Change[] {
  if (before === after || around.includes(after)) return [];
  if (!isRecord(after))
    return isDeepStrictEqual(before, after) ? [] : [{ steps, value: after }];
  const base = isRecord(before) ? before : {};
  const names = new Set([...Object.keys(base), ...Object.keys(after)]);
  return [...names].flatMap((name) =>
    changesIn(base[name], after[name], [...steps, name], [...around, after]),
  );
}

/** Also one with the marker `_toExpand: false`. */
function isRecord(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function valueAt(root: unknown, steps: readonly string[]): unknown {
  let value = root;
  for (const step of steps) {
    if (!isRecord(value)) return undefined;
    value = value[step];
  }
  return value;
}

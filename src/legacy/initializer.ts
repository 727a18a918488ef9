/** Initializers of the style of version 3: `exports.name = function (api, next)`. */
import { api } from "../api";
import { Initializer } from "../boot/initializer";
import { log } from "../log/log";
import { untilNext, type Next } from "./callbacks";

const REMIND_MS = 10_000;

export type LegacyInitializer = (api: any, next: Next) => unknown;

/** A class of today for an initializer of old; it runs when the server loads, after the framework's own. */
export function fromLegacyInitializer(
  name: string,
  legacy: LegacyInitializer,
): new () => Initializer {
  return class extends Initializer {
    constructor() {
      super();
      this.name = name;
    }

    override async initialize(): Promise<void> {
      // without it, a process that waits for nothing else would end, and say nothing
      const reminder = setInterval(
        () => log(`initializer ${name} has not called next yet`, "warning"),
        REMIND_MS,
      );
      try {
        const [outcome] = await untilNext(
          (next) => legacy(api, next),
          legacy.length > 1,
        );
        if (outcome instanceof Error) throw outcome;
      } finally {
        clearInterval(reminder);
      }
    }
  };
}

/** Initializers of the style of version 3: `exports.name = function (api, next)`. */
import { api } from "../api";
import { Initializer } from "../boot/initializer";
import { untilNext, type Next } from "./callbacks";

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
      const [outcome] = await untilNext(
        (next) => legacy(api, next),
        legacy.length > 1,
      );
      if (outcome instanceof Error) throw outcome;
    }
  };
}

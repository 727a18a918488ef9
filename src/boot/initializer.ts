/** The base class of initializers: code that runs when the server loads, starts and stops. */

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

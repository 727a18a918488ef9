import { Plugin } from "../plugin";

/** A failed job counts as done. */
export class Noop extends Plugin {
  override afterPerform(): boolean {
    if (this.worker.error) {
      const logger = (this.options.logger ?? console.log) as (
        error: Error,
      ) => void;
      logger(this.worker.error);
      this.worker.error = null;
    }
    return true;
  }
}

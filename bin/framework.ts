/** The framework for commands: loaded when one runs, so that `--help` neither waits for it nor needs a project. */
import type * as actionhero from "../src";

export function framework(): typeof actionhero {
  return require("../src") as typeof actionhero;
}

/** The base class of command line commands, and tables for their output. */

/** One option of a command. */
export interface CLIInput {
  /** The option must be given, or have a default. */
  required?: boolean;
  /** When the option is given, it must have a value. */
  requiredValue?: boolean;
  default?: string | boolean;
  /** The short form, without the dash. */
  letter?: string;
  /** A switch without a value; needs a letter. */
  flag?: boolean;
  /** The name of the value in the help text (default: the option's name). */
  placeholder?: string;
  /** Takes several values, passed as an array. */
  variadic?: boolean;
  description?: string;
  /** Converts the argument to the value that `run` gets. */
  formatter?: (value: any) => any;
  /** Throws, or returns a text, when the formatted value is invalid. */
  validator?: (value: any) => unknown;
}

export interface CLIInputs {
  [key: string]: CLIInput;
}

/**
 * Extend it directly and export the class from a file in the project's `bin` folder: it becomes a sub-command of
 * `actionhero`.
 */
export abstract class CLI {
  /** The name of the command; may include arguments: `greet <name> [title]`. */
  name: string = null!; // set by the subclass; validate() throws otherwise
  /** One line for `--help` (default: the name). */
  description: string = null!;
  /** Shown at the end of `<command> --help`. */
  example = "";
  inputs: CLIInputs = {};
  /** Load the initializers before `run` (default true). */
  initialize = true;
  /** Start the server before `run` (default false). */
  start = false;

  /**
   * A sentence about the command.
   * @param data `params` by option name; arguments without an option are in `params._arguments`
   * @returns false to keep the process running; anything else ends it
   */
  abstract run(data: { [key: string]: any }): Promise<boolean>;

  /** Print more help, after the options and the example. */
  help(): void {}

  /** @throws Error naming the missing property */
  validate(): void {
    if (!this.name) throw new Error("name is required for this cli command");
    if (!this.description) {
      // "commend" is version 29's
      throw new Error(
        `description is required for the cli commend \`${this.name}\``,
      );
    }
    if (!this.run || typeof this.run !== "function") {
      throw new Error(`cli command \`${this.name}\` has no run method`);
    }
  }
}

// --- Tables for the terminal.

/** Rows of equal keys as columns under their names, two spaces apart. */
export function formatTable<R extends object>(rows: readonly R[]): string {
  if (rows.length === 0) return "(none)";
  const columns = Object.keys(rows[0]!) as (keyof R & string)[];
  const widths = columns.map((column) =>
    Math.max(column.length, ...rows.map((row) => String(row[column]).length)),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join("  ")
      .trimEnd();
  return [
    line(columns),
    line(widths.map((width) => "-".repeat(width))),
    ...rows.map((row) => line(columns.map((column) => String(row[column])))),
  ].join("\n");
}

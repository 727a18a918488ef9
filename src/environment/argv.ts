/** Flags of the command line, read without knowing which commands exist. */

/** Values of one flag in order, e.g. `["a", "b"]` for `--config a --config=b`. */
export type Argv = { [flag: string]: string[] };

/** Flags the framework itself reads from any command line (spec of v29). */
export const FRAMEWORK_FLAGS = [
  "config",
  "title",
  "NODE_ENV",
  "ACTIONHERO_CONFIG_OVERRIDES",
] as const;

/**
 * Read `--flag value` and `--flag=value` pairs.
 *
 * Only the framework's own flags take the following word as a value: other flags belong to another program's grammar
 * and are read as switches unless written with `=`.
 * @param words the arguments without node and script
 */
export function parseArgv(words: readonly string[]): Argv {
  const flags: Argv = Object.create(null) as Argv;
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if (word === "--") break;
    if (!word.startsWith("--")) continue;

    const equals = word.indexOf("=");
    const name = word.slice(2, equals === -1 ? undefined : equals);
    let value = equals === -1 ? "" : word.slice(equals + 1);
    if (equals === -1 && takesValue(name) && isValue(words[i + 1])) {
      value = words[++i]!;
    }
    (flags[name] ??= []).push(value);
  }
  return flags;
}

/** Every value given for a framework flag of this process, in order. */
export function flagValues(name: (typeof FRAMEWORK_FLAGS)[number]): string[] {
  return parseArgv(process.argv.slice(2))[name] ?? [];
}

/** The last value of a framework flag of this process, or undefined. */
export function flagValue(
  name: (typeof FRAMEWORK_FLAGS)[number],
): string | undefined {
  return flagValues(name).at(-1);
}

function takesValue(name: string): boolean {
  return (FRAMEWORK_FLAGS as readonly string[]).includes(name);
}

function isValue(word: string | undefined): boolean {
  return word !== undefined && !word.startsWith("--");
}

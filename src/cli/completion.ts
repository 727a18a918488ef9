/** Completes command lines in a shell: names of commands, of actions and tasks, and flags. */
import type { Command } from "commander";
import { joinSpacedName } from "./runner";

/** The names and inputs of a loaded project. */
export interface Completable {
  names(kind: "action" | "task"): string[];
  flags(kind: "action" | "task", name: string): string[];
}

/**
 * The completions of the last word of a line.
 * @param kindOf whose inputs are flags of a command, too
 * @param load called only if names or inputs are needed
 */
export async function complete(
  line: string,
  program: Command,
  kindOf: (command: Command) => "action" | "task" | undefined,
  load: () => Promise<Completable>,
): Promise<string[]> {
  const typed = line.trimStart().split(/\s+/).slice(1);
  const current = typed.at(-1) ?? "";
  const visible = program.createHelp().visibleCommands(program);
  const names = visible.map((command) => command.name());
  const [name, ...words] = joinSpacedName(typed.slice(0, -1), names);
  const begins = (word: string) => word.startsWith(current);
  if (name === undefined) return names.filter(begins);
  const command = visible.find((other) => other.name() === name);
  if (!command) return [];
  const kind = kindOf(command);
  const options = command.createHelp().visibleOptions(command);
  const flags = options.flatMap(({ long }) => long ?? []);
  if (!kind) return flags.filter(begins);

  const isNamed = flags.includes("--name");
  if (isNamed && /^--name=/.test(current)) {
    const found = (await load()).names(kind).map((one) => `--name=${one}`);
    return found.filter(begins);
  }
  if (isNameNext(words, current, isNamed))
    return (await load()).names(kind).filter(begins);
  const target = (isNamed ? namedBy(command, words) : undefined) ?? words[0];
  const own = target === undefined ? [] : (await load()).flags(kind, target);
  return [...flags, ...own].filter(begins);
}

/** The name of an action or a task is the first word or, for some commands, the value of an option. */
function isNameNext(
  words: readonly string[],
  current: string,
  isNamed: boolean,
): boolean {
  if (!isNamed) return words.length === 0;
  if (words.length === 0) return !current.startsWith("-");
  return ["--name", "-n"].includes(words.at(-1)!);
}

function namedBy(command: Command, words: string[]): string | undefined {
  command.parseOptions(words);
  return command.opts<{ name?: string }>().name;
}

/**
 * A script that gets completions from the command line. Bash splits words at `:` and `=`, so the
 * completions omit the text before these.
 */
export function completionScript(shell: "bash" | "zsh"): string {
  const start =
    shell === "zsh" ? "autoload -U +X bashcompinit && bashcompinit\n" : "";
  return `${start}command -v actionhero >/dev/null 2>&1 ||
  actionhero() { npx --no-install actionhero "$@"; }
_actionhero() {
  local line="\${COMP_LINE:0:$COMP_POINT}" word
  local current="\${line##* }"
  local before="\${current%"\${current##*[:=]}"}"
  COMPREPLY=()
  while IFS= read -r word; do
    COMPREPLY+=("\${word#"$before"}")
  done < <(actionhero completion ${shell} --line "$line" 2>/dev/null)
}
complete -F _actionhero actionhero
`;
}

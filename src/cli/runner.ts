/** The `actionhero` program: built-in commands and those of the project and its plugins, as commander commands. */
import * as path from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { FRAMEWORK_FLAGS } from "../environment/env";
import { explanationOf } from "../environment/bootErrors";
import { requireNode, defaultsRoot } from "../environment/runtime";
import { toError } from "../errors";
import { didYouMean } from "../utils/closest";
import { CLI, type CLIInput } from "./cli";
import { execute, warningOfStaleBuild } from "./execute";
import {
  inspectProject,
  isOwnFolder,
  loadProjectEnv,
  type ProjectState,
  runOnSources,
  versionToShow,
} from "./project";
import * as fs from "node:fs";
import { listSourceFiles } from "../utils/fileUtils";
import { loadModule } from "../utils/modules";

/** Commands that v29 had: a project's command of the same name is a mistake there, and stays one. */
const V29_COMMANDS = [
  "actions-list",
  "console",
  "generate",
  "generate-action",
  "generate-cli",
  "generate-initializer",
  "generate-plugin",
  "generate-server",
  "generate-task",
  "task-enqueue",
];

/** Commands whose flags are the inputs of an action or a task. */
const inputsOf = new WeakMap<Command, CommandClass["takesInputsOf"]>();

const HELP_FLAGS = ["-h", "--help"];

/** Run the command that `argv` (including node and script) names; exits the process. */
export async function runProgram(argv: readonly string[]): Promise<void> {
  try {
    requireNode();
    loadProjectEnv(); // before anything reads the environment
    const exitCode = await runOnSources(argv);
    if (exitCode !== undefined) process.exit(exitCode);
    const state = inspectProject();
    if (state.broken) console.error(explanationOf(state.problem!));
    const program = buildProgram(state);
    const names = program.commands.map((command) => command.name());
    const words = joinSpacedName(argv.slice(2), names);
    if (!(await showInputs(program, words)))
      await program.parseAsync([...argv.slice(0, 2), ...words]);
  } catch (error) {
    console.error(toError(error).toString());
    process.exit(1);
  }
}

/** All commands of this project, as one commander program. */
export function buildProgram(state: ProjectState): Command {
  const program = new Command("actionhero")
    .version(versionToShow())
    .enablePositionalOptions();
  for (const option of frameworkOptions(program)) program.addOption(option);

  program.configureOutput({
    outputError: (text, write) => write(text + missingBuild(text)),
  });

  const owners = new Map<string, string>();
  for (const { file, commandClass } of projectCommands(state)) {
    try {
      const command = commandOf(commandClass, state);
      refuseTaken(command.name(), owners, state);
      program.addCommand(command, { hidden: !isUsable(commandClass, state) });
      owners.set(command.name(), file);
    } catch (error) {
      showFailure(file, toError(error));
    }
  }
  if (!state.includeInternal) return program;

  for (const { commandClass } of internalCommands()) {
    const command = commandOf(commandClass, state);
    // a project made for v29 may have a command whose name is new here
    if (owners.has(command.name())) continue;
    program.addCommand(command, { hidden: !isUsable(commandClass, state) });
  }
  return program;
}

/** A command of the project may be unknown because it is not compiled. */
function missingBuild(error: string): string {
  const isUnknown = error.startsWith("error: unknown command");
  return isUnknown ? warningOfStaleBuild() : "";
}

/** @param owners the files of the earlier commands, by name */
function refuseTaken(
  name: string,
  owners: ReadonlyMap<string, string>,
  { includeInternal }: ProjectState,
): void {
  const owner = owners.get(name);
  if (owner !== undefined)
    throw new Error(`the command \`${name}\` is already in ${owner}`);
  if (includeInternal && V29_COMMANDS.includes(name))
    throw new Error(`\`${name}\` is a command of actionhero`);
}

/** The names that the framework's own commands have. */
export function builtInNames(): string[] {
  const names = internalCommands().map(
    ({ commandClass }) => new commandClass().name.split(" ")[0]!, // arguments may follow
  );
  return ["help", ...names];
}

function projectCommands(state: ProjectState): FoundCommand[] {
  const folders = state.folders.filter((folder) => !isOwnFolder(folder));
  return [
    ...findCommands(folders, state.extensions, showFailure),
    ...findCommands(state.pluginFolders, [".js"], showFailure),
  ];
}

function internalCommands(): FoundCommand[] {
  return findCommands(
    [path.join(defaultsRoot, "bin", "methods")],
    [".js", ".ts"],
    (_file, error) => {
      throw error;
    },
  );
}

function showFailure(file: string, error: Error): void {
  console.error(`${file} cannot be loaded: ${error.message}`);
}

function isUsable(commandClass: CommandClass, state: ProjectState): boolean {
  return !state.problem || commandClass.needsProject === false;
}

/** @throws Error if the class is no valid command */
function commandOf(commandClass: CommandClass, state: ProjectState): Command {
  const instance = new commandClass();
  instance.description ||= instance.name;
  instance.validate();

  const usable = isUsable(commandClass, state);
  const [name, ...operands] = instance.name.trim().split(/ +/);
  const command = new Command(name)
    .description(instance.description)
    .allowExcessArguments()
    .allowUnknownOption(commandClass.takesInputsOf !== undefined);
  for (const operand of operands) command.argument(operand);
  for (const [key, input] of Object.entries(instance.inputs ?? {}))
    command.addOption(optionFor(key, input));
  for (const option of frameworkOptions(command)) command.addOption(option);
  command.configureOutput({
    outputError: (text, write) => write(text + misspelling(command, text)),
  });

  if (usable) inputsOf.set(command, commandClass.takesInputsOf);
  command.on("--help", () => printExample(instance));
  command.action(() =>
    usable ? execute(instance, paramsOf(command, instance)) : refuse(state),
  );
  return command;
}

/** A required option may be missing because it was misspelled, which commander does not report. */
function misspelling(command: Command, error: string): string {
  const unknown = command.args.find((word) => word.startsWith("--"));
  if (!unknown || inputsOf.get(command)) return "";
  if (!error.startsWith("error: required option")) return "";
  const [flag = ""] = unknown.split("=");
  const known = command.options.map(({ long }) => long ?? "");
  return `error: unknown option '${flag}'${didYouMean(flag, known)}\n`;
}

/** The framework reads these flags itself; commander must accept them, unless the command declares its own. */
function frameworkOptions(command: Command): Option[] {
  return FRAMEWORK_FLAGS.filter(
    (flag) => !command.options.some((option) => option.long === `--${flag}`),
  ).map((flag) => new Option(`--${flag} <value>`).hideHelp());
}

/**
 * The help of a command with the name of an action or a task: its inputs are known after the
 * project is loaded.
 * @returns false for any other command line
 */
async function showInputs(
  program: Command,
  [name, ...words]: readonly string[],
): Promise<boolean> {
  const command = program.commands.find((other) => other.name() === name);
  const kind = command && inputsOf.get(command);
  if (!kind || !words.some((word) => HELP_FLAGS.includes(word))) return false;
  const rest = words.filter((word) => !HELP_FLAGS.includes(word));
  const { operands } = command.parseOptions(rest);
  const { name: option } = command.opts<{ name?: string }>();
  const target = option ?? operands[0];
  if (target === undefined) return false;
  command.outputHelp();
  const options = command.options.map((own) => own.name());
  await execute(new InputHelp(kind, target, options), {});
  return true;
}

/** Whether the flags of a command are also the inputs of an action or a task. */
export function takesInputsOf(command: Command) {
  return inputsOf.get(command);
}

/** Prints the inputs of one action or task as flags. */
class InputHelp extends CLI {
  static readonly printsData = true;

  override name = "input-help";
  override description = "the inputs of an action or a task";

  constructor(
    private readonly kind: "action" | "task",
    private readonly target: string,
    private readonly options: readonly string[],
  ) {
    super();
  }

  override run(): Promise<boolean> {
    // loaded here, because loading it is what builds the configuration
    const { describeInputFlags, findInputs, requireName } =
      require("./inputFlags") as typeof import("./inputFlags");
    requireName(this.kind, this.target);
    const inputs = findInputs(this.kind, this.target)!;
    const lines = describeInputFlags(inputs, this.options);
    console.log(`\nInputs of ${this.target}:\n${lines.join("\n") || "  none"}`);
    return Promise.resolve(true);
  }
}

/** Values by the name that the command declared; commander converts dashes to camel case. */
function paramsOf(command: Command, instance: CLI): { [key: string]: unknown } {
  const values: { [key: string]: unknown } = command.opts();
  const params: { [key: string]: unknown } = {};
  for (const option of command.options) {
    const value = values[option.attributeName()];
    const declared = option.name() in (instance.inputs ?? {});
    if (!declared || value === undefined) continue;
    params[option.attributeName()] = value;
    params[option.name()] = value;
  }
  params._arguments = [...command.args];
  return params;
}

function printExample(instance: CLI): void {
  if (instance.example) console.log(`\nExample: \r\n  ${instance.example}`);
  instance.help();
}

function refuse(state: ProjectState): never {
  if (!state.broken) console.error(explanationOf(state.problem!)); // a broken configuration was reported at the start
  process.exit(1);
}

// --- Converts the inputs of a command into commander's options.

/**
 * One input as an option: its flags, default, and the pipeline formatter -> validator for each
 * argument.
 * @throws Error when a flag has no letter
 */
export function optionFor(key: string, input: CLIInput): Option {
  const option = new Option(optionFlags(key, input), input.description);
  if (input.default !== undefined) option.default(input.default);
  if (input.required) option.makeOptionMandatory();
  if (!input.flag && (input.variadic || input.formatter || input.validator)) {
    option.argParser<unknown>((word, previous) =>
      input.variadic
        ? appendWord(word, previous, input)
        : readWord(word, input),
    );
  }
  return option;
}

function optionFlags(key: string, input: CLIInput): string {
  if (input.flag && !input.letter) {
    throw new Error(
      `flag inputs require a short letter (${JSON.stringify(input)})`,
    );
  }
  const names = `${input.letter ? `-${input.letter}, ` : ""}--${key}`;
  if (input.flag) return names;

  const value = `${input.placeholder || key}${input.variadic ? "..." : ""}`;
  return input.required || input.requiredValue
    ? `${names} <${value}>`
    : `${names} [${value}]`;
}

/** The default is not an argument: the first argument starts a new list. */
function appendWord(
  word: string,
  previous: unknown,
  input: CLIInput,
): unknown[] {
  const earlier =
    Array.isArray(previous) && previous !== (input.default as unknown)
      ? (previous as unknown[])
      : [];
  return [...earlier, readWord(word, input)];
}

function readWord(word: string, input: CLIInput): unknown {
  try {
    const value: unknown = input.formatter ? input.formatter(word) : word;
    refuseInvalid(input.validator?.(value));
    return value;
  } catch (error) {
    throw new InvalidArgumentError(toError(error).message);
  }
}

/** A validator may throw, or return false or the message, like validators of actions. */
function refuseInvalid(verdict: unknown): void {
  if (verdict === false) throw new Error("it failed validation");
  if (typeof verdict === "string" || verdict instanceof Error)
    throw toError(verdict);
}

/** A JSON object from a word of the command line. */
export function jsonObject(word: string): Record<string, unknown> {
  const value: unknown = JSON.parse(word);
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Error("it must be a JSON object");
  return value as Record<string, unknown>;
}

/** A whole number from a word of the command line. */
export function wholeNumber(word: string): number {
  const value = Number(word);
  if (word.trim() === "" || !Number.isSafeInteger(value) || value < 0)
    throw new Error(`\`${word}\` is not a whole number`);
  return value;
}

// --- The command classes in folders of code.

/** An exported command class; built-in commands may set additional properties. */
export type CommandClass = (new () => CLI) & {
  /** False for a command that works without a project. */
  needsProject?: boolean;
  /** True if programs read its output: log lines then go to stderr. */
  printsData?: boolean;
  /** True for a command that only describes the project: an engine in this process replaces the redis server. */
  withoutRedis?: boolean;
  /** True for a command that serves until it is stopped. */
  isServer?: boolean;
  /**
   * The kind whose inputs are also flags: unknown flags are in `_arguments`, and `--help` with a name describes them.
   */
  takesInputsOf?: "action" | "task";
};

/** A command, and the file that exports it. */
interface FoundCommand {
  file: string;
  commandClass: CommandClass;
}

/**
 * The command classes below the folders, in order; missing and repeated folders are skipped.
 * @param onError called for each file that cannot be loaded; the other files still count
 */
function findCommands(
  folders: readonly string[],
  extensions: readonly string[],
  onError: (file: string, error: Error) => void,
): FoundCommand[] {
  const seen = new Set<string>();
  const commands: FoundCommand[] = [];
  for (const folder of folders) {
    for (const file of listSourceFiles(folder, extensions)) {
      const real = fs.realpathSync(file);
      if (seen.has(real)) continue;
      seen.add(real);
      try {
        for (const commandClass of commandsOf(loadModule(file)))
          commands.push({ file, commandClass });
      } catch (error) {
        onError(file, toError(error));
      }
    }
  }
  return commands;
}

/** A command extends CLI directly (of whichever copy of the package); everything else is a helper. */
function commandsOf(exported: Record<string, unknown>): CommandClass[] {
  return Object.values(exported).filter(
    (value): value is CommandClass =>
      typeof value === "function" &&
      (Object.getPrototypeOf(value) as { name?: unknown } | null)?.name ===
        "CLI",
  );
}

// --- Makes `actionhero generate action` call `generate-action`.

/** A name has at most this many words. */
const MAX_WORDS = 4;

/**
 * Join the first words if together they name a command; the longest name takes precedence.
 * @param words the arguments without node and script; a leading `help` is skipped
 */
export function joinSpacedName(
  words: readonly string[],
  commandNames: readonly string[],
): string[] {
  const before = words[0] === "help" ? ["help"] : [];
  const rest = words.slice(before.length);
  for (let count = MAX_WORDS; count > 1; count--) {
    const name = rest.slice(0, count).join("-");
    if (rest.length >= count && commandNames.includes(name))
      return [...before, name, ...rest.slice(count)];
  }
  return [...words];
}

import { CLI } from "../../src/cli/cli";
import {
  complete,
  completionScript,
  type Completable,
} from "../../src/cli/completion";

interface Params {
  line?: string;
  _arguments: string[];
}

export class Completion extends CLI {
  static readonly needsProject = false;
  static readonly printsData = true;

  constructor() {
    super();
    this.name = "completion <shell>";
    this.description =
      "print a script for bash or zsh that completes commands, names and flags";
    this.example = "source <(npx actionhero completion bash)";
    this.initialize = false;
    this.inputs = {
      line: {
        requiredValue: true,
        description: "what was typed: print what its last word may become",
      },
    };
  }

  async run({ params }: { params: Params }) {
    const [shell] = params._arguments;
    if (shell !== "bash" && shell !== "zsh")
      throw new Error(`there is no script for \`${shell}\`: bash, zsh`);
    if (params.line === undefined) {
      process.stdout.write(completionScript(shell));
      return true;
    }
    const { buildProgram, takesInputsOf } =
      require("../../src/cli/runner") as typeof import("../../src/cli/runner");
    const { inspectProject } =
      require("../../src/cli/project") as typeof import("../../src/cli/project");
    const program = buildProgram(inspectProject());
    const found = await complete(params.line, program, takesInputsOf, load);
    for (const word of found) console.log(word);
    return true;
  }
}

async function load(): Promise<Completable> {
  const { Process } =
    require("../../src/boot/process") as typeof import("../../src/boot/process");
  await new Process().initialize();
  const { findInputs, namesOf } =
    require("../../src/cli/inputFlags") as typeof import("../../src/cli/inputFlags");
  const { tableOf } =
    require("../../src/input/schemaPlan") as typeof import("../../src/input/schemaPlan");
  return {
    names: namesOf,
    flags: (kind, name) =>
      Object.keys(tableOf(findInputs(kind, name))).map((one) => `--${one}`),
  };
}

import { once } from "node:events";
import * as os from "node:os";
import * as path from "node:path";
import * as repl from "node:repl";
import { api } from "../../src/api";
import { CLI } from "../../src/cli/cli";
import { framework } from "../framework";

export class Console extends CLI {
  constructor() {
    super();
    this.name = "console";
    this.description =
      "an interactive prompt with `api` in scope; the server is loaded, not started";
    this.example = "actionhero console";
  }

  async run() {
    const prompt = repl.start({ prompt: `[ AH::${framework().env} ] >> ` });
    fillContext(prompt);
    prompt.on("reset", () => fillContext(prompt));
    defineListings(prompt);
    if (prompt.terminal) keepHistory(prompt);
    await once(prompt, "exit");
    return true;
  }
}

/** Everything that `import ... from "actionhero"` offers, `api` among it. */
function fillContext(prompt: repl.REPLServer): void {
  for (const [name, value] of Object.entries(framework())) {
    if (!(name in prompt.context)) prompt.context[name] = value;
  }
}

/** What `.actions`, `.tasks` and `.routes` print; routes in the order in which they are tried. */
const listings: Record<string, () => string[]> = {
  actions: () => Object.keys(api.actions.actions).sort(),
  tasks: () => Object.keys(api.tasks.tasks).sort(),
  routes: () =>
    Object.entries(api.routes.routes).flatMap(([method, routes]) =>
      routes.map(
        ({ path, action }) =>
          `${method.toUpperCase().padEnd(7)} ${path} -> ${action}`,
      ),
    ),
};

function defineListings(prompt: repl.REPLServer): void {
  for (const [name, list] of Object.entries(listings)) {
    prompt.defineCommand(name, {
      help: `List the ${name}`,
      action() {
        this.output.write(`${list().join("\n")}\n`);
        this.displayPrompt();
      },
    });
  }
}

function keepHistory(prompt: repl.REPLServer): void {
  const file =
    process.env.NODE_REPL_HISTORY ??
    path.join(os.homedir(), ".actionhero_repl_history");
  prompt.setupHistory(file, (error) => {
    if (error) console.error(`no history: ${error.message}`);
  });
}

import { once } from "node:events";
import * as os from "node:os";
import * as path from "node:path";
import * as repl from "node:repl";
import { clearScreenDown, cursorTo, type AsyncCompleter } from "node:readline";
import { api } from "../../src/api";
import { CLI } from "../../src/cli/cli";
import { aroundConsole } from "../../src/log/sinks";
import { framework } from "../framework";
import { startWithoutServers } from "../withoutServers";

export class Console extends CLI {
  constructor() {
    super();
    this.name = "console";
    this.description =
      "an interactive prompt with `api` in scope; actions and tasks run, nothing listens";
    this.example = "actionhero console";
  }

  async run() {
    await startWithoutServers();
    const { env, id } = framework();
    (api as { id?: string }).id ??= id;
    const prompt = repl.start({ prompt: `[ AH::${env} ] >> ` });
    fillContext(prompt);
    prompt.on("reset", () => fillContext(prompt));
    defineListings(prompt);
    const pending = trackEvaluations(prompt);
    if (prompt.terminal) {
      completeNames(prompt);
      keepHistory(prompt, () => keepLinesApart(prompt));
    }
    await once(prompt, "exit");
    await Promise.all(pending);
    return true;
  }
}

/** Entered code that still runs: the end of a piped input does not cut it off. */
function trackEvaluations(prompt: repl.REPLServer): ReadonlySet<Promise<void>> {
  const pending = new Set<Promise<void>>();
  const evaluate = prompt.eval;
  Object.assign(prompt, {
    eval(...[code, context, file, done]: Parameters<typeof evaluate>) {
      const ended = new Promise<void>((resolve) => {
        evaluate.call(prompt, code, context, file, (error, result) => {
          done(error, result);
          resolve();
        });
      });
      pending.add(ended);
      void ended.then(() => pending.delete(ended));
    },
  });
  return pending;
}

/** Inside quotes, the tab key completes the names of actions and tasks. */
function completeNames(prompt: repl.REPLServer): void {
  const complete: unknown = prompt.completer;
  const completer: AsyncCompleter = (line, done) => {
    const begun = /["'`]([\w:.-]*)$/.exec(line)?.[1];
    if (begun === undefined)
      return (complete as AsyncCompleter).call(prompt, line, done);
    const names = [
      ...Object.keys(api.actions.actions),
      ...Object.keys(api.tasks.tasks),
    ];
    const fitting = names.filter((name) => name.startsWith(begun)).sort();
    done(null, [fitting, begun]);
  };
  Object.assign(prompt, { completer });
}

/** A log line comes above the prompt and what is being typed. */
function keepLinesApart(prompt: repl.REPLServer): void {
  const stop = aroundConsole({
    before: () => {
      cursorTo(process.stdout, 0);
      clearScreenDown(process.stdout);
    },
    after: () => prompt.displayPrompt(true),
  });
  prompt.once("exit", stop);
}

/** Everything that `import ... from "actionhero"` offers, `api` among it. */
function fillContext(prompt: repl.REPLServer): void {
  for (const [name, value] of Object.entries(framework())) {
    if (!(name in prompt.context)) prompt.context[name] = value;
  }
}

/** The output of `.actions`, `.tasks` and `.routes`; routes in the order in which they are tried. */
const listings: Record<string, () => string[]> = {
  actions: () => Object.keys(api.actions.actions).sort(),
  tasks: () => Object.keys(api.tasks.tasks).sort(),
  routes: () =>
    Object.entries(api.routes.routes).flatMap(([method, routes]) =>
      routes.map(
        ({ path: pattern, action }) =>
          `${method.toUpperCase().padEnd(7)} ${pattern} -> ${action}`,
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

/** @param ready called once the prompt reads input, which it does not while the history is loaded */
function keepHistory(prompt: repl.REPLServer, ready: () => void): void {
  const file =
    process.env.NODE_REPL_HISTORY ??
    path.join(os.homedir(), ".actionhero_repl_history");
  prompt.setupHistory(file, (error) => {
    if (error) console.error(`no history: ${error.message}`);
    ready();
  });
}

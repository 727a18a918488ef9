import { CLI } from "../../src/cli/cli";
import {
  generateProject,
  type ProjectOptions,
} from "../../src/cli/generate/project";
import { withProgress } from "../../src/cli/execute";
import { findProjectRoot } from "../../src/environment/runtime";

const PROJECT_MAP = `
Your new project:

|- src
|  |- actions        what clients can call
|  |- tasks          what runs in the background
|  |- initializers   what runs when the server loads, starts and stops
|  |- servers        your own ways for clients to connect
|  |- bin            your own commands for \`npx actionhero\`
|  |- config         the settings
|  \`- server.ts      starts it all
|- public            static files
|- __tests__         the tests
|- log, pids         made when the server runs
|- .env              the secrets of this machine; never commit it
\`- package.json

Next:

  npm install        installs the dependencies and compiles
  npm run dev        starts, and restarts when a file changes
  npm test           runs the tests

❤️  the Actionhero Team`;

export class Generate extends CLI {
  static readonly needsProject = false;

  constructor() {
    super();
    this.name = "generate";
    this.description = "make a new project in this folder";
    this.example = "actionhero generate --minimal";
    this.initialize = false;
    this.inputs = {
      minimal: {
        flag: true,
        letter: "m",
        description: "without examples, container files and workflow",
      },
      esm: {
        flag: true,
        letter: "e",
        description: "ES modules instead of CommonJS",
      },
    };
  }

  async run({ params }: { params: ProjectOptions }) {
    console.log("Generating a new actionhero project...");
    await withProgress((progress) =>
      generateProject(findProjectRoot(), params, (file) =>
        progress.show(`writing ${file}`),
      ),
    );
    console.log(PROJECT_MAP);
    return true;
  }
}

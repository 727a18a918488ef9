import { CLI } from "../../../src/cli/cli";
import {
  generateComponent,
  refuseOwnName,
} from "../../../src/cli/generate/component";
import { wholeNumber } from "../../../src/cli/runner";

interface Params {
  name: string;
  loadPriority: string;
  startPriority: string;
  stopPriority: string;
}

export class GenerateInitializer extends CLI {
  constructor() {
    super();
    this.name = "generate-initializer";
    this.description = "write a new initializer and its test";
    this.example =
      "actionhero generate-initializer --name=database --loadPriority=201";
    this.initialize = false;
    this.inputs = {
      name: {
        required: true,
        letter: "n",
        description: "the name of the initializer, and of its file",
      },
      loadPriority: priority("it is loaded"),
      startPriority: priority("it starts"),
      stopPriority: priority("it stops"),
    };
  }

  async run({ params }: { params: Params }) {
    refuseOwnName("initializer", params.name);
    generateComponent(
      [
        { template: "initializer.ts", path: "initializer" },
        {
          template: "test/initializer.ts",
          path: "test",
          folder: "initializers",
        },
      ],
      {
        name: params.name,
        loadPriority: wholeNumber(params.loadPriority),
        startPriority: wholeNumber(params.startPriority),
        stopPriority: wholeNumber(params.stopPriority),
        testTitle: `Initializer: ${params.name}`,
      },
    );
    return true;
  }
}

function priority(what: string) {
  return {
    required: true,
    default: "1000",
    description: `when ${what}: lower is earlier`,
  };
}

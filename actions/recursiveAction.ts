import { Action, action } from "../src";

export class RecursiveAction extends Action {
  constructor() {
    super();
    this.name = "recursiveAction";
    this.description = "Runs another action and adds to its response";
    this.outputExample = {};
  }

  async run() {
    const response = (await action.run("randomNumber")) as {
      randomNumber: number;
      stringRandomNumber: string;
    };
    return { ...response, local: true };
  }
}

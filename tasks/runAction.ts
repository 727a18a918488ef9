import { action, log, Task, type TaskInputs } from "../src";

export class RunAction extends Task {
  constructor() {
    super();
    this.name = "runAction";
    this.description = "Runs an action in the background";
    this.frequency = 0;
    this.queue = "default";
  }

  async run(inputs: TaskInputs) {
    const { action: name, version, params } = inputs;
    const response = await action.run(name, version, params ?? {});
    log("[ action @ task ]", "debug", { action: name, params });
    return response;
  }
}

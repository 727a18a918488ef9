import { Action, type ActionProcessor } from "../src";

export class SendFile extends Action {
  constructor() {
    super();
    this.name = "sendFile";
    this.description = "Answers with a file instead of a response";
    this.outputExample = {};
  }

  async run(data: Partial<ActionProcessor<SendFile>>) {
    data.toRender = false;
    await data.connection!.sendFile("logo/actionhero.png");
  }
}

import { Action } from "../../action/action";
import type { ActionProcessor } from "../../action/actionProcessor";

/** Sends a file below the public folders. */
export class File extends Action {
  constructor() {
    super();
    this.name = "file";
    this.description = "Sends a file";
    this.inputs = { fileName: { required: true } };
    this.toDocument = false;
  }

  override async run(data: ActionProcessor<any>) {
    await data.connection.sendFile(String(data.params.fileName));
    data.toRender = false; // not before: what fails is to be answered, too
  }
}

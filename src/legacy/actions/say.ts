import { Action } from "../../action/action";
import type { ActionProcessor } from "../../action/actionProcessor";
import { chatRoom } from "../../chat/chatRoom";

/** Lets clients that are in no room talk. Guard it by middleware: a client that may run it can talk in every room. */
export class Say extends Action {
  readonly httpMethods = ["post"];

  constructor() {
    super();
    this.name = "say";
    this.description = "Says something in a chat room";
    this.inputs = { room: { required: true }, message: { required: true } };
    this.outputExample = {
      roomStatus: { room: "lobby", membersCount: 0, members: {} },
    };
  }

  /** Its name is also a verb's, which persistent clients get for it; over HTTP there are no verbs. */
  override validate(): void {}

  override async run({ connection, params }: ActionProcessor<any>) {
    const { room, message } = params;
    const roomStatus = await chatRoom.roomStatus(String(room)); // an error when there is no such room
    await chatRoom.broadcast({ id: connection.id }, String(room), message);
    return { roomStatus };
  }
}

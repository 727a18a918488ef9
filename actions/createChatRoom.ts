import { Action, chatRoom, type ParamsFrom } from "../src";

export class CreateChatRoom extends Action {
  override inputs = {
    name: { required: true as const },
  };

  constructor() {
    super();
    this.name = "createChatRoom";
    this.description = "Makes a chat room, unless it is there already";
    this.outputExample = { name: "newRoom", didCreate: true };
  }

  async run({ params }: { params: ParamsFrom<CreateChatRoom> }) {
    const { name } = params;
    try {
      await chatRoom.add(name);
      return { name, didCreate: true };
    } catch (error) {
      if (!(await chatRoom.exists(name))) throw error;
      return { name, didCreate: false };
    }
  }
}

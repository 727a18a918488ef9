import { Action, chatRoom, type ParamsFrom } from "actionhero";

/** Who is in a room, for those who only speak HTTP. */
export class Members extends Action {
  override inputs = {
    room: {
      required: true as const,
      validator: (room: unknown) =>
        typeof room === "string" || "room must be a text",
    },
  };

  constructor() {
    super();
    this.name = "members";
    this.description = "Counts the members of a room";
  }

  async run({ params }: { params: ParamsFrom<Members> }) {
    const { membersCount } = await chatRoom.roomStatus(params.room);
    return { membersCount };
  }
}

import { Initializer, chatRoom } from "actionhero";

const RUDE = /\b(darn|heck)\b/gi;

/** Everything that is said passes here once, on the server that it was said to. */
export class Manners extends Initializer {
  constructor() {
    super();
    this.name = "manners";
  }

  override async initialize() {
    await chatRoom.addMiddleware({
      name: "manners",
      onSayReceive: (_connection, _room, payload) => {
        payload.message = String(payload.message).replace(RUDE, "****");
        return payload;
      },
    });
  }
}

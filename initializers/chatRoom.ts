import { api } from "../src/api";
import { Initializer } from "../src/boot/initializer";
import {
  closeChat,
  createChatRoomApi,
  openChat,
} from "../src/chat/chatRoomApi";

export class ChatRoomInitializer extends Initializer {
  constructor() {
    super();
    this.name = "chatRoom";
    this.loadPriority = 520;
    this.startPriority = 200;
  }

  override async initialize() {
    api.chatRoom = createChatRoomApi();
  }

  override async start() {
    await openChat();
  }

  override async stop() {
    await closeChat();
  }
}

import * as path from "path";

const root = path.join(__dirname, "..", "..");

export const DEFAULT = {
  general: () => ({
    startingChatRooms: { lobby: {} },
    paths: {
      action: [path.join(root, "src", "actions")],
      task: [path.join(root, "src", "tasks")],
      initializer: [path.join(root, "src", "initializers")],
      server: [path.join(root, "src", "servers")],
      public: [path.join(root, "public")],
    },
  }),
};

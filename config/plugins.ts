import type { PluginConfig } from "../src";

const namespace = "plugins";

declare module "../src" {
  interface ActionheroConfigInterface {
    [namespace]: ReturnType<(typeof DEFAULT)[typeof namespace]>;
  }
}

/**
 * Plugins of this project, each with its path and, optionally, sections to disable:
 *
 * "my-plugin": { path: path.join(process.cwd(), "node_modules", "my-plugin"), tasks: false }
 */
export const DEFAULT = {
  [namespace]: (): PluginConfig => {
    return {};
  },
};

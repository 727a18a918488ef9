/** Finds the config folders of plugins, which contain defaults and routes. */
import * as fs from "node:fs";
import * as path from "node:path";
import type { PluginConfig, PluginConfigRecord } from "./types";

/**
 * `<plugin>/config` and `<plugin>/dist/config` of each plugin that says `"actionhero": { "config": true }` in its
 * package.json, or whose record in `config.plugins` says `config: true`; `config: false` there takes precedence.
 *
 * Plugins made for v29 may have a folder of that name, which was never read, so plugins must opt in.
 */
export function pluginConfigFolders(plugins: PluginConfig): string[] {
  return Object.values(plugins)
    .filter((plugin) => plugin.config ?? declaresConfig(plugin))
    .flatMap((plugin) => [
      path.join(plugin.path, "config"),
      path.join(plugin.path, "dist", "config"),
    ])
    .filter((folder) => fs.existsSync(folder));
}

function declaresConfig(plugin: PluginConfigRecord): boolean {
  const file = path.join(plugin.path, "package.json");
  if (!fs.existsSync(file)) return false;
  const { actionhero } = JSON.parse(fs.readFileSync(file, "utf8")) as {
    actionhero?: { config?: unknown };
  };
  return actionhero?.config === true;
}

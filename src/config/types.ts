/** The public types of configuration. */

/** What `config.process` tells about this process. */
export type ProcessConfig = {
  env: string;
  id: string;
  typescript: boolean;
  projectRoot: string;
  actionheroVersion: string;
};

/**
 * The live configuration, one object per namespace. Every config file adds its own:
 * `declare module "actionhero" { interface ActionheroConfigInterface { [namespace]: ReturnType<...> } }`.
 */
export interface ActionheroConfigInterface {
  [key: string]: Record<string, unknown>;
  process: ProcessConfig;
}

/** One entry of `config.plugins`; every section is on unless it is `false`. */
export interface PluginConfigRecord {
  path: string;
  actions?: boolean;
  tasks?: boolean;
  initializers?: boolean;
  servers?: boolean;
  public?: boolean;
  cli?: boolean;
  /** Read the plugin's own config folder; off unless the plugin's package.json asks for it. */
  config?: boolean;
}

export type PluginConfig = { [name: string]: PluginConfigRecord };

/** The sections of a plugin that `config.plugins` can switch off. */
export type PluginSection = Exclude<
  keyof PluginConfigRecord,
  "path" | "config"
>;

/** A block of a config file: what one environment says for each namespace. */
export type ConfigBlock = {
  [namespace: string]: (
    config: ActionheroConfigInterface,
  ) => Record<string, unknown>;
};

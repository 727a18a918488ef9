/** The public types of configuration. */

/** The facts about this process in `config.process`. */
export type ProcessConfig = {
  env: string;
  id: string;
  typescript: boolean;
  projectRoot: string;
  actionheroVersion: string;
};

/**
 * The live configuration, one object per namespace. Each config file declares its namespace:
 * `declare module "actionhero" { interface ActionheroConfigInterface { [namespace]: ReturnType<...> } }`.
 */
export interface ActionheroConfigInterface {
  [key: string]: Record<string, unknown>;
  process: ProcessConfig;
}

/** One entry of `config.plugins`; every section is enabled unless it is `false`. */
export interface PluginConfigRecord {
  path: string;
  actions?: boolean;
  tasks?: boolean;
  initializers?: boolean;
  servers?: boolean;
  public?: boolean;
  cli?: boolean;
  /** Read the plugin's own config folder; disabled unless the plugin's package.json enables it. */
  config?: boolean;
}

export type PluginConfig = { [name: string]: PluginConfigRecord };

/** The sections of a plugin that `config.plugins` can disable. */
export type PluginSection = Exclude<
  keyof PluginConfigRecord,
  "path" | "config"
>;

/** A block of a config file: the values of each namespace in one environment. */
export type ConfigBlock = {
  [namespace: string]: (
    config: ActionheroConfigInterface,
  ) => Record<string, unknown>;
};

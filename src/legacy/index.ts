/** `actionhero/legacy`: what projects of version 3 need to run, and to be moved to today's style bit by bit. */
import "./profile"; // first: what follows reads the configuration

export { actionHero, createActionHero } from "./actionHero";
export type { ActionHero, StartParams } from "./actionHero";
export { fromLegacyAction, type LegacyAction } from "./adapter";
export type { LegacyConnection } from "./connection";
export { fromLegacyTask, type LegacyTask } from "./adapter";
export { fromLegacyInitializer, type LegacyInitializer } from "./adapter";
export { loadLegacyModules } from "./adapter";
export { installLegacyApi } from "./apiFacade";
export { Legacy } from "./initializers/legacy";
export { mapConfigData, type Namespaces } from "./configMap";
export type { ConfigData } from "./configData";
export { profileFolder } from "./profile";
export { CacheTest } from "../../actions/cacheTest";
export { RandomNumber } from "../../actions/randomNumber";
export { Status } from "../../actions/status";
export { ActionsView } from "./actions/actionsView";
export { File } from "./actions/file";
export { Say } from "./actions/say";

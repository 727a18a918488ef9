/** `actionhero/legacy`: what projects of version 3 need to run, and to be moved to today's style bit by bit. */
import "./profile"; // first: what follows reads the configuration

export {
  actionHero,
  type ActionHero,
  createActionHero,
  type StartParams,
} from "./actionHero";
export {
  fromLegacyAction,
  fromLegacyInitializer,
  fromLegacyTask,
  type LegacyAction,
  type LegacyConnection,
  type LegacyInitializer,
  type LegacyTask,
  loadLegacyModules,
} from "./adapter";
export { installLegacyApi } from "./apiFacade";
export { Legacy } from "./initializers/legacy";
export { type ConfigData, mapConfigData, type Namespaces } from "./configMap";
export { profileFolder } from "./profile";
export { CacheTest } from "../../actions/cacheTest";
export { RandomNumber } from "../../actions/randomNumber";
export { Status } from "../../actions/status";
export { ActionsView, File, Say } from "./actions";

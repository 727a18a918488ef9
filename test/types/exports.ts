/** Every type that v29 exported can be imported, alone or from its namespace. Checked by `npm run lint`, never run. */
import {
  type action,
  type cache,
  type chatRoom,
  type redis,
  type specHelper,
  type task,
  api,
  Api,
  config,
  route,
  utils,
  type ActionheroConfigInterface,
  type ActionheroLogLevel,
  type Connection,
  type ExceptionReporter,
  type Input,
  type Inputs,
  type ParamsFrom,
  type PluginConfig,
  type Process,
  type RouteMethod,
  type RoutesConfig,
  type RouteType,
} from "../../src/index";
import type { Equal, Expect } from "./expect";

export type Namespaced = [
  action.ActionMiddleware,
  cache.CacheObject,
  cache.CacheOptions,
  chatRoom.ChatMiddleware,
  chatRoom.ChatPubSubMessage,
  redis.PubSubMessage,
  specHelper.SpecHelperConnection,
  task.TaskMiddleware,
];

export type Alone = [
  ActionheroConfigInterface,
  ActionheroLogLevel,
  ExceptionReporter,
  Input,
  Inputs,
  ParamsFrom<{ inputs: Inputs }>,
  PluginConfig,
  RouteMethod,
  RoutesConfig,
  RouteType,
];

export type Checks = [
  Expect<Equal<typeof api.process, Process | undefined>>,
  Expect<Equal<typeof api.bootTime, number>>,
  Expect<
    Equal<typeof api.connections.connections, { [id: string]: Connection }>
  >,
  Expect<
    Equal<
      RouteMethod,
      "all" | "head" | "get" | "patch" | "post" | "put" | "delete"
    >
  >,
  Expect<
    Equal<
      ActionheroLogLevel,
      | "emerg"
      | "alert"
      | "crit"
      | "error"
      | "warning"
      | "notice"
      | "info"
      | "debug"
    >
  >,
];

/** Users hang anything on `api`, with or without declaring it. */
export function undeclared(): unknown {
  api.anything = new Api();
  const port: unknown = config.web.port;
  return [api.anything, port, utils.sleep(1), route.registerRoute];
}

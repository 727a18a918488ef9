/** The public exports of actionhero. Nothing inside `src` imports this file. */
import { api as coreApi, type Api } from "./api";
import { ownRequire } from "./environment/ownRequire";
import { requireNode } from "./environment/runtime";

requireNode();
// must stay above the exports: each becomes a require() in this order; see "Loading" in docs/architecture.md
require = ownRequire(module, require);

/** The shared object of this process; users may hang anything on it. */
export const api = coreApi as Api & { [key: string]: any };

export { Api, type ProcessCommands } from "./api";
export { Action, type ActionResponse } from "./action/action";
export * as action from "./action/actionModule";
export type {
  ActionName,
  ActionRegistry,
  ActionSignature,
  AnySignature,
  TaskSignature,
} from "./action/actionTypes";
export {
  defineAction,
  type ActionData,
  type ActionDefinition,
  type ActionRoute,
  type DefinedAction,
} from "./action/action";
export {
  rateLimit,
  type RateLimitKey,
  type RateLimitOptions,
} from "./action/rateLimit";
export {
  defineMiddleware,
  type DefinedMiddleware,
  type MiddlewareDefinition,
} from "./action/action";
export { ActionProcessor } from "./action/actionProcessor";
export type { ActionsApi } from "./action/registry";
export type { ParamsApi } from "./action/safeParams";
export { ActionsStatus } from "./action/status";
export { cache } from "./cache/cache";
export { chatRoom } from "./chat/chatRoom";
export type { ChatTransport } from "./chat/delivery";
export { encodeOnce } from "./exposure/json";
export type {
  ChatConnection,
  ChatMiddleware,
  ChatPubSubMessage,
  ChatRoomApi,
  MemberDetails,
  RoomStatus,
} from "./chat/types";
export { Process, type ProcessState } from "./boot/process";
export { Initializer } from "./boot/initializer";
export {
  actionheroVersion,
  config,
  env,
  id,
  projectRoot,
  rebuildConfig,
  typescript,
} from "./config/config";
export type {
  ActionheroConfigInterface,
  PluginConfig,
  PluginConfigRecord,
} from "./config/types";
export {
  context,
  type ContextLogger,
  type WorkContext,
} from "./context/context";
export * as auth from "./auth/module";
export * as health from "./health/module";
export type { HealthApi } from "./health/health";
export type { Check, CheckOptions } from "./health/health";
export type {
  Counter,
  Gauge,
  GaugeOptions,
  Histogram,
  HistogramOptions,
  Labels,
  MetricOptions,
  MetricsApi,
  MetricsPage,
} from "./metrics/types";
export type { SpanAttributes, TracingApi } from "./tracing/types";
export type { ClusterApi, ClusterNode } from "./cluster/register";
export { Connection, type ConnectionData } from "./connection/connection";
export type {
  ConnectionMiddleware,
  ConnectionsApi,
} from "./connection/registry";
export { connectionVerbs, type ConnectionVerb } from "./connection/verbs";
export type { FlashValues, Session, StoredValues } from "./session/session";
export type { StoredSessions } from "./session/storedSessions";
export type { CookieOptions, CookieProtection } from "./cookie/cookies";
export type { Cookies } from "./cookie/cookies";
export type { CookieAttributes } from "./config/types";
export {
  ActionheroError,
  HttpError,
  type ErrorCode,
  type HttpErrorHeaders,
} from "./errors";
export { file, type FileInput, type FileOptions } from "./input/file";
export { UploadedFile } from "./input/file";
export { withFiles } from "./input/schemaParams";
export { tableOf as inputTable } from "./input/schemaPlan";
export type {
  SchemaInput,
  SchemaIssue,
  SchemaOutput,
  StandardSchema,
} from "./input/types";
export type { DeclaredInputs, Input, Inputs, ParamsFrom } from "./input/types";
export { log, loggers, type ActionheroLogLevel } from "./log/log";
export type { LogStyle } from "./log/loggerTools";
export type { LoggerTools } from "./log/loggerTools";
export type { ExceptionHandlerAPI, ExceptionReporter } from "./log/exceptions";
export { utils } from "./publicUtils";
export { CLI, type CLIInput, type CLIInputs } from "./cli/cli";
export { redis } from "./redis/redis";
export type {
  PubSubMessage,
  RedisApi,
  SubscriptionHandler,
} from "./redis/lifecycle";
export type { RedisClients } from "./redis/clients";
export * as route from "./route/routeModule";
export type { RoutesApi } from "./route/registry";
export type { RouteMethod, RoutesConfig, RouteType } from "./route/tables";
export type { ServersApi } from "./server/registry";
export {
  Server,
  type BuildConnectionData,
  type ServerAttributes,
} from "./server/server";
export type { SocketServer } from "./server/socket/socketServer";
export type { RequestInterceptor, WebServer } from "./server/web/webServer";
export type {
  FileConnection,
  StaticFileApi,
  StaticFileResult,
} from "./staticFile/staticFile";
export * as specHelper from "./testing/specHelper";
export type { SpecHelperApi, SpecHelperConnection } from "./testing/testServer";
export type { RetryRule } from "./resque/types";
export { builtinTasks } from "./task/registry";
export { defineTask, type DefinedTask, type TaskDefinition } from "./task/task";
export { Task, type TaskContext, type TaskInputs } from "./task/task";
export * as task from "./task/taskModule";
export type { TaskName, TaskRegistry } from "./task/task";
export type { TasksApi } from "./task/registry";
export type { ResqueApi } from "./task/resqueApi";

/** What both entries of `actionhero/client` export beside their clients. */
export { ActionError, ClientError } from "./errors";
export type { ClientErrorCode, ParamProblem } from "./errors";
export type { StreamedFile } from "./multipart";
export type {
  ActionRoutes,
  ActionSignature,
  AnyActions,
  CallOptions,
  Client,
  CreateClientOptions,
  ConnectionEvents,
  ConnectionState,
  HttpClient,
  HttpOptions,
  RoomMessage,
} from "./types";

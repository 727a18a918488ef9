/** The exports of both entries of `actionhero/client`, beside their clients. */
export { ActionError, ClientError } from "./call";
export type { ClientErrorCode, ParamProblem } from "./call";
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
  TokenSource,
} from "./types";

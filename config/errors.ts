const namespace = "errors";

declare module "../src" {
  interface ActionheroConfigInterface {
    [namespace]: ReturnType<(typeof DEFAULT)[typeof namespace]>;
  }
}

/** The text of an error, or the value itself when it has none. */
function messageOf(error: any): any {
  return error?.message ? String(error.message) : error;
}

export const DEFAULT = {
  [namespace]: () => {
    return {
      // these functions are settings: they are called when an error is made, and not when the config is built
      _toExpand: false,

      // report requests for actions that do not exist to the exception reporters, too
      reportUnknownActions: false,

      // what clients read of errors. "all": every message. "intended": those of HttpError, of errors with `expose: true` or
      // a numeric `code` from 400 to 599, and the texts below; in place of others `internalError`, whose id is in the log
      exposeMessages: "all" as "all" | "intended",

      // in place of a message that is hidden
      internalError: (id: string): any =>
        `The server experienced an internal error (${id})`,

      // in place of an error that redis could not be reached, whichever way it was noticed; null: as other errors.
      // (id) => text, whose id is in the log beside the error
      redisAway: null as null | ((id: string) => any),

      // the level of log lines about what clients do wrong: actions that fail with a 4xx error or because of params that are
      // missing or invalid, bodies, lines and connections that are refused. "error": as other errors, with the stack; any
      // other level: without
      clientErrorLogLevel: "error" as string,

      // how errors are shown to clients, and in logs
      serializers: {
        servers: {
          web: messageOf,
          websocket: messageOf,
          socket: messageOf,
          specHelper: (error: any): any =>
            error?.message ? "Error: " + String(error.message) : error,
        },
        // null, or: (error) => ({ errorFields: {...}, logLevel: "error" })
        actionProcessor: null as
          | null
          | ((error: any) => {
              errorFields: Record<string, unknown>;
              logLevel?: any;
            }),
      },

      // Actions: each may be async, and answer a text, an Error or any object

      // params that did not pass their validators
      invalidParams: (_data: any, validationErrors: any[]): any =>
        validationErrors[0],

      // required params that are missing
      missingParams: (_data: any, missingParams: string[]): any =>
        `${missingParams[0]} is a required parameter for this action`,

      // no such action, or not in this version; over HTTP perhaps with another method
      unknownAction: (data: any): any =>
        data?.connection?.otherMethods
          ? `unknown action or invalid apiVersion (with this method: use ${data.connection.otherMethods.join(", ")})`
          : "unknown action or invalid apiVersion",

      // the action does not take this kind of connection
      unsupportedServerType: (data: any): any =>
        `this action does not support the ${data.connection.type} connection type`,

      // the server is stopping
      serverShuttingDown: (_data: any): any => "the server is shutting down",

      // more than `general.simultaneousActions` of one client
      tooManyPendingActions: (_data: any): any =>
        "you have too many pending requests",

      // more than `general.rateLimit` of one client; a text gets the HTTP status 429
      rateLimited: (_connection: any, limit: any, _resetMs: number): any =>
        `too many requests (limit ${limit.requests} per ${limit.perMs} ms)`,

      // the limits of `general.overload` are reached; a text gets the HTTP status 503
      overloaded: (_data: any): any =>
        "the server is overloaded, try again later",

      // the action took longer than its `timeout` in ms; a text gets the HTTP status 503
      timedOut: (_data: any, timeout: number): any =>
        `the action did not end within ${timeout} ms`,

      // anything thrown by an action or its middleware; may change data.response
      genericError: async (_data: any, error: any): Promise<any> => error,

      // Files

      // the file does not exist
      fileNotFound: (_connection: any): any => "that file is not found",

      // no file was named
      fileNotProvided: (_connection: any): any =>
        "file is a required param to send a file",

      // the file cannot be read
      fileReadError: (_connection: any, error: any): any =>
        `error reading file: ${error?.message ?? error}`,

      // Connections

      verbNotFound: (_connection: any, verb: string): any =>
        `verb not found or not allowed (${verb})`,

      verbNotAllowed: (_connection: any, verb: string): any =>
        `verb not found or not allowed (${verb})`,

      connectionRoomAndMessage: (_connection: any): any =>
        "both room and message are required",

      connectionNotInRoom: (_connection: any, room: string): any =>
        `connection not in this room (${room})`,

      connectionAlreadyInRoom: (_connection: any, room: string): any =>
        `connection already in this room (${room})`,

      connectionRoomHasBeenDeleted: (_room: string): any =>
        "this room has been deleted",

      connectionRoomNotExist: (_room: string): any => "room does not exist",

      connectionRoomExists: (_room: string): any => "room exists",

      connectionRoomRequired: (): any => "a room is required",

      // a line of a TCP client that is longer than `socket.maxDataLength`
      // (the labels are swapped since ever, and clients match on the text)
      dataLengthTooLarge: (maxLength: number, receivedLength: number): any =>
        `data length is too big (${maxLength} received/${receivedLength} max)`,
    };
  },
};

const namespace = "errors";

declare module "../src" {
  interface ActionheroConfigInterface {
    [namespace]: ReturnType<(typeof DEFAULT)[typeof namespace]>;
  }
}

/** The text of an error, or the value itself if it has none. */
function messageOf(error: any): any {
  return error?.message ? String(error.message) : error;
}

export const DEFAULT = {
  [namespace]: () => {
    return {
      // these functions are values: they are called for each error, not when the config is built
      _toExpand: false,

      // also report requests for unknown actions to the exception reporters
      reportUnknownActions: false,

      // which error messages clients see. "all": every message. "intended": those of HttpError, of errors with
      // `expose: true` or a numeric `code` from 400 to 599, and the texts below; other messages are replaced by
      // `internalError`, whose id is in the log
      exposeMessages: "all" as "all" | "intended",

      // the replacement of a hidden message
      internalError: (id: string): any =>
        `The server experienced an internal error (${id})`,

      // the replacement of any error caused by an unavailable redis; null: like other errors.
      // (id) => text, whose id is in the log beside the error
      redisAway: null as null | ((id: string) => any),

      // the error of an action that `action.run` ran has the message and the status that a client would have received,
      // so that its caller responds with them; false: its text ("Error: ..."), without a status
      keepInline: false,

      // the log level of errors that clients cause: 4xx errors of actions, missing or invalid params, refused
      // bodies, lines and connections. "error": like other errors, with the stack; any other level: without
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

      // Actions: each may be async, and return a string, an Error or any object

      // invalid params
      invalidParams: (_data: any, validationErrors: any[]): any =>
        validationErrors[0],

      // missing params
      missingParams: (_data: any, missingParams: string[]): any =>
        `${missingParams[0]} is a required parameter for this action`,

      // an unknown action or version; over HTTP possibly a wrong method
      unknownAction: (data: any): any =>
        data?.connection?.otherMethods
          ? `unknown action or invalid apiVersion (with this method: use ${data.connection.otherMethods.join(", ")})`
          : "unknown action or invalid apiVersion",

      // the action does not allow this connection type
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

      // any other error of an action or its middleware; may change data.response
      genericError: async (_data: any, error: any): Promise<any> => error,

      // Files

      // the file does not exist
      fileNotFound: (_connection: any): any => "that file is not found",

      // the file param is missing
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
      // (the labels have always been swapped, and clients match on the text)
      dataLengthTooLarge: (maxLength: number, receivedLength: number): any =>
        `data length is too big (${maxLength} received/${receivedLength} max)`,
    };
  },
};

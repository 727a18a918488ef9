/** Types of the connection code, for the client. */
declare function definePrimus(
  WebSocket: unknown,
  server: { pathname: string; pingTimeout: number },
): { EventEmitter: unknown; connect: unknown };

export = definePrimus;

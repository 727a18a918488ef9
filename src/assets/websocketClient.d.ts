/** Types of the client of pages, for the client in `src/client`. */
declare function defineWebsocketClient(environment: {
  EventEmitter: unknown;
  connect: unknown;
  defaults: object;
}): unknown;

export = defineWebsocketClient;

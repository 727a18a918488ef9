/** The open connections by id, the object behind `api.connections.connections`. */
import type { Connection } from "./connection";

type Connections = { [id: string]: Connection };

/** The place of a connection in the list of those that nobody has asked for by id. */
export const PLACE = Symbol("place");

/** Fewer places of connections that have left are not worth a new list. */
const MIN_LEFT = 64;

/**
 * Adding and removing a key per request costs more than matching its route: V8 internalizes the long id, and objects
 * with ever new keys become hash tables. Therefore connections are collected in a list, and most leave it before the
 * object is requested (bench/http.ts). After the first request, a caller may hold the object, so it is always kept
 * up to date.
 */
export class ConnectionTable {
  private byId: Connections = {};
  /** Undefined: it has left. */
  private waiting: (Connection | undefined)[] = [];
  /** How many of the list have left. */
  private left = 0;
  private isShared = false;

  /** The object itself. */
  get all(): Connections {
    this.isShared = true;
    return this.settle();
  }

  set all(connections: Connections) {
    this.isShared = true;
    this.waiting = [];
    this.left = 0;
    this.byId = connections;
  }

  get count(): number {
    return this.waiting.length - this.left + Object.keys(this.byId).length;
  }

  add(connection: Connection): void {
    if (this.isShared) {
      this.byId[connection.id] = connection;
      return;
    }
    connection[PLACE] = this.waiting.length;
    this.waiting.push(connection);
  }

  remove(connection: Connection): void {
    const { waiting } = this;
    const place = connection[PLACE];
    if (waiting[place] === connection) return this.leave(place);
    if (this.byId[connection.id] === connection)
      delete this.byId[connection.id];
  }

  find(id: string): Connection | undefined {
    const byId = this.settle();
    return Object.hasOwn(byId, id) ? byId[id] : undefined;
  }

  /** All connections, for the framework itself, which does not hold the object. */
  list(): Connection[] {
    return Object.values(this.settle());
  }

  private leave(place: number): void {
    const { waiting } = this;
    if (place === waiting.length - 1) waiting.pop();
    else {
      waiting[place] = undefined;
      this.left++;
    }
    if (this.left > MIN_LEFT && this.left > waiting.length / 2)
      this.closeRanks();
  }

  private closeRanks(): void {
    this.waiting = this.waiting.filter((one) => one !== undefined);
    this.left = 0;
    this.waiting.forEach((connection, place) => (connection![PLACE] = place));
  }

  private settle(): Connections {
    const { byId, waiting } = this;
    if (waiting.length === 0) return byId;
    this.waiting = [];
    this.left = 0;
    for (const connection of waiting)
      if (connection) byId[connection.id] = connection;
    return byId;
  }
}

/** The open connections by id, the object behind `api.connections.connections`. */
import type { Connection } from "./connection";

type Connections = { [id: string]: Connection };

/**
 * Adding and removing a key per request costs more than matching its route: V8 internalizes the long id, and objects
 * with ever new keys become hash tables. Therefore connections are collected in a set, and most leave it before the
 * object is requested (bench/http.ts). After the first request, a caller may hold the object, so it is always kept
 * up to date.
 */
export class ConnectionTable {
  private byId: Connections = {};
  private readonly waiting = new Set<Connection>();
  private isShared = false;

  /** The object itself. */
  get all(): Connections {
    this.isShared = true;
    return this.settle();
  }

  set all(connections: Connections) {
    this.isShared = true;
    this.waiting.clear();
    this.byId = connections;
  }

  get count(): number {
    return this.waiting.size + Object.keys(this.byId).length;
  }

  add(connection: Connection): void {
    if (this.isShared) this.byId[connection.id] = connection;
    else this.waiting.add(connection);
  }

  remove(connection: Connection): void {
    if (this.waiting.delete(connection)) return;
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

  private settle(): Connections {
    const { byId, waiting } = this;
    for (const connection of waiting) byId[connection.id] = connection;
    waiting.clear();
    return byId;
  }
}

/** The open connections by their ids, as the object that `api.connections.connections` is. */
import type { Connection } from "./connection";

type Connections = { [id: string]: Connection };

/**
 * A key that comes and goes with every request costs more than matching its route: V8 makes the long id a name, and
 * objects with ever new keys are hash tables. So connections wait in a set, and most leave it before anybody asks for
 * the object (bench/http.ts). Who once had the object may have kept it: from then on it is always up to date.
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

  /** All of them, for the framework itself, which does not keep the object. */
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

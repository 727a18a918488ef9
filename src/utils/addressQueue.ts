import { networkOf } from "./addresses";

/** Clients that wait: the addresses take turns, and those of one address are in the order in which they came. */
export class AddressQueue<Client extends object> {
  /** The network whose turn is next comes first. */
  private readonly networks = new Map<string, Set<Client>>();
  /** The network of each client that waits. */
  private readonly places = new Map<Client, string>();

  get size(): number {
    return this.places.size;
  }

  /** @param address undefined for that of a unix socket */
  add(client: Client, address: string | undefined): void {
    if (this.places.has(client)) return;
    const network = networkOf(address ?? "") ?? "";
    this.places.set(client, network);
    const clients = this.networks.get(network);
    if (clients) clients.add(client);
    else this.networks.set(network, new Set([client]));
  }

  /** The next client, which then waits no longer. */
  take(): Client | undefined {
    const [next] = this.networks;
    if (next === undefined) return undefined;
    const [network, clients] = next;
    const [client] = clients;
    this.delete(client!);
    if (this.networks.delete(network)) this.networks.set(network, clients);
    return client;
  }

  /** The last client of the address with most of them; undefined if one of `address` would be as many. */
  lastOfMany(address: string | undefined): Client | undefined {
    const own = this.networks.get(networkOf(address ?? "") ?? "")?.size ?? 0;
    let many: Set<Client> | undefined;
    for (const clients of this.networks.values())
      if (clients.size > (many?.size ?? own + 1)) many = clients;
    return many && [...many].pop();
  }

  delete(client: Client): void {
    const network = this.places.get(client);
    if (network === undefined) return;
    this.places.delete(client);
    const clients = this.networks.get(network)!;
    clients.delete(client);
    if (clients.size === 0) this.networks.delete(network);
  }
}

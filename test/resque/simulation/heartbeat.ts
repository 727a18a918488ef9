/** The thread that renews the lease of a simulated process while its event loop is blocked, and what starts it. */
import type { Heartbeat } from "../../../src/resque/heartbeat";
import { MultiWorker } from "../../../src/resque/multiWorker";
import type { Backend } from "./backend";
import { LEASE_MS } from "./ledger";
import type { Network } from "./network";
import type { SimProcess } from "./world";

export class SimHeartbeat implements Heartbeat {
  private id = "";
  private until = -Infinity;
  private isStopped = false;

  constructor(
    private readonly process: SimProcess,
    private readonly network: Network,
    private readonly backend: Backend,
  ) {
    this.schedule();
  }

  follow(id: string): void {
    this.id = id;
    this.until = -Infinity;
    this.beat();
  }

  alive(): void {
    // a simulation is shorter than what an event loop may be blocked
  }

  leaseUntil(): number {
    return this.until;
  }

  stop(): void {
    this.isStopped = true;
  }

  beat(): void {
    const { id, process, network, backend } = this;
    if (id === "" || this.isStopped) return;
    const sentAt = process.environment.monotonic();
    const deliver = () => backend.heartbeat(id, LEASE_MS);
    network.send(process.thread, "heartbeat", deliver).then(
      (isRegistered) => {
        if (isRegistered && id === this.id) this.until = sentAt + LEASE_MS;
      },
      () => undefined,
    );
  }

  private schedule(): void {
    const { process } = this;
    const next = () => {
      if (this.isStopped) return;
      this.beat();
      this.schedule();
    };
    process.world.schedule(LEASE_MS / 3, next, process.thread);
  }
}

/** Workers with such a thread. */
export class SimMultiWorker extends MultiWorker {
  heartbeat?: SimHeartbeat;
  makeHeartbeat: () => SimHeartbeat | undefined = () => undefined;

  protected override startHeartbeat(): Heartbeat | undefined {
    this.heartbeat = this.makeHeartbeat();
    return this.heartbeat;
  }
}

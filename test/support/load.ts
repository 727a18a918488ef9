/** Steady load on a server, to see whether any request fails while something happens to it. */
import * as http from "http";
import { setTimeout as sleep } from "timers/promises";

/** Half of the clients keep their connection, the other half open one for each request. */
const CLIENTS = 8;

export class Load {
  answered = 0;
  /** What went wrong, one line each. */
  readonly failures: string[] = [];
  private asking = true;
  private readonly keptAlive = new http.Agent({ keepAlive: true });
  private readonly clients: Promise<void>[];

  /** @param pauseMs how long each client waits before its next request */
  constructor(
    private readonly port: number,
    private readonly url: string,
    private readonly pauseMs = 0,
  ) {
    this.clients = Array.from({ length: CLIENTS }, (_, i) =>
      this.askOnAndOn(i % 2 === 0 ? this.keptAlive : false),
    );
  }

  async stop(): Promise<void> {
    this.asking = false;
    await Promise.all(this.clients);
    this.keptAlive.destroy();
  }

  private async askOnAndOn(agent: http.Agent | false): Promise<void> {
    while (this.asking) {
      const failure = await this.askOnce(agent);
      if (failure === undefined) this.answered++;
      else this.failures.push(failure);
      if (this.pauseMs > 0) await sleep(this.pauseMs);
    }
  }

  private askOnce(agent: http.Agent | false): Promise<string | undefined> {
    return new Promise((resolve) => {
      const target = { port: this.port, path: this.url, agent };
      const request = http.get(target, (response) => {
        let text = "";
        response.on("data", (data) => (text += data));
        response.on("error", (error) => resolve(error.message));
        response.on("end", () => {
          const { statusCode } = response;
          resolve(
            statusCode === 200 ? undefined : `status ${statusCode}: ${text}`,
          );
        });
      });
      request.on("error", (error) => resolve(error.message));
    });
  }
}

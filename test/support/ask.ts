/** One HTTP request with nothing added to it. */
import * as http from "node:http";

export interface Answer {
  status: number;
  statusMessage: string;
  headers: http.IncomingHttpHeaders;
  rawHeaders: string[];
  bytes: Buffer;
  text: string;
  /** The body as JSON. */
  json: any;
}

export interface Ask {
  method?: string;
  headers?: http.OutgoingHttpHeaders;
  body?: string | Buffer;
  agent?: http.Agent;
}

/** On a connection of its own, unless an agent is given; `port` may be the path of a unix socket. */
export function ask(
  port: number | string,
  path: string,
  { method = "GET", headers, body, agent }: Ask = {},
): Promise<Answer> {
  const target =
    typeof port === "string"
      ? { socketPath: port }
      : { port, host: "localhost" };
  return new Promise((resolve, reject) => {
    const request = http.request(
      { ...target, path, method, headers, agent: agent ?? false },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.once("error", reject);
        response.once("end", () => {
          const bytes = Buffer.concat(chunks);
          resolve({
            status: response.statusCode!,
            statusMessage: response.statusMessage!,
            headers: response.headers,
            rawHeaders: response.rawHeaders,
            bytes,
            text: bytes.toString(),
            get json() {
              return JSON.parse(bytes.toString());
            },
          });
        });
      },
    );
    request.once("error", reject);
    request.end(body);
  });
}

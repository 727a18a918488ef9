/** What is left on the disk when a client goes while its file is just being begun. */
import { once } from "node:events";
import * as fs from "node:fs";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { until } from "../../support/until";
import { addActions, startWebApp, type WebApp } from "../../support/webApp";
import { api, config } from "../../../src/index";
import type { WebRequest } from "../../../src/server/web/webRequest";
import type { WebServer } from "../../../src/server/web/webServer";
import { restoreConfig } from "../../support/withConfig";

restoreConfig();

const { promises } = fs;

let app: WebApp;
let uploadDir: string;

beforeAll(async () => {
  app = await startWebApp();
  uploadDir = fs.mkdtempSync(path.join(os.tmpdir(), "aborted-"));
  config.web.formOptions = { uploadDir };
  addActions({ take: { run: () => ({}) } });
});

afterAll(async () => {
  await app.stop();
  fs.rmSync(uploadDir, { recursive: true, force: true });
});

/** How many files of the requests in flight are known. */
function begun(server: WebServer): number {
  const [connection] = server.connections();
  const request = connection?.rawConnection as WebRequest | undefined;
  return request?.temporaryFiles?.count ?? 0;
}

const PART =
  "--b\r\nContent-Disposition: form-data; name=f; filename=f\r\n\r\nx";
const OCTETS = "application/octet-stream";
const FORM = "multipart/form-data; boundary=b";

test.each([
  [OCTETS, "x"],
  [FORM, PART],
  [FORM, `${PART}\r\n${PART}`],
])("an aborted upload leaves no open file: %s %#", async (type, body) => {
  const server = api.servers.servers.web as WebServer;
  const opens: (() => void)[] = [];
  const { open } = promises;
  const opening = jest
    .spyOn(promises, "open")
    .mockImplementation(async (...args) => {
      await new Promise<void>((proceed) => opens.push(proceed));
      return open(...args);
    });
  const client = net.connect(app.port, "localhost");
  await once(client, "connect");
  client.write(
    `POST /api/take HTTP/1.1\r\nHost: a\r\nContent-Type: ${type}\r\nContent-Length: 9999\r\n\r\n${body}`,
  );
  await until(() => begun(server) > 0 && opens.length === begun(server));
  client.destroy();
  await until(() => Object.keys(server.sockets).length === 0);
  await fs.promises.readdir(uploadDir); // so long a removal that does not wait would take

  opening.mockRestore();
  for (const proceed of opens) proceed();
  await until(() => server.connections().length === 0);
  await until(() => fs.readdirSync(uploadDir).length === 0);
});

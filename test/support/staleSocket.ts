/** What a killed process leaves at the path of a unix socket. */
import { once } from "node:events";
import * as fs from "node:fs";
import * as net from "node:net";

/** Create the file of a unix socket without a listener. */
export async function leaveStaleSocket(file: string): Promise<void> {
  const other = `${file}.killed`;
  const killed = net.createServer().listen(other);
  await once(killed, "listening");
  fs.linkSync(other, file);
  killed.close(); // removes only the name that it listened at
  await once(killed, "close");
}

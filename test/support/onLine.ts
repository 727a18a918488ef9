/** Lines of a socket. Unlike node:readline of Node 24, which ends lines at U+2028 too, it ends them at LF only. */
import type { Socket } from "node:net";

export function onLine(socket: Socket, tell: (line: string) => void): void {
  let rest = "";
  socket.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    lines.forEach(tell);
  });
}

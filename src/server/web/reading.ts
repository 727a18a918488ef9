/** Whether more is read from the connection of a client. */
import type { Socket } from "node:net";

/** Node resumes a socket with each of its requests that is read or answered. */
function stay(this: Socket): Socket {
  return this;
}

/** A resume that was under way when the socket was paused. */
function pauseAgain(this: Socket): void {
  this.emit("pause");
}

export function stopReading(socket: Socket): void {
  if (socket.resume === stay) return;
  socket.pause();
  socket.resume = stay;
  socket.on("resume", pauseAgain);
}

export function goOnReading(socket: Socket): void {
  if (socket.resume !== stay) return;
  Reflect.deleteProperty(socket, "resume"); // the class's own is there again
  socket.off("resume", pauseAgain);
  socket.resume();
}

/** Pauses and resumes reading from the connection of a client. */
import type { Socket } from "node:net";

/** Node resumes a socket whenever one of its requests is read or answered. */
function stay(this: Socket): Socket {
  return this;
}

/** A resume that was pending when the socket was paused. */
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
  Reflect.deleteProperty(socket, "resume"); // restores the method of the class
  socket.off("resume", pauseAgain);
  socket.resume();
}

/** Streams in places that take data: a stream that nobody reads keeps its file or connection open. */

interface StreamLike {
  pipe?: unknown;
  pipeTo?: unknown;
  on?: (event: string, listener: () => void) => unknown;
  destroy?: () => unknown;
  cancel?: () => Promise<unknown>;
}

/**
 * Refuse a stream of node or of the web, and close it.
 * @param what the place, as the subject of the error, e.g. "an action"
 * @throws Error for a stream
 */
export function refuseStream(value: unknown, what: string): void {
  if (typeof value !== "object" || value === null) return;
  const stream = value as StreamLike;
  if (typeof stream.pipe !== "function" && typeof stream.pipeTo !== "function")
    return;
  stream.on?.("error", ignore); // its file may not even be there
  stream.destroy?.();
  stream.cancel?.().catch(ignore);
  throw new Error(
    `${what} takes data, not a stream: send a file by connection.sendFile, or set data.toRender to false and pipe the stream into connection.rawConnection.res`,
  );
}

function ignore(): void {
  // it is closed, and the error that is thrown says why
}

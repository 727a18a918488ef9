/** Refuses streams where data is expected: an unread stream keeps its file or connection open. */

interface StreamLike {
  pipe?: unknown;
  pipeTo?: unknown;
  on?: (event: string, listener: () => void) => unknown;
  destroy?: () => unknown;
  cancel?: () => Promise<unknown>;
}

/**
 * Refuse a node stream or web stream, and close it.
 * @param what the place, as the subject of the error, e.g. "an action"
 * @throws Error for a stream
 */
export function refuseStream(value: unknown, what: string): void {
  if (typeof value !== "object" || value === null) return;
  const stream = value as StreamLike;
  if (typeof stream.pipe !== "function" && typeof stream.pipeTo !== "function")
    return;
  stream.on?.("error", ignore); // its file may not exist
  stream.destroy?.();
  stream.cancel?.().catch(ignore);
  throw new Error(
    `${what} takes data, not a stream: send a file by connection.sendFile, or set data.toRender to false and pipe the stream into connection.rawConnection.res`,
  );
}

function ignore(): void {
  // it is closed, and the thrown error gives the reason
}

/** Methods of HTTP requests as metrics and traces name them: clients can make up any number. */

/** Stands for all methods without a standard. */
export const OTHER_METHOD = "_OTHER";

const METHODS = new Set([
  "GET",
  "HEAD",
  "POST",
  "PUT",
  "PATCH",
  "DELETE",
  "OPTIONS",
  "TRACE",
  "CONNECT",
]);

export function knownMethod(method: string): string {
  return METHODS.has(method) ? method : OTHER_METHOD;
}

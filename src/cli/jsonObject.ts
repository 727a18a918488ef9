/** A JSON object from a word of the command line. */
export function jsonObject(word: string): Record<string, unknown> {
  const value: unknown = JSON.parse(word);
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Error("it must be a JSON object");
  return value as Record<string, unknown>;
}

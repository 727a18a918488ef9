/** Remembers the file that an action or task was loaded from, for messages about it. */

const files = new WeakMap<object, string>();

export function setOrigin(instance: object, file: string): void {
  files.set(instance, file);
}

/** The file as it was given; undefined for what was made by code. */
export function originOf(instance: object): string | undefined {
  return files.get(instance);
}

/** Records the file that an action or task was loaded from, for error messages. */

const files = new WeakMap<object, string>();

export function setOrigin(instance: object, file: string): void {
  files.set(instance, file);
}

/** The recorded file; undefined for objects created by code. */
export function originOf(instance: object): string | undefined {
  return files.get(instance);
}

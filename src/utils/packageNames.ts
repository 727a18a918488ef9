/** The names that npm takes for packages. */

/** Names that npm refuses, and that of the framework, which the package needs. */
export const REFUSED_NAMES: readonly string[] = [
  "node_modules",
  "favicon.ico",
  "actionhero",
];

export const MAX_NAME = 214;

/** With or without a scope. */
const PACKAGE_NAME = /^(@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*$/;

/** @throws Error for a name that cannot be that of a package */
export function checkPackageName(name: string): void {
  const isValid = PACKAGE_NAME.test(name) && name.length <= MAX_NAME;
  if (!isValid || REFUSED_NAMES.includes(name))
    throw new Error(`npm takes no package with the name ${name}`);
}

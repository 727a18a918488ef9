/** The oldest Node.js that runs this code. */
const OLDEST = { major: 20, minor: 19 };

/**
 * Called before anything that an older Node.js lacks is used.
 * @throws Error for a Node.js that cannot run this
 */
export function requireNode(version = process.versions.node): void {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major > OLDEST.major) return;
  if (major === OLDEST.major && minor >= OLDEST.minor) return;
  throw new Error(
    `actionhero needs Node.js ${OLDEST.major}.${OLDEST.minor} or newer; this is ${version}`,
  );
}

/** The oldest Node.js that runs this code. */
const OLDEST = { major: 20, minor: 19 };

/**
 * Must be called before any feature that older versions of Node.js lack.
 * @throws Error for an unsupported Node.js
 */
export function requireNode(version = process.versions.node): void {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major > OLDEST.major) return;
  if (major === OLDEST.major && minor >= OLDEST.minor) return;
  throw new Error(
    `actionhero needs Node.js ${OLDEST.major}.${OLDEST.minor} or newer; this is ${version}`,
  );
}

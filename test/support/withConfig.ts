/** Changes of the live configuration that end with the test, or with a part of it. */
type Settings = Record<string, unknown>;

/** Loaded late: suites set variables of the environment before they load the configuration. */
function liveConfig(): Record<string, Settings> {
  const { config } =
    require("../../src/config/config") as typeof import("../../src/config/config");
  return config;
}

/**
 * Tests of this file, or of this `describe` block, may assign settings: each has its former value after the test. Call it
 * before other hooks, because settings of a `beforeEach` then end with the test, too.
 */
export function restoreConfig(): void {
  let restore: () => void;
  beforeEach(() => {
    restore = snapshot(liveConfig());
  });
  afterEach(() => restore());
}

/**
 * Run `body` with these settings; they have their former values afterwards, whatever it does.
 * @param changes by namespace: `{ web: { csrf: true } }`
 */
export async function withConfig<T>(
  changes: { [namespace: string]: Settings },
  body: () => T | Promise<T>,
): Promise<T> {
  const config = liveConfig();
  const restore = snapshot(config);
  try {
    for (const [namespace, settings] of Object.entries(changes))
      Object.assign(config[namespace], settings);
    return await body();
  } finally {
    restore();
  }
}

/**
 * Remember the members of an object, and of the plain objects in it.
 * @returns puts them back, and removes others
 */
function snapshot(object: Settings): () => void {
  const members = Object.entries(object);
  const inner = members.flatMap(([, value]) =>
    isPlain(value) ? [snapshot(value)] : [],
  );
  return () => {
    for (const name of Object.keys(object)) delete object[name];
    Object.assign(object, Object.fromEntries(members));
    for (const restore of inner) restore();
  };
}

function isPlain(value: unknown): value is Settings {
  return (
    typeof value === "object" &&
    value !== null &&
    Object.getPrototypeOf(value) === Object.prototype
  );
}

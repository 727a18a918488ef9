/** Changes of the code of a project made for v29. */
import * as fs from "node:fs";
import * as path from "node:path";
import { builtinModules } from "node:module";
import { listSourceFiles } from "../../utils/fileUtils";
import { readPackageJson } from "../generate/packageJson";
import { type Change, edit, MANIFEST, packageFolder } from "./manifest";

/** Packages that v29 installed, with its ranges: projects could import them without declaring them. */
const CAME_ALONG: Record<string, string> = {
  browser_fingerprint: "^2.0.5",
  commander: "^12.1.0",
  "dot-prop": "^6.0.1",
  etag: "^1.8.1",
  formidable: "^3.5.2",
  glob: "^8.1.0",
  ioredis: "^5.6.0",
  mime: "^3.0.0",
  "node-resque": "^9.3.8",
  primus: "^8.0.9",
  qs: "^6.14.0",
  "type-fest": "^4.38.0",
  uuid: "^11.1.0",
  winston: "^3.17.0",
  ws: "^8.18.1",
  yargs: "^17.7.2",
};

/** Names that projects imported from deep paths, and that the package itself exports. */
export const EXPORTED_NOW = [
  "Action",
  "ActionProcessor",
  "ActionheroConfigInterface",
  "ActionheroLogLevel",
  "ActionsStatus",
  "Api",
  "CLI",
  "Connection",
  "ExceptionReporter",
  "Initializer",
  "Input",
  "Inputs",
  "ParamsFrom",
  "PluginConfig",
  "PluginConfigRecord",
  "Process",
  "RouteMethod",
  "RouteType",
  "RoutesConfig",
  "Server",
  "Task",
  "WebServer",
  "api",
  "cache",
  "chatRoom",
  "config",
  "connectionVerbs",
  "env",
  "id",
  "log",
  "loggers",
  "rebuildConfig",
  "redis",
  "route",
  "specHelper",
  "task",
  "utils",
];

/** Remains of versions before 29. */
const REMOVED: { pattern: RegExp; message: string }[] = [
  {
    pattern: /\bPrimus\b|servers\.websocket\.server\b/,
    message:
      "uses the Primus server object: the websocket server no longer has one",
  },
  {
    pattern: /\bconnection\.localize\b|\bapi\.i18n\b|\bi18n\.localize\b/,
    message:
      "uses localization, which went with version 26: use a package such as i18n",
  },
  {
    pattern: /^\s*(?:module\.)?exports\.\w+\s*=\s*DEFAULT\.\w+\(/m,
    message:
      "the block of an environment is DEFAULT.x(...), which are settings: a block holds namespaces, { x: () => ({ ... }) }",
  },
];

const IMPORT =
  /(?:\bfrom\s*|\bimport\s*\(?\s*|\brequire\(\s*)["']([^"'\n]+)["']/g;

/**
 * Check every import of the project's TypeScript and JavaScript.
 * @param onFile called with each file before it is read
 */
export function sourceChanges(
  root: string,
  onFile: (file: string) => void = () => undefined,
): Change[] {
  const manifest = readPackageJson(packageFolder(root));
  // without a manifest, no dependency can be added
  const declared = new Set(
    Object.keys(
      manifest
        ? {
            ...manifest.dependencies,
            ...manifest.devDependencies,
            ...manifest.peerDependencies,
          }
        : CAME_ALONG,
    ),
  );
  return ["src", "__tests__"].flatMap((folder) =>
    listSourceFiles(path.join(root, folder)).flatMap((file) => {
      const shown = path.relative(root, file);
      onFile(shown);
      return changesIn(file, shown, declared);
    }),
  );
}

/** @param declared collects the packages that a change adds, so that the next file does not add them again */
function changesIn(
  file: string,
  shown: string,
  declared: Set<string>,
): Change[] {
  const text = fs.readFileSync(file, "utf8");
  const imported = new Set(
    [...text.matchAll(IMPORT)].map(([, specifier]) => specifier!),
  );
  const changes: Change[] = [];
  for (const specifier of imported) {
    if (specifier.startsWith("actionhero/dist/"))
      changes.push(deepImport(text, specifier, shown));
    const name = packageName(specifier);
    if (!Object.hasOwn(CAME_ALONG, name) || declared.has(name)) continue;
    declared.add(name);
    changes.push(newDependency(name, CAME_ALONG[name]!, shown));
  }
  for (const { pattern, message } of REMOVED)
    if (pattern.test(text)) changes.push({ file: shown, message });
  if (/[\\/]config[\\/]servers[\\/]/.test(shown))
    changes.push({
      file: shown,
      message:
        "config/servers belongs to versions before 28: move the settings to config/web.ts, websocket.ts or socket.ts",
    });
  return changes;
}

function newDependency(name: string, range: string, importer: string): Change {
  return {
    file: MANIFEST,
    message: `dependencies.${name}: "${range}" (${importer} imports it, and v29 brought it along)`,
    apply: edit((json) => {
      json.dependencies = { ...json.dependencies, [name]: range };
    }),
  };
}

/** The folders of `dist` have changed; the package itself exports what projects need from them. */
function deepImport(text: string, specifier: string, file: string): Change {
  const statement = new RegExp(
    `import\\s*(?:type\\s*)?\\{([^}]*)\\}\\s*from\\s*["']${specifier}["']`,
  ).exec(text);
  const names = (statement?.[1] ?? "")
    .split(",")
    .map((name) => name.trim().split(/\s+as\s+/)[0]!)
    .filter((name) => name !== "");
  const known =
    names.length > 0 && names.every((name) => EXPORTED_NOW.includes(name));
  if (!known) return { file, message: `"${specifier}" is no longer there` };
  return {
    file,
    message: `"${specifier}" -> "actionhero"`,
    apply: (current) =>
      current
        .replaceAll(`"${specifier}"`, '"actionhero"')
        .replaceAll(`'${specifier}'`, "'actionhero'"),
  };
}

function packageName(specifier: string): string {
  if (specifier.startsWith(".") || specifier.startsWith("node:")) return "";
  const parts = specifier.split("/");
  const name = specifier.startsWith("@")
    ? parts.slice(0, 2).join("/")
    : parts[0]!;
  return builtinModules.includes(name) ? "" : name;
}

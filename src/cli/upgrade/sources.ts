/** What the code of a project made for v29 should change. */
import * as fs from "node:fs";
import * as path from "node:path";
import { builtinModules } from "node:module";
import { listSourceFiles } from "../../utils/listSourceFiles";
import { readPackageJson } from "../generate/packageJson";
import type { Change } from "./change";
import { edit, MANIFEST } from "./manifest";

/** Packages that came along with v29, so that projects could import them without asking for them, in its ranges. */
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

/** Names that were only reachable by deep paths, and are exported now. */
const EXPORTED_NOW = ["ActionsStatus", "connectionVerbs"];

const IMPORT =
  /(?:\bfrom\s*|\bimport\s*\(?\s*|\brequire\(\s*)["']([^"'\n]+)["']/g;

/**
 * Look at every import of the project's TypeScript and JavaScript.
 * @param tell called with each file before it is read
 */
export function sourceChanges(
  root: string,
  tell: (file: string) => void = () => undefined,
): Change[] {
  const manifest = readPackageJson(root);
  // without a manifest there is nothing to add a dependency to
  const declared = new Set(
    Object.keys(
      manifest
        ? { ...manifest.dependencies, ...manifest.devDependencies }
        : CAME_ALONG,
    ),
  );
  return ["src", "__tests__"].flatMap((folder) =>
    listSourceFiles(path.join(root, folder)).flatMap((file) => {
      const shown = path.relative(root, file);
      tell(shown);
      return changesIn(file, shown, declared);
    }),
  );
}

/** @param declared gets the packages that a change adds, so that the next file does not ask for them again */
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
  if (/\bPrimus\b|servers\.websocket\.server\b/.test(text))
    changes.push({
      file: shown,
      message:
        "uses the Primus server object: the websocket server no longer has one",
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

/** The folders of `dist` are others now; what a project needs from them is exported by the package itself. */
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

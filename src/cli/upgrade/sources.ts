/** What the code of a project made for v29 should change. */
import * as fs from "node:fs";
import * as path from "node:path";
import { builtinModules } from "node:module";
import { listSourceFiles } from "../../utils/listSourceFiles";
import { readPackageJson } from "../generate/packageJson";
import type { Change } from "./change";

/** Packages that came along with v29, so that projects could import them without asking for them. */
const CAME_ALONG = [
  "browser_fingerprint",
  "commander",
  "dot-prop",
  "etag",
  "formidable",
  "glob",
  "ioredis",
  "mime",
  "node-resque",
  "primus",
  "qs",
  "type-fest",
  "uuid",
  "winston",
  "ws",
  "yargs",
];

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
  const declared = new Set(
    Object.keys({ ...manifest?.dependencies, ...manifest?.devDependencies }),
  );
  return ["src", "__tests__"].flatMap((folder) =>
    listSourceFiles(path.join(root, folder)).flatMap((file) => {
      const shown = path.relative(root, file);
      tell(shown);
      return changesIn(file, shown, declared);
    }),
  );
}

function changesIn(
  file: string,
  shown: string,
  declared: ReadonlySet<string>,
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
    if (CAME_ALONG.includes(name) && !declared.has(name))
      changes.push({
        file: shown,
        message: `imports ${name}, which v29 brought along: add it to the dependencies`,
      });
  }
  if (/\bPrimus\b|servers\.websocket\.server\b/.test(text))
    changes.push({
      file: shown,
      message:
        "uses the Primus server object: the websocket server no longer has one",
    });
  return changes;
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

/** Changes of a tsconfig.json made for v29, so that it has the same effect with TypeScript 6. */
import * as fs from "node:fs";
import * as path from "node:path";
import type { Change } from "./change";

const FILE = "tsconfig.json";

interface Setting {
  /** The setting as a line of JSON. */
  line: string;
  name: RegExp;
  why: string;
}

const SETTINGS: Setting[] = [
  {
    name: /"rootDir"\s*:/,
    line: '"rootDir": "./src"',
    why: "TypeScript 6 no longer derives it, and would emit into dist/src",
  },
  {
    name: /"types"\s*:/,
    line: '"types": ["node", "jest"]',
    why: "TypeScript 6 no longer takes all of @types",
  },
  {
    name: /"strict"\s*:/,
    line: '"strict": false',
    why: "TypeScript 6 is strict unless told otherwise",
  },
];

/** The file is edited as text, because it may contain comments. */
export function compilerChanges(root: string): Change[] {
  const file = path.join(root, FILE);
  if (!fs.existsSync(file)) return [];
  const text = fs.readFileSync(file, "utf8");
  return SETTINGS.filter(({ name }) => !name.test(text)).map(
    ({ line, why }) => ({
      file: FILE,
      message: `compilerOptions: ${line} (${why})`,
      apply: (current) =>
        current.replace(/("compilerOptions"\s*:\s*\{)/, `$1\n    ${line},`),
    }),
  );
}

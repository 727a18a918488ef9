/** The pages of the documentation, and the blocks of code in them. */
import * as fs from "node:fs";
import * as path from "node:path";
import { repositoryRoot } from "./temporaryProject";

export interface Block {
  /** `docs/actions.md:12`: where it begins. */
  place: string;
  page: string;
  language: string;
  text: string;
}

/** Every page, by its path in the repository. */
export const pages = [
  "README.md",
  "examples/README.md",
  ...fs
    .readdirSync(path.join(repositoryRoot, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
];

/** The names that a language goes by. */
const ALIASES: Record<string, string> = {
  bash: "sh",
  typescript: "ts",
  javascript: "js",
  mjs: "js",
};

/** All blocks; the language of one that names none is "": it shows what something prints. */
export const blocks: Block[] = pages.flatMap((page) => {
  const text = fs.readFileSync(path.join(repositoryRoot, page), "utf8");
  return [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map((match) => ({
    place: `${page}:${text.slice(0, match.index).split("\n").length}`,
    page,
    language: ALIASES[match[1]] ?? match[1],
    text: match[2],
  }));
});

/** The blocks of one language. */
export function blocksOf(language: string): Block[] {
  return blocks.filter((block) => block.language === language);
}

/** The commands of a block of the shell, one a line. */
export function linesOf({ text }: Block): string[] {
  return text.split("\n").filter((line) => line.trim() !== "");
}

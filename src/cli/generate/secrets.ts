/** The file `.env` of a new project: its secrets, which must not be in a repository or image. */
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { fileExists } from "../../utils/fileUtils";

const TOKEN = "ACTIONHERO_SERVER_TOKEN";
const TOKEN_BYTES = 32;

/** Only its owner may read it. */
const SECRET_MODE = 0o600;

/** Ignore files. */
const IGNORE_FILES = [".gitignore", ".dockerignore"];

/** Patterns of these files that cover `.env`. */
const COVERING = /^(\/|\*\*\/)?(\.env|\.env\*|\.env\.\*|\*\.env|\.\*)$/;

/**
 * Write a random server token to `.env`, or add it to the existing file; an existing token is
 * kept. Existing ignore files get `.env` if they lack it.
 */
export function writeSecrets(folder: string): void {
  const file = path.join(folder, ".env");
  const present = fileExists(file) ? fs.readFileSync(file, "utf8") : "";
  if (
    !new RegExp(`^\\s*(export\\s+)?${TOKEN}\\s*=\\s*\\S`, "m").test(present)
  ) {
    const token = randomBytes(TOKEN_BYTES).toString("hex");
    appendLine(file, present, `${TOKEN}=${token}`);
    console.log(`wrote ${TOKEN} to '${file}'`);
  }
  for (const name of IGNORE_FILES) ignoreEnv(path.join(folder, name));
}

function ignoreEnv(file: string): void {
  if (!fileExists(file)) return;
  const text = fs.readFileSync(file, "utf8");
  if (text.split(/\r?\n/).some((line) => COVERING.test(line.trim()))) return;
  appendLine(file, text, ".env");
  console.log(`added .env to '${file}'`);
}

function appendLine(file: string, present: string, line: string): void {
  const gap = present === "" || present.endsWith("\n") ? "" : "\n";
  fs.appendFileSync(file, `${gap}${line}\n`, { mode: SECRET_MODE });
}

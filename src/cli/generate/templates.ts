/** Fills the text templates that generators write from. */
import * as fs from "node:fs";
import * as path from "node:path";
import { packageRoot } from "../../environment/paths";

/** The longest line that prettier does not break. */
const PRINT_WIDTH = 80;

/** The text of a template, e.g. `"action.ts"` or `"project/server.ts"`. */
export function readTemplate(name: string): string {
  const file = path.join(packageRoot, "bin", "templates", `${name}.template`);
  return fs.readFileSync(file, "utf8");
}

/** Replace each `%%key%%` by its value, unchanged; every key must have a value. */
export function fillTemplate(
  text: string,
  values: { [key: string]: string | number },
): string {
  return text.replace(/%%(\w+)%%/g, (placeholder, key: string) => {
    const value = values[key];
    if (value === undefined)
      throw new Error(`no value for ${placeholder} in the template`);
    return String(value);
  });
}

/** Fill a template of TypeScript code, and break its assignments where prettier would. */
export function fillCode(
  text: string,
  values: { [key: string]: string | number },
): string {
  return fillTemplate(text, values)
    .split("\n")
    .map(breakLongAssignment)
    .join("\n");
}

/** A string as prettier would write it: double quotes, unless single ones need fewer escapes. */
export function stringLiteral(value: string): string {
  const json = JSON.stringify(value);
  const doubles = value.split('"').length;
  const singles = value.split("'").length;
  if (doubles <= singles) return json;
  const inside = json.slice(1, -1).replaceAll('\\"', '"');
  return `'${inside.replaceAll("'", "\\'")}'`;
}

function breakLongAssignment(line: string): string {
  if (line.length <= PRINT_WIDTH) return line;
  return line.replace(/^( *)(this\.\w+ =|\w+:) (["'].*)$/, "$1$2\n$1  $3");
}

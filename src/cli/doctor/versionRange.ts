/** Reads the version ranges that packages use for `engines`. */

type Version = [major: number, minor: number, patch: number];

/**
 * Whether a version is inside a range such as `^20.19 || >=22.12`.
 * Knows `||`, spaces for "and", and the operators `^ ~ >= > <= < =`; words it does not know match nothing.
 */
export function satisfies(version: string, range: string): boolean {
  const actual = parseVersion(version);
  return range.split("||").some((alternative) =>
    alternative
      .trim()
      .replace(/([<>=~^])\s+/g, "$1")
      .split(/\s+/)
      .every((condition) => meets(actual, condition)),
  );
}

function meets(actual: Version, condition: string): boolean {
  if (condition === "" || condition === "*") return true;
  const [, operator = "", words = ""] =
    /^(\^|~|>=|>|<=|<|=)?v?([\dx.*]+)$/.exec(condition) ?? [];
  if (words === "") return false;

  const wanted = parseVersion(words);
  const order = compare(actual, wanted);
  switch (operator) {
    case ">=":
      return order >= 0;
    case ">":
      return order > 0;
    case "<=":
      return order <= 0;
    case "<":
      return order < 0;
    case "^":
      return order >= 0 && actual[0] === wanted[0];
    case "~":
      return order >= 0 && actual[0] === wanted[0] && actual[1] === wanted[1];
    default:
      return words
        .split(".")
        .every((part, i) => /[x*]/.test(part) || Number(part) === actual[i]);
  }
}

function parseVersion(text: string): Version {
  const [major = 0, minor = 0, patch = 0] = text
    .replace(/^v/, "")
    .split(".")
    .map((part) => parseInt(part, 10) || 0);
  return [major, minor, patch];
}

function compare(a: Version, b: Version): number {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
}

/** Styles that `log` takes in place of a level, as version 3 had them; they are seen at a terminal only. */

/** What switches each on and off again. */
const CODES = {
  bold: [1, 22],
  italic: [3, 23],
  underline: [4, 24],
  inverse: [7, 27],
  black: [30, 39],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  blue: [34, 39],
  magenta: [35, 39],
  cyan: [36, 39],
  white: [37, 39],
  grey: [90, 39],
} as const satisfies Record<string, readonly [on: number, off: number]>;

type PlainStyle = keyof typeof CODES;

/** Different for each character. */
const BY_CHARACTER = {
  rainbow: (character: string, index: number) =>
    plain(character, RAINBOW[index % RAINBOW.length]!),
  zebra: (character: string, index: number) =>
    index % 2 === 0 ? character : plain(character, "inverse"),
  zalgo: (character: string, index: number) =>
    character + MARKS[index % MARKS.length]!,
};

const RAINBOW: PlainStyle[] = ["red", "yellow", "green", "blue", "magenta"];

/** Combining characters, above and below. */
const MARKS = ["\u030d\u0316", "\u0315", "\u033f\u0323", "\u0489", "\u0334"];

export type LogStyle = PlainStyle | keyof typeof BY_CHARACTER;

/** Where a line keeps its styles: a symbol, so that no format writes it down as data. */
export const STYLES = Symbol("styles");

/** The styles that a severity names; undefined for a level. */
export function stylesOf(severity: unknown): LogStyle[] | undefined {
  const names: unknown[] = Array.isArray(severity) ? severity : [severity];
  const styles = names.filter(isStyle);
  return styles.length > 0 ? styles : undefined;
}

/** A text in all of the styles. */
export function inStyles(text: string, styles: readonly LogStyle[]): string {
  // characters first: they must not be looked for among the codes of the others
  const each = styles.filter(isByCharacter);
  const styled = [...text].map((character, index) =>
    each.reduce((shown, style) => BY_CHARACTER[style](shown, index), character),
  );
  return styles
    .filter((style) => !isByCharacter(style))
    .reduce((shown, style) => plain(shown, style), styled.join(""));
}

function plain(text: string, style: PlainStyle): string {
  const [on, off] = CODES[style];
  return `\u001b[${on}m${text}\u001b[${off}m`;
}

function isStyle(name: unknown): name is LogStyle {
  return (
    typeof name === "string" &&
    (Object.hasOwn(CODES, name) || Object.hasOwn(BY_CHARACTER, name))
  );
}

function isByCharacter(style: LogStyle): style is keyof typeof BY_CHARACTER {
  return Object.hasOwn(BY_CHARACTER, style);
}

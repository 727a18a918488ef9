/** Values that once broke a parser, a header, a path or a log somewhere; each goes through every transport as a param. */

export interface NamedValue {
  name: string;
  value: unknown;
}

const text = (name: string, value: string): NamedValue => ({ name, value });

export const HOSTILE_TEXTS: NamedValue[] = [
  text("an injected header", "a\r\nX-Injected: yes"),
  text("an injected header by a line feed alone", "a\nX-Injected: yes"),
  text("an injected header by a carriage return alone", "a\rX-Injected: yes"),
  text(
    "an injected response",
    "a\r\n\r\nHTTP/1.1 200 OK\r\nX-Injected: yes\r\n\r\n",
  ),
  text("line ends that lose their high byte", "a\u010d\u010aX-Injected: yes"),
  text("characters outside latin1", "漢字"),
  text("a null byte", "a\0b"),
  text(
    "control characters and a terminal's escapes",
    "\x1b]0;title\x07\x1b[2J\x7f\x9b31m",
  ),
  text("line separators of JavaScript", "\u2028\u2029"),
  text("right-to-left marks", "\u202eexe.gpj"),
  text("half of a surrogate pair", "\ud800"),
  text("a markup attack", "<img src=x onerror=alert(1)>"),
  text("a script end", "</script><script>alert(1)</script>"),
  text("a template", "${7*7}{{7*7}}<%= 7*7 %>#{7*7}"),
  text("a redis command", "x\r\nFLUSHALL\r\n"),
  text("glob characters", "*?[a-z]{a,b}\\"),
  text("a shell command", "$(id);`id`|id&"),
  text("a format", "%s%d%j%o%n%%"),
  text("a path", "../../../../../../etc/passwd"),
  text("a name of Object.prototype", "__proto__"),
  text("another name of Object.prototype", "constructor"),
  text("a long text", "a".repeat(15_000)),
  text("a text of spaces", " ".repeat(10_000)),
  text("a text of digits", "9".repeat(10_000)),
  text("a text that tempts regular expressions", `${"a".repeat(5_000)}!`),
  text("not a number", "NaN"),
  text("the largest number", "1e309"),
];

export const HOSTILE_VALUES: NamedValue[] = [
  ...HOSTILE_TEXTS,
  { name: "null", value: null },
  { name: "a boolean", value: true },
  { name: "a number", value: -0.5 },
  { name: "a list of lists", value: [[[[[]]]]] },
  {
    name: "an object with a toString of its own",
    value: { toString: 1, valueOf: 1 },
  },
  { name: "an object with a toJSON of its own", value: { toJSON: "x" } },
  { name: "an object that looks like a promise", value: { then: "x" } },
  {
    name: "an object that looks like a Buffer",
    value: { type: "Buffer", data: [1, 2, 3] },
  },
  {
    name: "an object that looks like an upload",
    value: { filepath: "/etc/passwd", size: 1, newFilename: "x" },
  },
  {
    name: "an object that looks like an error",
    value: { error: "x", message: "x", stack: "x", code: 200 },
  },
  {
    name: "an object with a constructor",
    value: { constructor: { prototype: { polluted: true } } },
  },
];

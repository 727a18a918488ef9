/**
 * Finds wording to avoid in comments, strings, test names and documentation.
 * `node scripts/words.js` prints each place with a proposal, and ends with 1 if there is any.
 */
const fs = require("node:fs");
const path = require("node:path");

const root = path.join(__dirname, "..");

/** Wording to avoid, with a proposal; a space matches any number of spaces. Only patterns without false positives. */
const WORDS = [
  ["by a running number", "keyed by an incrementing id"],
  ["nobody's", "no client's, no owner's"],
  ["for nobody", "for no client"],
  ["somebody was faster", "another caller created it first"],
  ["(?:takes?|took|taken|taking) leave", "disconnects, unregisters"],
  ["tells (?:true|false)", "returns true"],
  ["never in neither", "always in exactly one of the two"],
  ["never came to be", "was not created"],
  ["the words of (?:errors|the errors|a verb)", "error messages, arguments"],
  ["tasks that run by themselves", "recurring tasks"],
  ["of other kinds", "other producers, other schedulers"],
  ["(?:that|which) is none", "is missing, is invalid"],
  ["what is no", "a value that is not"],
  ["(?:that|which) (?:is|are) no(?! longer| more)", "that is not a"],
  ["one's own", "custom, existing"],
  ["whoever", "a client that, a user who"],
  ["at hand", "active, current, available"],
  ["that nobody", "without a (listener, reader, owner)"],
  ["for good", "finally, for ever, does not return"],
  ["takes? its time", "is slow, is async, is pending"],
  ["in vain", "without (a job, a result)"],
  ["for want of", "without, needs"],
  ["in one disguise", "under one name"],
  ["no reason not to", "does not prevent"],
  ["(?:is|are) there while", "exists while"],
  ["so many (?:ms|bytes|places|jobs)", "this many, the limit"],
  ["works? no more", "is inactive, has stopped"],
].map(([words, proposal]) => [
  new RegExp(`\\b(?:${words.replaceAll(" ", " +")})\\b`, "gi"),
  proposal,
]);

/** The checked files and folders, and what is not ours or quotes such wording in them. */
const CHECKED = [
  "README.md",
  "CHANGELOG.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  "llms.txt",
  "docs",
  "examples",
  "src",
  "config",
  "bin",
  "actions",
  "tasks",
  "initializers",
  "test",
  "bench",
  "public",
  "scripts",
  ".github",
];
const SKIPPED = [
  "node_modules",
  "dist",
  "interop",
  "javascript", // the built clients
  "words.test.ts",
  "words.js",
];

/**
 * The places in a text. A sentence may continue in the next line of a comment or page.
 * @returns {{ line: number, found: string, proposal: string }[]}
 */
function findWords(text) {
  // line breaks and comment markers become as many spaces, so that positions stay the same
  const flat = text.replace(/\n[ \t]*(?:\*(?!\/)|\/\/|>)?[ \t]*/g, (gap) =>
    " ".repeat(gap.length),
  );
  return WORDS.flatMap(([pattern, proposal]) =>
    [...flat.matchAll(pattern)].map((match) => ({
      line: text.slice(0, match.index).split("\n").length,
      found: match[0].replace(/ +/g, " "),
      proposal,
    })),
  );
}

/** The files at or below a path in the repository. */
function filesOf(name) {
  if (SKIPPED.includes(path.basename(name))) return [];
  if (fs.statSync(path.join(root, name)).isFile())
    return /\.(md|txt|[cm]?[jt]s|html|ya?ml)$/.test(name) ? [name] : [];
  return fs
    .readdirSync(path.join(root, name))
    .flatMap((entry) => filesOf(path.join(name, entry)));
}

if (require.main === module) {
  for (const file of CHECKED.flatMap(filesOf))
    for (const { line, found, proposal } of findWords(
      fs.readFileSync(path.join(root, file), "utf8"),
    )) {
      process.stdout.write(`${file}:${line}: "${found}": ${proposal}\n`);
      process.exitCode = 1;
    }
}

module.exports = { findWords };

/** Makes `actionhero generate action` call `generate-action`. */

/** A name has at most this many words. */
const MAX_WORDS = 4;

/**
 * Join the first words if together they name a command; the longest name takes precedence.
 * @param words the arguments without node and script; a leading `help` is skipped
 */
export function joinSpacedName(
  words: readonly string[],
  commandNames: readonly string[],
): string[] {
  const before = words[0] === "help" ? ["help"] : [];
  const rest = words.slice(before.length);
  for (let count = MAX_WORDS; count > 1; count--) {
    const name = rest.slice(0, count).join("-");
    if (rest.length >= count && commandNames.includes(name))
      return [...before, name, ...rest.slice(count)];
  }
  return [...words];
}

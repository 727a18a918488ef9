/** A whole number from a word of the command line. */
export function wholeNumber(word: string): number {
  const value = Number(word);
  if (word.trim() === "" || !Number.isSafeInteger(value) || value < 0)
    throw new Error(`\`${word}\` is not a whole number`);
  return value;
}

/** Exact edits of the framework's own sources on their way into a new project. */

/** Replaces `find`, or inserts text directly after `after`. */
export type SourceEdit =
  | { file: string; find: string; replace: string }
  | { file: string; after: string; insert: string };

interface Replacement {
  start: number;
  end: number;
  text: string;
}

/**
 * Apply all edits of one file to its source; the order matters only for insertions at the same place.
 * @throws Error if the text of an edit does not occur exactly once, or if two replacements overlap
 */
export function editSource(
  file: string,
  source: string,
  edits: readonly SourceEdit[],
): string {
  const replacements = edits
    .filter((edit) => edit.file === file)
    .map((edit) => locate(source, edit))
    .sort((a, b) => a.start - b.start);
  let edited = "";
  let position = 0;
  for (const { start, end, text } of replacements) {
    if (start < position)
      throw new Error(`two edits of ${file} overlap at: ${text}`);
    edited += source.slice(position, start) + text;
    position = end;
  }
  return edited + source.slice(position);
}

function locate(source: string, edit: SourceEdit): Replacement {
  const wanted = "find" in edit ? edit.find : edit.after;
  const found = source.indexOf(wanted);
  if (found === -1)
    throw new Error(`${edit.file} does not contain the text: ${wanted}`);
  if (source.includes(wanted, found + 1))
    throw new Error(`${edit.file} contains the text more than once: ${wanted}`);
  const end = found + wanted.length;
  return "find" in edit
    ? { start: found, end, text: edit.replace }
    : { start: end, end, text: edit.insert };
}

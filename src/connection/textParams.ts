/** Records which params of a persistent client are strings from the verb `paramAdd`. */
import { NO_TEXT, type TextParams } from "../input/field";

const names = new WeakMap<object, Set<string>>();

export function noteTextParam(params: object, name: string): void {
  const known = names.get(params);
  if (known) known.add(name);
  else names.set(params, new Set([name]));
}

/** The params of one request are the stored params, overridden by those of the request. */
export function joinTextParams(all: object, kept: object, added: object): void {
  const [keptText, addedText] = [names.get(kept), names.get(added)];
  if (!keptText && !addedText) return;
  const isText = (name: string) =>
    (Object.hasOwn(added, name) ? addedText : keptText)?.has(name);
  names.set(all, new Set(Object.keys(all).filter(isText)));
}

/** @param params the object in `connection.params` when the request arrived */
export function textParamsOf(params: object): TextParams {
  return names.get(params) ?? NO_TEXT;
}

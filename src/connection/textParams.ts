/** Which params of a persistent client came as text: those that it set by the verb `paramAdd`. */
import { NO_TEXT, type TextParams } from "../input/field";

const names = new WeakMap<object, Set<string>>();

export function noteTextParam(params: object, name: string): void {
  const known = names.get(params);
  if (known) known.add(name);
  else names.set(params, new Set([name]));
}

/** @param params the object that `connection.params` was when the request came */
export function textParamsOf(params: object): TextParams {
  return names.get(params) ?? NO_TEXT;
}

/** Which params of a request came as text: all but those of a JSON body, unless the path names them. */
import type { Connection } from "../../connection/connection";
import type { TextParams } from "../../input/field";
import { parseContentType } from "./contentType";
import type { WebRequest } from "./webRequest";

const ALL: TextParams = { has: () => true };

export function textParamsOf({ rawConnection }: Connection): TextParams {
  const request = rawConnection as WebRequest;
  const { req, params, routed } = request;
  const body: unknown = params.body;
  const type = req.headers["content-type"];
  if (typeof body !== "object" || body === null || type === undefined)
    return ALL;
  if (parseContentType(type).kind !== "json") return ALL;
  // a list is the param `payload`
  if (Array.isArray(body)) return without("payload");
  return {
    has: (name) => !Object.hasOwn(body, name) || Object.hasOwn(routed, name),
  };
}

function without(typed: string): TextParams {
  return { has: (name) => name !== typed };
}

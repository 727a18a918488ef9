/** Fills `connection.params` from the query, files and fields of a request; later sources override earlier ones. */
import type { Connection } from "../../connection/connection";
import type { TextParams } from "../../input/field";
import { BodyError } from "./bodyError";
import type { ParsedBody } from "./body";
import { parseContentType } from "./contentType";
import { countPairs, parseQuery, type Query } from "./query";
import type { WebRequest } from "./webRequest";

/** @throws BodyError when there are more than `config.web.maxParams` */
export function fillFromQuery(
  connection: Connection,
  request: WebRequest,
): void {
  const { target, config, params } = request;
  if (target.search.length < 2) {
    params.query = {};
    return;
  }
  const search = target.search.slice(1);
  const maxParams = config.maxParams;
  if (search.length > maxParams && countPairs(search) > maxParams)
    throw BodyError.tooComplex("web.maxParams", maxParams, "params");
  const query = parseQuery(search, config.queryParseOptions);
  params.query = query;
  assign(connection.params, query);
}

/** Take the params of a parsed body. */
export function fillFromBody(
  connection: Connection,
  request: WebRequest,
  { body, files }: ParsedBody,
): void {
  const { params } = request;
  params.body = body as unknown;
  params.files = files;
  request.form = { fields: body as unknown, files };
  if (files) assign(connection.params, files);
  if (typeof body === "object" && body !== null)
    assign(connection.params, body as Query);
}

/** A list, or an object that is one in disguise, becomes one param: `payload`. */
function assign(params: Query, source: Query): void {
  if (isList(source)) {
    params.payload = Array.isArray(source) ? source : Object.values(source);
    return;
  }
  for (const key of Object.keys(source)) {
    if (key !== "__proto__") params[key] = source[key] as unknown;
  }
}

/** Keys that are exactly "0" to "n-1" (objects keep such keys in order). */
function isList(source: Query): boolean {
  if (Array.isArray(source)) return true;
  if (!Object.hasOwn(source, "0")) return false;
  return Object.keys(source).every((key, index) => key === String(index));
}

const ALL: TextParams = { has: () => true };

/** The params of a request that are strings: all but those of a JSON body, unless the path sets them. */
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

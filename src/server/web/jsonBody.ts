/** Parses JSON bodies and checks that they are not built to exhaust the server. */
import { checkJson, type JsonLimits } from "../../utils/checkJson";
import { BodyError } from "./bodyError";

/** @throws BodyError */
export function parseJson(body: Buffer, limits: JsonLimits): unknown {
  const text = body.toString("utf8");
  if (text.trim() === "") return {};
  let value: unknown;
  try {
    value = JSON.parse(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text);
  } catch (error) {
    throw BodyError.malformed(error);
  }
  const exceeded = checkJson(value, limits);
  if (exceeded === "maxDepth")
    throw BodyError.tooComplex("web.maxBodyDepth", limits.maxDepth, "levels");
  if (exceeded === "maxKeys")
    throw BodyError.tooComplex("web.maxParams", limits.maxKeys, "params");
  return value;
}

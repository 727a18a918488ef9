/** Opaque bearer tokens: random strings, whose digest and claims are stored in redis. */
import { createHash, randomBytes } from "node:crypto";
import type { ActionProcessor } from "../action/actionProcessor";
import { requestOf } from "../action/clientAddress";
import { api } from "../api";

export interface TokenOptions {
  /** ms until it ends (default 30 days). */
  ttl?: number;
}

const DEFAULT_TTL_MS = 30 * 24 * 60 * 60 * 1000;
const TOKEN_BYTES = 32;
const KEY_PREFIX = "actionhero:token:";

/** Scanners of secrets find tokens by such a beginning. */
const MARK = "ah_";

/** 32 bytes in base64url. */
const TOKEN = /^ah_[\w-]{43}$/;

/** RFC 6750 section 2.1; names of schemes have no case. */
const BEARER = /^bearer +([\w.~+/-]+=*) *$/i;

/** The param of clients that have no headers. */
const PARAM = "accessToken";

/**
 * Make a token.
 * @param claims what it stands for, such as `{ userId }`: an object that JSON can hold
 * @returns the token, which nobody can read again: the client keeps it
 */
export async function issueToken(
  claims: object,
  { ttl = DEFAULT_TTL_MS }: TokenOptions = {},
): Promise<string> {
  const token = MARK + randomBytes(TOKEN_BYTES).toString("base64url");
  const { client } = api.redis.clients;
  await client.set(keyOf(token), JSON.stringify(claims), "PX", ttl);
  return token;
}

/** What a token stands for; undefined for one that is unknown, has ended or was revoked. */
export async function findToken<Claims extends object>(
  token: unknown,
): Promise<Claims | undefined> {
  if (!isToken(token)) return undefined;
  const text = await api.redis.clients.client.get(keyOf(token));
  return text === null ? undefined : (JSON.parse(text) as Claims);
}

/** @returns false for a token that did not count any more */
export async function revokeToken(token: unknown): Promise<boolean> {
  if (!isToken(token)) return false;
  return (await api.redis.clients.client.del(keyOf(token))) === 1;
}

/**
 * The token of a client: that of the header `Authorization: Bearer ...` of its request, or of the upgrade of its
 * websocket; else, except over HTTP, the param `accessToken`, which middleware finds without a declaration.
 */
export function bearerToken({
  connection,
  params,
}: Pick<ActionProcessor, "connection" | "params">): string | undefined {
  const header = requestOf(connection)?.headers?.authorization;
  const found =
    typeof header === "string" ? BEARER.exec(header)?.[1] : undefined;
  if (found !== undefined || connection.type === "web") return found;
  const given: unknown = (params as Record<string, unknown>)[PARAM];
  return typeof given === "string" ? given : undefined;
}

function isToken(token: unknown): token is string {
  return typeof token === "string" && TOKEN.test(token);
}

function keyOf(token: string): string {
  return KEY_PREFIX + createHash("sha256").update(token).digest("base64url");
}

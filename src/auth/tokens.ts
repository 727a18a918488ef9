/** Opaque bearer tokens: random strings, whose digest and claims are stored in redis. */
import { createHash, randomBytes } from "node:crypto";
import type { ActionProcessor } from "../action/actionProcessor";
import { requestOf } from "../action/caller";
import { type DefinedMiddleware, defineMiddleware } from "../action/action";
import { api } from "../api";
import { HttpError } from "../errors";

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
 * @returns the token, which cannot be read again: the client keeps it
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

/** The claims of a token; undefined for one that is unknown, has ended or was revoked. */
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

// --- Middleware that lets only known users through.

/** The user of an action. Rate limits by user and idempotency keys use the `id`. */
export interface User {
  id: string | number;
}

export interface RequireUserOptions<Found extends User, Name extends string> {
  /** Default `"requireUser"`. Middleware of one project with different `find` needs different names. */
  name?: Name;
  /** Lower runs earlier (default `config.general.defaultMiddlewarePriority`). */
  priority?: number;
  /** Finds the user: by `data.store`, by `auth.bearerToken(data)`, or in any other way. */
  find: (
    data: ActionProcessor,
  ) => Found | null | undefined | Promise<Found | null | undefined>;
}

/**
 * Middleware that sets `data.session.user`, and refuses with 401 if no user is found, or one without an id.
 * @returns middleware for the `middleware` of `defineAction`
 */
export function requireUser<
  Found extends User,
  const Name extends string = "requireUser",
>({
  name,
  priority,
  find,
}: RequireUserOptions<Found, Name>): DefinedMiddleware<Name, { user: Found }> {
  return defineMiddleware({
    name: name ?? ("requireUser" as Name),
    priority,
    preProcessor: async (data): Promise<{ user: Found }> => {
      const user = await find(data);
      // tokens of issuers may have no subject: limits and keys by user would take all of them for one
      if (!isId(user?.id))
        throw new HttpError(401, "please sign in", {
          headers: { "WWW-Authenticate": "Bearer" },
        });
      return { user: user };
    },
  });
}

function isId(id: unknown): id is User["id"] {
  return typeof id === "number" || (typeof id === "string" && id !== "");
}

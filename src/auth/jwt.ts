/** Verifies JSON Web Tokens that other services issue. The package jose does it; it is loaded with the first verifier. */
import {
  createPublicKey,
  createSecretKey,
  type JsonWebKey,
  type KeyObject,
} from "node:crypto";
import { requirePeer } from "../config/optionalPeer";
import { HttpError, toError } from "../errors";

/** The registered claims, and what the issuer adds. */
export interface JwtClaims {
  iss?: string;
  sub?: string;
  aud?: string | string[];
  /** When the token ends, in seconds. */
  exp: number;
  nbf?: number;
  iat?: number;
  jti?: string;
  [claim: string]: unknown;
}

/** Public keys, as issuers publish them. */
export interface JwtKeySet {
  keys: JsonWebKey[];
}

/** The keys of the issuer: exactly one of these. */
export interface JwtKeys {
  /**
   * The keys that the issuer publishes, by `https:` (`http:` for this machine only). They are fetched with the first
   * token, again after 10 minutes, and when a token names an unknown key, at most once in 30 s; after a
   * failure not for 5 s.
   */
  jwksUrl?: string | URL;
  /** The keys of `jwksUrl` themselves, without a request. */
  jwks?: JwtKeySet;
  /** PEM, a JSON Web Key or a key of `node:crypto`. */
  publicKey?: string | JsonWebKey | KeyObject;
  /** A secret that the issuer shares with this server: at least 32 bytes. */
  secret?: string | Uint8Array;
}

export interface JwtOptions extends JwtKeys {
  /** Accepted values of `iss`; `false` for any. */
  issuer: string | string[] | false;
  /** Accepted values of `aud`; `false` for any. */
  audience: string | string[] | false;
  /** Accepted values of `alg` (default: those for the kind of key; never `none`). */
  algorithms?: string[];
  /** Allowed clock difference, in ms (default 5 s). */
  clockTolerance?: number;
  /** Timeout for fetching `jwksUrl`, in ms (default 5 s). */
  timeout?: number;
}

/**
 * @returns the claims; undefined for a token that is forged, expired or meant for another server
 * @throws HttpError 503 while the keys cannot be fetched
 */
export type JwtVerifier<Claims extends object> = (
  token: unknown,
) => Promise<Claims | undefined>;

const DEFAULT_TOLERANCE_MS = 5000;
const DEFAULT_TIMEOUT_MS = 5000;

/** How long keys that could not be fetched are not asked for again. */
const FAILURE_PAUSE_MS = 5000;

/** RFC 7518 section 3.2: as long as the digest. */
const MIN_SECRET_BYTES = 32;

/** The maximum length of a token, in characters. */
const MAX_TOKEN_LENGTH = 16_384;

const SHARED = ["HS256", "HS384", "HS512"];
const PUBLIC = [
  ...["RS256", "RS384", "RS512"],
  ...["PS256", "PS384", "PS512"],
  ...["ES256", "ES384", "ES512"],
  ...["EdDSA", "Ed25519"],
];

/** Errors of key sets that a token causes. */
const NO_KEY = [
  "ERR_JWKS_NO_MATCHING_KEY",
  "ERR_JWKS_MULTIPLE_MATCHING_KEYS",
  "ERR_JOSE_NOT_SUPPORTED",
];

type FindKey = (...token: unknown[]) => Promise<unknown>;

/** The part of jose that is used. The types of this package must not depend on an optional package. */
interface Jose {
  jwtVerify(
    token: string,
    key: unknown,
    options: object,
  ): Promise<{ payload: object }>;
  createRemoteJWKSet(url: URL, options: object): FindKey;
  readonly customFetch: unique symbol;
  createLocalJWKSet(jwks: JwtKeySet): FindKey;
}

/**
 * Make a function that verifies the tokens of one issuer: once, where actions are defined. A token must have `exp`.
 * @throws ActionheroError AH_CONFIG when jose is not installed
 * @throws TypeError for keys that cannot be used, and without an issuer or an audience
 */
export function jwtVerifier<Claims extends object = JwtClaims>(
  options: JwtOptions,
): JwtVerifier<Claims> {
  const jose = requirePeer<Jose>("jose", "auth.jwtVerifier");
  const find = keyFinder(jose, options);
  const { issuer, audience, clockTolerance, algorithms } = options;
  // such as that of an environment variable that is not set: it would accept the tokens of every service
  for (const name of ["issuer", "audience"] as const)
    if (options[name] !== false && isBlank(options[name]))
      throw new TypeError(
        `auth.jwtVerifier needs the ${name}; false accepts any`,
      );
  const checks = {
    algorithms: algorithms ?? (options.secret === undefined ? PUBLIC : SHARED),
    issuer: issuer === false ? undefined : issuer,
    audience: audience === false ? undefined : audience,
    clockTolerance: (clockTolerance ?? DEFAULT_TOLERANCE_MS) / 1000,
    requiredClaims: ["exp"],
  };
  return async (token) => {
    if (typeof token !== "string" || token.length > MAX_TOKEN_LENGTH)
      return undefined;
    try {
      const { payload } = await jose.jwtVerify(token, find, checks);
      return payload as Claims;
    } catch (error) {
      if (error instanceof HttpError) throw error;
      return undefined; // clients learn no more than that the token is invalid
    }
  };
}

function isBlank(accepted: string | string[] | undefined): boolean {
  const values = Array.isArray(accepted) ? accepted : [accepted];
  return values.length === 0 || values.some((value) => !value);
}

function keyFinder(jose: Jose, options: JwtOptions): FindKey {
  const { jwksUrl, jwks, publicKey, secret } = options;
  const given = [jwksUrl, jwks, publicKey, secret];
  if (given.filter((key) => key !== undefined).length !== 1)
    throw new TypeError(
      "auth.jwtVerifier needs one of jwksUrl, jwks, publicKey and secret",
    );
  if (jwksUrl !== undefined) {
    const timeoutDuration = options.timeout ?? DEFAULT_TIMEOUT_MS;
    return findRemote(jose, checkUrl(jwksUrl), timeoutDuration);
  }
  if (jwks !== undefined) return findIn(jose.createLocalJWKSet(jwks));
  const key = secret === undefined ? toPublic(publicKey!) : toSecret(secret);
  return () => Promise.resolve(key);
}

/** Keys that could not be fetched are not asked for again for a while, whatever tokens clients send; known keys go on. */
function findRemote(jose: Jose, url: URL, timeoutDuration: number): FindKey {
  let failedAt = -Infinity;
  const get = async (...request: Parameters<typeof fetch>) => {
    if (performance.now() - failedAt < FAILURE_PAUSE_MS)
      throw new Error("the keys could not be fetched just now");
    try {
      const response = await fetch(...request);
      if (!response.ok) failedAt = performance.now();
      return response;
    } catch (error) {
      failedAt = performance.now();
      throw error;
    }
  };
  const options = { timeoutDuration, [jose.customFetch]: get };
  return findIn(jose.createRemoteJWKSet(url, options));
}

/** A key set that cannot be read is not the fault of the client. */
function findIn(set: FindKey): FindKey {
  return async (...token) => {
    try {
      return await set(...token);
    } catch (cause) {
      const { code } = cause as { code?: string };
      if (code !== undefined && NO_KEY.includes(code)) throw cause;
      throw new HttpError(503, "tokens cannot be verified at the moment", {
        cause: toError(cause),
        headers: { "Retry-After": String(FAILURE_PAUSE_MS / 1000) },
      });
    }
  };
}

const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

/** Keys fetched without TLS can be replaced on the way. */
function checkUrl(url: string | URL): URL {
  const checked = new URL(url);
  const { protocol, hostname } = checked;
  if (
    protocol === "https:" ||
    (protocol === "http:" && LOOPBACK.test(hostname))
  )
    return checked;
  throw new TypeError("jwksUrl of auth.jwtVerifier must begin with https:");
}

function toSecret(secret: string | Uint8Array): KeyObject {
  const bytes = Buffer.from(secret as Uint8Array);
  if (bytes.length < MIN_SECRET_BYTES)
    throw new TypeError(
      `secret of auth.jwtVerifier must have at least ${MIN_SECRET_BYTES} bytes`,
    );
  return createSecretKey(bytes);
}

function toPublic(key: string | JsonWebKey | KeyObject): KeyObject {
  if (typeof key === "string") return createPublicKey(key);
  if (!isKeyObject(key)) return createPublicKey({ key, format: "jwk" });
  if (key.type === "secret")
    throw new TypeError("publicKey of auth.jwtVerifier is a secret");
  return key.type === "private" ? createPublicKey(key) : key;
}

function isKeyObject(key: JsonWebKey | KeyObject): key is KeyObject {
  return typeof key.export === "function";
}

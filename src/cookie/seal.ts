/** Signed and encrypted values of cookies: both are bound to the name of the cookie, and to a secret of the server. */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  hkdfSync,
  randomBytes,
  timingSafeEqual,
} from "node:crypto";
import { env } from "../config/config";
import { settings } from "../config/settings";
import { isKnownServerToken } from "../config/serverToken";
import { ActionheroError } from "../errors";

interface Keys {
  signing: Buffer;
  encryption: Buffer;
}

const KEY_BYTES = 32;
const IV_BYTES = 12;
const TAG_BYTES = 16;
const CIPHER = "aes-256-gcm";

/** Environments in which a token that everybody knows is enough. */
const PRIVATE_ENVIRONMENTS = ["development", "test"];

/** `value.signature`. */
export function sign(name: string, value: string): string {
  return `${value}.${signatureOf(currentKeys()[0]!, name, value)}`;
}

/** The value of a signed cookie; undefined when no secret of ours signed it under this name. */
export function unsign(name: string, signed: string): string | undefined {
  const dot = signed.lastIndexOf(".");
  if (dot === -1) return undefined;
  const value = signed.slice(0, dot);
  const given = Buffer.from(signed.slice(dot + 1));
  const isOurs = currentKeys().some((keys) => {
    const expected = Buffer.from(signatureOf(keys, name, value));
    return given.length === expected.length && timingSafeEqual(given, expected);
  });
  return isOurs ? value : undefined;
}

/** Random iv, ciphertext and tag, in base64url. */
export function encrypt(name: string, value: string): string {
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv(CIPHER, currentKeys()[0]!.encryption, iv);
  cipher.setAAD(Buffer.from(name));
  const parts = [iv, cipher.update(value, "utf8"), cipher.final()];
  return Buffer.concat([...parts, cipher.getAuthTag()]).toString("base64url");
}

/** The value of an encrypted cookie; undefined when no secret of ours encrypted it under this name. */
export function decrypt(name: string, encrypted: string): string | undefined {
  const bytes = Buffer.from(encrypted, "base64url");
  if (bytes.length < IV_BYTES + TAG_BYTES) return undefined;
  for (const keys of currentKeys()) {
    const value = decryptWith(keys, name, bytes);
    if (value !== undefined) return value;
  }
  return undefined;
}

function decryptWith(
  { encryption }: Keys,
  name: string,
  bytes: Buffer,
): string | undefined {
  const iv = bytes.subarray(0, IV_BYTES);
  const end = bytes.length - TAG_BYTES;
  const decipher = createDecipheriv(CIPHER, encryption, iv, {
    authTagLength: TAG_BYTES,
  });
  decipher.setAAD(Buffer.from(name));
  decipher.setAuthTag(bytes.subarray(end));
  const text = decipher.update(bytes.subarray(IV_BYTES, end));
  try {
    return Buffer.concat([text, decipher.final()]).toString();
  } catch {
    return undefined; // not ours, or changed
  }
}

function signatureOf({ signing }: Keys, name: string, value: string): string {
  return createHmac("sha256", signing)
    .update(`${name}=${value}`)
    .digest("base64url");
}

let derived: { secrets: string; keys: Keys[] } | undefined;

/**
 * The keys of `web.cookieOptions.secrets`, else that of `general.serverToken`. The first seals, and all open.
 * @throws ActionheroError AH_CONFIG where only a token is set that everybody knows
 */
function currentKeys(): Keys[] {
  const secrets = secretsOf();
  const joined = secrets.join("\n");
  if (derived?.secrets !== joined)
    derived = { secrets: joined, keys: secrets.map(keysOf) };
  return derived.keys;
}

function secretsOf(): readonly string[] {
  const { secrets } = settings().web.cookieOptions;
  if (secrets.length > 0 && !secrets.some(isKnownServerToken)) return secrets;
  const { serverToken } = settings().general;
  if (isKnownServerToken(serverToken) && !PRIVATE_ENVIRONMENTS.includes(env))
    throw new ActionheroError(
      "AH_CONFIG",
      "signed and encrypted cookies need web.cookieOptions.secrets, or a secret general.serverToken",
    );
  return [String(serverToken)];
}

function keysOf(secret: string): Keys {
  const derive = (purpose: string) =>
    Buffer.from(hkdfSync("sha256", secret, "", purpose, KEY_BYTES));
  return {
    signing: derive("actionhero cookie signature"),
    encryption: derive("actionhero cookie encryption"),
  };
}

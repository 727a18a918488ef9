/** Hashes of passwords: scrypt, with its parameters in the hash (the PHC string format). */
import { randomBytes, scrypt, timingSafeEqual } from "node:crypto";

/** https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html: 32 MiB of memory. */
const COST: Cost = { ln: 15, r: 8, p: 3 };

const SALT_BYTES = 16;
const KEY_BYTES = 32;

/** A hash that asks for more was not made by `hashPassword`. */
const MAX_MEMORY_BYTES = 1024 ** 3;
const MAX_PARALLEL = 64;

const FORMAT =
  /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,4}),p=(\d{1,4})\$([A-Za-z\d+/]{11,86})\$([A-Za-z\d+/]{22,86})$/;

interface Cost {
  /** The binary logarithm of N. */
  ln: number;
  r: number;
  p: number;
}

interface Stored extends Cost {
  salt: Buffer;
  key: Buffer;
}

/**
 * The hash of a password, to be stored: `$scrypt$ln=15,r=8,p=3$salt$key`. It takes some 0.1 s of a thread of its own.
 * Texts that look the same are the same password, however they are encoded (NFKC).
 */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const key = await derive(password, { ...COST, salt, length: KEY_BYTES });
  const { ln, r, p } = COST;
  return `$scrypt$ln=${ln},r=${r},p=${p}$${toText(salt)}$${toText(key)}`;
}

/**
 * Whether it is the password of a stored hash.
 * @param stored undefined or null for a user who does not exist: false, after the same time
 * @throws TypeError for a text that is no hash of `hashPassword`
 */
export async function verifyPassword(
  password: string,
  stored: string | null | undefined,
): Promise<boolean> {
  if (stored === undefined || stored === null) {
    const salt = Buffer.alloc(SALT_BYTES);
    await derive(password, { ...COST, salt, length: KEY_BYTES });
    return false;
  }
  const { key, ...cost } = read(stored);
  const given = await derive(password, { ...cost, length: key.length });
  return timingSafeEqual(given, key);
}

/**
 * Whether a hash has other parameters than new ones: hash the password again after it was verified.
 * @throws TypeError for a text that is no hash of `hashPassword`
 */
export function needsRehash(stored: string): boolean {
  const { ln, r, p, key } = read(stored);
  return (
    ln !== COST.ln || r !== COST.r || p !== COST.p || key.length !== KEY_BYTES
  );
}

function derive(
  password: string,
  { ln, r, p, salt, length }: Cost & { salt: Buffer; length: number },
): Promise<Buffer> {
  const N = 2 ** ln;
  const maxmem = memoryOf({ ln, r, p }) + 1024 ** 2;
  return new Promise((resolve, reject) =>
    scrypt(
      password.normalize("NFKC"),
      salt,
      length,
      { N, r, p, maxmem },
      (error, key) => (error ? reject(error) : resolve(key)),
    ),
  );
}

/** @throws TypeError */
function read(stored: string): Stored {
  const parts = FORMAT.exec(stored);
  const [ln, r, p] = (parts?.slice(1, 4) ?? []).map(Number);
  const cost: Cost = { ln: ln ?? 0, r: r ?? 0, p: p ?? 0 };
  const isSane =
    cost.ln > 0 &&
    cost.r > 0 &&
    cost.p > 0 &&
    cost.p <= MAX_PARALLEL &&
    memoryOf(cost) <= MAX_MEMORY_BYTES;
  // the text itself is not told: it may be a password
  if (!parts || !isSane)
    throw new TypeError("this is no hash of auth.hashPassword");
  return {
    ...cost,
    salt: Buffer.from(parts[4]!, "base64"),
    key: Buffer.from(parts[5]!, "base64"),
  };
}

function memoryOf({ ln, r, p }: Cost): number {
  return 128 * r * (2 ** ln + p);
}

/** Base64 without padding, as the PHC string format has it. */
function toText(bytes: Buffer): string {
  return bytes.toString("base64").replace(/=+$/, "");
}

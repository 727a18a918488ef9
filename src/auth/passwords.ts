/** Hashes of passwords: scrypt, with its parameters in the hash (the PHC string format). */
import { randomBytes, scrypt, timingSafeEqual } from "node:crypto";
import { context } from "../context/context";
import { HttpError } from "../errors";
import { AddressQueue } from "../utils/addressQueue";

/** https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html: 32 MiB of memory. */
const COST: Cost = { ln: 15, r: 8, p: 3 };

const SALT_BYTES = 16;
const KEY_BYTES = 32;

/** In characters. Unicode normalization takes quadratic time for some strings, so longer ones never reach it. */
const MAX_LENGTH = 1024;

/** Hashes share the libuv threads with files and DNS, which must stay fast during a flood of sign-ins. */
const AT_ONCE = Math.max(
  1,
  Math.floor((Number(process.env.UV_THREADPOOL_SIZE) || 4) / 2),
);
/** A few seconds of work on an idle machine. */
const MAX_WAITING = 64;

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

export interface PasswordOptions {
  /** `data.signal` of an action: a password is not hashed after its client has left. */
  signal?: AbortSignal;
}

interface Stored extends Cost {
  salt: Buffer;
  key: Buffer;
}

/**
 * The hash of a password, to be stored: `$scrypt$ln=15,r=8,p=3$salt$key`. It takes some 0.1 s of a thread of its own.
 * Texts that look the same are the same password, however they are encoded (NFKC).
 * @throws HttpError 422 for a value that is not a string of at most 1,024 characters, 503 while too many passwords wait
 */
export async function hashPassword(
  password: string,
  { signal }: PasswordOptions = {},
): Promise<string> {
  if (!isPassword(password))
    throw new HttpError(
      422,
      `a password is a text of at most ${MAX_LENGTH} characters`,
    );
  const salt = randomBytes(SALT_BYTES);
  const work = { ...COST, salt, length: KEY_BYTES };
  const key = await inTurn(() => derive(password, work), signal);
  const { ln, r, p } = COST;
  return `$scrypt$ln=${ln},r=${r},p=${p}$${toText(salt)}$${toText(key)}`;
}

/**
 * Whether it is the password of a stored hash.
 * @param stored undefined or null for a user who does not exist: false, after the same time
 * @throws TypeError for a text that is not a hash of `hashPassword`
 * @throws HttpError 503 while too many passwords wait
 */
export async function verifyPassword(
  password: string,
  stored: string | null | undefined,
  { signal }: PasswordOptions = {},
): Promise<boolean> {
  const { key, ...cost } = isMissing(stored) ? NOBODY : read(stored);
  if (!isPassword(password)) return false; // the same for every user
  const work = { ...cost, length: key.length };
  const given = await inTurn(() => derive(password, work), signal);
  return timingSafeEqual(given, key) && !isMissing(stored);
}

/**
 * Whether a hash has other parameters than new ones: hash the password again after it was verified.
 * @throws TypeError for a text that is not a hash of `hashPassword`
 */
export function needsRehash(stored: string): boolean {
  const { ln, r, p, key } = read(stored);
  return (
    ln !== COST.ln || r !== COST.r || p !== COST.p || key.length !== KEY_BYTES
  );
}

/** The hash that stands for a user who does not exist. */
const NOBODY: Stored = {
  ...COST,
  salt: Buffer.alloc(SALT_BYTES),
  key: Buffer.alloc(KEY_BYTES),
};

function isMissing(
  stored: string | null | undefined,
): stored is null | undefined {
  return stored === undefined || stored === null;
}

/** Clients may send any JSON value instead of a string. */
function isPassword(password: unknown): password is string {
  return typeof password === "string" && password.length <= MAX_LENGTH;
}

interface Waiting {
  begin: () => void;
  refuse: (reason: Error) => void;
}

let runningHashes = 0;
/** Addresses take turns, if their calls have a context. */
const waitingHashes = new AddressQueue<Waiting>();

/**
 * Run the work when it is its turn.
 * @throws HttpError 503 when too much waits
 * @throws the reason of the signal when it was aborted before
 */
async function inTurn<Result>(
  work: () => Promise<Result>,
  signal: AbortSignal | undefined,
): Promise<Result> {
  signal?.throwIfAborted();
  if (runningHashes < AT_ONCE) runningHashes++;
  else await ownTurn(signal);
  try {
    return await work();
  } finally {
    const next = waitingHashes.take();
    if (next) next.begin();
    else runningHashes--;
  }
}

/** Resolves when a running hash hands over its slot. */
function ownTurn(signal: AbortSignal | undefined): Promise<void> {
  const address = context()?.connection?.remoteIP;
  if (waitingHashes.size >= MAX_WAITING) {
    const other = waitingHashes.lastOfMany(address);
    if (!other) throw tooMany();
    waitingHashes.delete(other);
    other.refuse(tooMany());
  }
  return new Promise((resolve, reject) => {
    const end = () => signal?.removeEventListener("abort", leave);
    const waiting: Waiting = {
      begin: () => {
        end();
        resolve();
      },
      refuse: (reason) => {
        end();
        reject(reason);
      },
    };
    const leave = () => {
      waitingHashes.delete(waiting);
      reject(signal!.reason as Error);
    };
    waitingHashes.add(waiting, address);
    signal?.addEventListener("abort", leave, { once: true });
  });
}

function tooMany(): HttpError {
  return new HttpError(503, "too many passwords wait to be hashed", {
    headers: { "Retry-After": "5" },
  });
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
  // the message omits the text, which may be a password
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

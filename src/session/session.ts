/** `connection.store`: the stored session of one client. */
import { createHash, randomBytes } from "node:crypto";
import { openCookie, sealCookie } from "../cookie/cookies";
import { HttpError } from "../errors";
import {
  moveRecord,
  openRecord,
  removeRecord,
  takeField,
  writeRecord,
  type Changes,
  type Lifetimes,
} from "./records";

/**
 * The values that a project keeps in sessions, by name. Declare them:
 * `declare module "actionhero" { interface StoredValues { userId: string } }`
 */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type -- projects add to it
export interface StoredValues {}

/** The values that are read once, such as a notice for the next page. Declared in the same way. */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type -- projects add to it
export interface FlashValues {}

type StoredName = Extract<keyof StoredValues, string>;
type FlashName = Extract<keyof FlashValues, string>;

/** What sessions are limited to. */
export interface SessionLimits extends Lifetimes {
  /** All names and values together, in bytes of JSON. */
  maxBytes: number;
}

/** Sends a new token to the client; undefined removes it. */
export type Deliver = (token: string | undefined) => unknown;

const SECRET_BYTES = 32;

/** The name that tokens are signed for, on all transports. */
const TOKEN = "actionhero session";

const valueField = (name: string): string => `v:${name}`;
const flashField = (name: string): string => `f:${name}`;

/** This process's copy of a stored session. */
class Held {
  /** JSON texts, as they were read or written. */
  fields = new Map<string, string>();
  /** Not written yet; null: removed. */
  changes = new Map<string, string | null>();
  /** Made here, and not written yet. */
  isNew = false;
  /**
   * The client sent an id that was replaced shortly before, because its request was already under way. A new session
   * would replace the moved one in the browser.
   */
  isLate = false;

  /** @param secret the secret of the client; undefined while the session is empty */
  constructor(public secret?: string) {}

  get(field: string): string | undefined {
    const changed = this.changes.get(field);
    if (changed !== undefined) return changed ?? undefined;
    return this.fields.get(field);
  }

  /** These changes were written, or are given up; others may have come since. */
  settle(changes: Changes, isWritten: boolean): void {
    for (const [field, text] of changes) {
      if (this.changes.get(field) === text) this.changes.delete(field);
      if (!isWritten) continue;
      if (text === null) this.fields.delete(field);
      else this.fields.set(field, text);
    }
  }

  /** The fields with the changes that are not written yet. */
  all(): Map<string, string> {
    const all = new Map(this.fields);
    for (const [field, text] of this.changes) {
      if (text === null) all.delete(field);
      else all.set(field, text);
    }
    return all;
  }
}

export class Session {
  private held = new Held();
  /** The secret that the client brought the last time. */
  private asked: string | undefined = undefined;
  /** Reads and writes of one connection, one after the other. */
  private last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly limits: SessionLimits,
    private readonly deliver: Deliver,
  ) {}

  /**
   * Identifies the session on the server. It is not a secret: the session cannot be used with it alone. It changes
   * with `regenerate()`. Undefined while nothing is kept.
   */
  get id(): string | undefined {
    const { secret } = this.held;
    return secret === undefined ? undefined : idOf(secret);
  }

  /**
   * The signed secret that the client must send to use the session; undefined while the session is empty. Cookies
   * contain it automatically; clients of other transports get it from an action.
   */
  get token(): string | undefined {
    const { secret } = this.held;
    return secret === undefined ? undefined : seal(secret);
  }

  /** Whether something has to be written. */
  get isChanged(): boolean {
    return this.held.changes.size > 0;
  }

  /** A copy of a value: to change it, `set` it again. */
  get<Name extends StoredName>(name: Name): StoredValues[Name] | undefined {
    return parse(this.held.get(valueField(name))) as
      StoredValues[Name] | undefined;
  }

  /**
   * Keep a value; it is written when the action has ended.
   * @throws TypeError for a value that is no JSON
   * @throws HttpError 413 when the session would have more than `session.maxBytes`
   */
  set<Name extends StoredName>(name: Name, value: StoredValues[Name]): void {
    this.change(valueField(name), value);
  }

  delete(name: StoredName): void {
    this.remove(valueField(name));
  }

  /** Keep a value until it is read. */
  setFlash<Name extends FlashName>(name: Name, value: FlashValues[Name]): void {
    this.change(flashField(name), value);
  }

  /** Read and remove a flash value. Only one of several concurrent requests gets it. */
  async takeFlash<Name extends FlashName>(
    name: Name,
  ): Promise<FlashValues[Name] | undefined> {
    let text: string | undefined;
    await this.inTurn(async () => {
      text = await this.take(flashField(name));
    });
    return parse(text) as FlashValues[Name] | undefined;
  }

  /**
   * Write the changes now; otherwise they are written after the action. Only changed values are written, so
   * concurrent changes of other requests are kept.
   */
  save(): Promise<void> {
    return this.inTurn(() => this.write());
  }

  /**
   * Continue under a new random id, at sign-in, to prevent session fixation. The old id is removed. Requests that are sent
   * with it meanwhile find an empty session, and what they set is lost, unless they call this function.
   * @throws Error when the response to an HTTP request has begun
   */
  regenerate(): Promise<void> {
    return this.inTurn(async () => {
      const { held } = this;
      const { secret } = held;
      if (held.isLate) return this.beginAnew(held);
      if (secret === undefined || held.isNew) return; // no client has it
      const next = newSecret();
      await this.deliver(seal(next));
      const moved = await this.move(secret, next);
      held.secret = next;
      if (moved) return;
      held.isNew = true;
      held.fields.clear(); // what was destroyed does not come back
    });
  }

  /**
   * End the session: at sign-out. What is set afterwards begins another one.
   * @throws Error when the response to an HTTP request has begun
   */
  destroy(): Promise<void> {
    return this.inTurn(async () => {
      const { secret, isNew } = this.held;
      this.held = new Held();
      if (secret === undefined || isNew) return;
      await removeRecord(idOf(secret)); // first: a response that has begun must not keep it alive
      await this.deliver(undefined);
    });
  }

  /**
   * Switch to the session of the client's token, or read the current one again.
   * @param isShared whether another action of the connection is running
   * @throws HttpError 409 when that action would find itself in another session
   */
  open(token: string | undefined, isShared: boolean): Promise<void> {
    const secret = token === undefined ? undefined : unseal(token);
    return this.inTurn(async () => {
      if (secret === undefined || secret === this.held.secret)
        return this.read(this.held);
      if (isShared && secret !== this.asked)
        throw new HttpError(
          409,
          "the connection has actions running with another session",
        );
      if (isShared && this.held.secret !== undefined)
        return this.read(this.held);
      const before = this.held;
      const held = new Held(secret || undefined);
      await this.read(held);
      this.asked = secret;
      // an action that runs may have begun a session meanwhile
      if (!isShared || before.secret === undefined) this.held = held;
    });
  }

  /** Start a new session after all: the late request may be a repeated sign-in whose first response was lost. */
  private beginAnew(held: Held): void {
    held.isLate = false;
    if (held.changes.size === 0) return;
    held.secret = newSecret();
    held.isNew = true;
  }

  /** The client keeps its old token when the record cannot be moved. */
  private async move(secret: string, next: string): Promise<boolean> {
    try {
      return await moveRecord(idOf(secret), idOf(next), this.limits);
    } catch (error) {
      await this.deliver(seal(secret));
      throw error;
    }
  }

  private async read(held: Held): Promise<void> {
    const { secret, isNew } = held;
    held.isLate = false;
    if (secret === undefined || isNew) return;
    const found = await openRecord(idOf(secret), this.limits);
    held.isLate = found === "moved";
    const fields = found === "moved" ? undefined : found;
    if (fields === undefined) {
      // clients never choose the id of a session, and what was destroyed does not come back
      held.secret = undefined;
      held.changes.clear();
    }
    held.fields = fields ?? new Map<string, string>();
  }

  private async write(): Promise<void> {
    const { held } = this;
    const { secret, isNew } = held;
    const changes = new Map(held.changes);
    if (held.isLate) return held.settle(changes, false);
    if (changes.size === 0 || secret === undefined) return;
    if (isNew) await this.deliver(seal(secret));
    let isWritten = false;
    try {
      const record = { isNew, changes };
      isWritten = await writeRecord(idOf(secret), record, this.limits);
    } finally {
      held.settle(changes, isWritten); // a failed action tells its client that nothing was saved
    }
    if (isWritten) held.isNew = false;
    else if (this.held === held) this.held = new Held();
  }

  private async take(field: string): Promise<string | undefined> {
    const { secret, isNew, fields, changes } = this.held;
    const text = this.held.get(field);
    const isStored = fields.delete(field) && !isNew;
    const isWritten = !changes.delete(field);
    if (text === undefined || secret === undefined || !isStored) return text;
    const taken = await takeField(idOf(secret), field);
    return isWritten ? taken : text; // else it was set by this very action
  }

  private change(field: string, value: unknown): void {
    const text = JSON.stringify(value) as string | undefined;
    if (text === undefined)
      throw new TypeError(
        `a session cannot keep ${typeof value}: only what JSON can hold`,
      );
    const { held } = this;
    const all = held.all().set(field, text);
    const { maxBytes } = this.limits;
    if (sizeOf(all) > maxBytes)
      throw new HttpError(
        413,
        `a session cannot keep more than ${maxBytes} bytes (config.session.maxBytes)`,
      );
    if (held.secret === undefined && !held.isLate) {
      held.secret = newSecret();
      held.isNew = true;
    }
    held.changes.set(field, text);
  }

  private remove(field: string): void {
    if (this.held.get(field) !== undefined) this.held.changes.set(field, null);
  }

  private inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.last.then(work);
    this.last = done.catch(() => undefined); // its caller gets the error
    return done;
  }
}

/** Redis stores only the digest, with which the session cannot be used. */
export function idOf(secret: string): string {
  return createHash("sha256").update(secret).digest("base64url");
}

function seal(secret: string): string {
  return sealCookie(TOKEN, secret, { signed: true });
}

/** @returns "" for a token that no secret of ours has signed: there is no session of that name */
function unseal(token: string): string {
  return openCookie({ [TOKEN]: token }, TOKEN, { signed: true }) ?? "";
}

function newSecret(): string {
  return randomBytes(SECRET_BYTES).toString("base64url");
}

function parse(text: string | undefined): unknown {
  return text === undefined ? undefined : JSON.parse(text);
}

function sizeOf(fields: ReadonlyMap<string, string>): number {
  let bytes = 0;
  for (const [field, text] of fields)
    bytes += Buffer.byteLength(field) + Buffer.byteLength(text);
  return bytes;
}

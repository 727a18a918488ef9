/** `api.storedSessions`: finds the stored session of a client, by its cookie or by its token. */
import { api, IN_LINE } from "../api";
import { settings } from "../config/settings";
import { cookieNamed, type CookieOptions } from "../cookie/cookies";
import { toError } from "../errors";
import { removeRecord, Session, type SessionLimits } from "./session";

declare module "../api" {
  interface Api {
    /** Undefined without `session.enabled`. */
    storedSessions: StoredSessions | undefined;
  }
}

/** A connection, as far as its session needs it. */
export interface SessionClient {
  type: string;
  cookies: Record<string, string>;
  rawConnection?: unknown;
  pendingActions: number;
  /** The params that persistent clients keep for all requests. */
  params?: Record<string, unknown>;
  setCookie(name: string, value: string, options?: CookieOptions): unknown;
  clearCookie(name: string, options?: CookieOptions): unknown;
  /** Exists on connections of web clients. */
  setHeader?: (name: string, value: string) => unknown;
}

/** Transports whose responses bring cookies to the client. */
const CARRIERS = ["web", "testServer"];

const HOST_PREFIX = "__Host-";

export class StoredSessions {
  private readonly sessions = new WeakMap<SessionClient, Session>();
  private readonly limits: SessionLimits;
  private readonly cookie: string;
  /** The name of the param with the token. */
  readonly param: string;

  constructor() {
    const { ttl, maxLifetime, maxBytes, cookie, param } = settings().session;
    this.limits = { ttl, maxLifetime, maxBytes };
    this.cookie = cookie;
    this.param = param;
  }

  /** The session of a connection, without a look into redis. */
  of(client: SessionClient): Session {
    let session = this.sessions.get(client);
    if (!session) {
      session = new Session(this.limits, (token) =>
        CARRIERS.includes(client.type)
          ? this.sendCookie(client, token)
          : undefined,
      );
      this.sessions.set(client, session);
    }
    return session;
  }

  /**
   * End a session of another client, such as one of a user whose password was changed.
   * @param id `connection.store.id`, as it was there
   * @returns false if it does not exist
   */
  destroy(id: string): Promise<boolean> {
    return removeRecord(id);
  }

  /**
   * Before an action: read the session, if the client has one. The token is removed from the params: it is a secret.
   * @throws HttpError 409 when an action of the same connection runs in another session
   */
  open(
    client: SessionClient,
    params: Record<string, unknown>,
  ): Promise<void> | undefined {
    const given = params[this.param];
    if (given !== undefined) delete params[this.param]; // each deletion makes an object slower
    if (client.type === IN_LINE) return undefined;
    const isCarrier = CARRIERS.includes(client.type);
    // in the params of HTTP it would be in URLs, and any page could send it
    if (client.type !== "web" && typeof given === "string")
      return this.openBy(client, given);
    const isKnown = this.sessions.get(client)?.id !== undefined;
    const cookie = isCarrier || !isKnown ? this.cookieOf(client) : undefined;
    if (cookie === undefined && !isKnown) return undefined;
    const opened = this.openBy(client, cookie);
    if (!isCarrier || cookie === undefined) return opened;
    return opened.then(async () => {
      const { id, token: current } = this.of(client);
      // a cache that serves many clients must not give this response to another; what the action sets takes precedence
      if (id !== undefined)
        await client.setHeader?.("Cache-Control", "private");
      // signed with a secret that was replaced
      if (current !== undefined && current !== cookie)
        await this.sendCookie(client, current);
    });
  }

  /**
   * Before a verb, whose middleware may look at the session: read it, if the client has one.
   * @throws what `open` throws
   */
  refresh(client: SessionClient): Promise<void> | undefined {
    const kept = client.params?.[this.param];
    const isKnown = this.sessions.get(client)?.id !== undefined;
    const token =
      typeof kept === "string"
        ? kept
        : isKnown
          ? undefined
          : this.cookieOf(client);
    if (token === undefined && !isKnown) return undefined;
    return this.of(client).open(token, client.pendingActions > 0);
  }

  private openBy(
    client: SessionClient,
    token: string | undefined,
  ): Promise<void> {
    return this.of(client).open(token, client.pendingActions > 1);
  }

  /**
   * After an action: write what it has changed.
   * @returns the error when that is not possible
   */
  save(client: SessionClient): Promise<unknown> | undefined {
    if (client.type === IN_LINE) return undefined;
    const session = this.sessions.get(client);
    if (session?.isChanged !== true) return undefined;
    return session.save().then(() => undefined, toError);
  }

  private sendCookie(
    client: SessionClient,
    token: string | undefined,
  ): unknown {
    const name = this.cookieName(client);
    // browsers keep cookies with the prefix for the host that set them, and only by TLS
    const secure = name !== this.cookie;
    const attributes: CookieOptions = {
      path: "/",
      httpOnly: true,
      sameSite: "lax",
      secure,
      // not those of `web.cookieOptions.settings`
      domain: undefined,
      expires: undefined,
      partitioned: undefined,
    };
    if (token === undefined) return client.clearCookie(name, attributes);
    const maxAge = Math.floor(this.limits.maxLifetime / 1000);
    return client.setCookie(name, token, { ...attributes, maxAge });
  }

  private cookieOf(client: SessionClient): string | undefined {
    const value = cookieNamed(client, this.cookieName(client));
    return typeof value === "string" ? value : undefined;
  }

  private cookieName(client: SessionClient): string {
    const { servers } = api as { servers?: Servers };
    const isTls = servers?.servers[client.type]?.isTls?.(client) === true;
    return isTls ? HOST_PREFIX + this.cookie : this.cookie;
  }
}

/** Servers lie above, and are looked up when used. */
interface Servers {
  servers: Record<
    string,
    { isTls?(client: SessionClient): boolean } | undefined
  >;
}

/** Make `api.storedSessions`. */
export function createStoredSessions(): void {
  const { enabled } = settings().session;
  api.storedSessions = enabled ? new StoredSessions() : undefined;
}

/** The verified identity of the caller of an action. */
import { createHash } from "node:crypto";
import { config } from "../config/config";
import type { Connection } from "../connection/connection";
import type { ActionProcessor } from "./actionProcessor";
import { requestOf } from "./clientAddress";

/**
 * The id of the user that middleware has set: that of `data.session.user` or of `connection.session.user`.
 * @returns undefined while nobody is signed in
 */
export function userOf({
  session,
  connection,
}: Pick<ActionProcessor, "session" | "connection">):
  string | number | undefined {
  return idOf(session as Sessionlike) ?? idOf(connection.session);
}

/**
 * An identity that another client cannot forge: the user, else the stored session, else the token, else the
 * fingerprint if the server created it.
 * @returns undefined for an unidentified caller
 */
export function callerOf(data: ActionProcessor): string | undefined {
  const { connection } = data;
  const user = userOf(data);
  if (user !== undefined) return `user:${user}`;
  const { store } = connection as { store?: { id?: unknown } }; // a project may keep its own there
  if (typeof store?.id === "string") return `session:${store.id}`;
  const token = requestOf(connection)?.headers?.authorization;
  if (typeof token === "string" && token !== "")
    return `token:${createHash("sha256").update(token).digest("hex")}`;
  return isFingerprintOurs(connection)
    ? `fingerprint:${connection.fingerprint}`
    : undefined;
}

type Sessionlike = { user?: { id?: unknown } | null } | null | undefined;

function idOf(session: Sessionlike): string | number | undefined {
  const id = session?.user?.id;
  return typeof id === "string" || typeof id === "number" ? id : undefined;
}

/** Clients of TCP are given theirs; browsers bring it, and only a signed one is known to be one of ours. */
function isFingerprintOurs({ type }: Connection): boolean {
  if (type === "socket") return true;
  const { fingerprintOptions } = (config.web ?? {}) as {
    fingerprintOptions?: { signed?: boolean };
  };
  return (
    (type === "web" || type === "websocket") &&
    fingerprintOptions?.signed === true
  );
}

/** Who calls an action, as far as the server knows for sure. */
import { createHash } from "node:crypto";
import { config } from "../config/config";
import type { Connection } from "../connection/connection";
import type { ActionProcessor } from "./actionProcessor";
import { requestOf } from "./clientAddress";

/**
 * The id of the user that middleware has found: that of `data.session.user` or of `connection.session.user`.
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
 * What names a caller and cannot be made up by another client: its user, else its stored session, else its token, else
 * its fingerprint if the server has made that.
 * @returns undefined for a caller that nothing is known of
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

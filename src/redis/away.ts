/** Whether an error means that redis cannot be reached. */
import type { ErrorCode } from "../errors";

const AWAY_CODES: readonly ErrorCode[] = [
  "AH_REDIS_CONNECT",
  "AH_REDIS_TIMEOUT",
];

/** The framework's own errors, and those of ioredis for commands that a lost connection takes along. */
export function isRedisAway(error: unknown): boolean {
  const { code, name, message } = (error ?? {}) as Partial<
    Record<"code" | "name" | "message", unknown>
  >;
  return (
    AWAY_CODES.includes(code as ErrorCode) ||
    name === "MaxRetriesPerRequestError" ||
    message === "Connection is closed."
  );
}

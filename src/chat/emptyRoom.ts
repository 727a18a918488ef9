/** Makes all members of a room leave it, on all nodes. */
import { api } from "../api";
import type { ErrorCode } from "../errors";
import { redis } from "../redis/redis";
import { localConnection } from "./membership";
import { eraseMembers, isThisServer, membersOf } from "./roomStore";

/** Errors that mean that a listed member does not exist: no node replies for it, or it is not a member. */
const NOBODY_THERE: (ErrorCode | undefined)[] = ["AH_RPC_TIMEOUT", "AH_CHAT"];

interface Failure {
  member: string;
  error: Error & { code?: ErrorCode };
}

/**
 * Make all members leave; members for which no node replies are removed from the list.
 * @throws the error of a `leave` middleware, after the others have left
 */
export async function emptyRoom(room: string): Promise<void> {
  const members = await membersOf(room);
  const here: string[] = [];
  const elsewhere: string[] = [];
  const lost: string[] = [];
  for (const [member, { host }] of members) {
    if (localConnection(member)) here.push(member);
    else if (isThisServer(host)) lost.push(member);
    else elsewhere.push(member);
  }

  // the first local member is also removed through the channel, so that it gets the earlier messages of the room
  const failures = [
    ...(await failuresOf([...here.slice(0, 1), ...elsewhere], (member) =>
      removeByCall(member, room),
    )),
    ...(await failuresOf(here.slice(1), (member) =>
      api.chatRoom.removeMember(member, room),
    )),
  ];
  const isListedOnly = ({ error }: Failure) =>
    NOBODY_THERE.includes(error.code);
  lost.push(...failures.filter(isListedOnly).map(({ member }) => member));
  await eraseMembers(room, lost);

  const refusal = failures.find((failure) => !isListedOnly(failure));
  if (refusal) throw refusal.error;
}

function removeByCall(member: string, room: string): Promise<unknown> {
  const method = "api.chatRoom.removeMember";
  return redis.doCluster(method, [member, room], member, true);
}

async function failuresOf(
  members: readonly string[],
  remove: (member: string) => Promise<unknown>,
): Promise<Failure[]> {
  const failures: Failure[] = [];
  await Promise.all(
    members.map((member) =>
      remove(member).catch((error: Failure["error"]) => {
        failures.push({ member, error });
      }),
    ),
  );
  return failures;
}

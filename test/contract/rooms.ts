/** The contract's chapter on chat rooms. */
import { api } from "../../src/index";
import { until } from "../support/until";
import type { ContractClient } from "./client";
import type { Contract } from "./contract";

/** Both are there in the test environment (`general.startingChatRooms`). */
const ROOM = "defaultRoom";
const OTHER_ROOM = "otherRoom";

export function describeRooms({
  transport,
  connect,
  serverSide,
}: Contract): void {
  const errorText = transport.verbErrorText ?? ((text: string) => text);

  async function verb(
    client: ContractClient,
    ...words: [string, ...string[]]
  ): Promise<any> {
    const { data, error } = await client.verb!(...words);
    expect(error).toBeUndefined();
    return data;
  }

  async function errorOf(
    client: ContractClient,
    ...words: [string, ...string[]]
  ): Promise<any> {
    const { error } = await client.verb!(...words);
    return error;
  }

  function heard({ messages }: ContractClient): any[] {
    return messages!.filter(({ context }) => context === "user");
  }

  describe("rooms", () => {
    test("are joined, viewed and left", async () => {
      const client = await connect();
      const { id, rooms } = await serverSide(client);
      expect(await verb(client, "roomAdd", ROOM)).toBe(true);
      expect(rooms).toEqual([ROOM]);
      const view = await verb(client, "roomView", ROOM);
      expect(view).toMatchObject({ room: ROOM, membersCount: 1 });
      expect(view.members[id]).toMatchObject({ id });
      expect((await verb(client, "detailsView")).rooms).toEqual([ROOM]);
      expect(await verb(client, "roomLeave", ROOM)).toBe(true);
      expect((await verb(client, "detailsView")).rooms).toEqual([]);
    });

    test("what is said reaches all members, and nobody else", async () => {
      const [speaker, listener, stranger] = [
        await connect(),
        await connect(),
        await connect(),
      ];
      const { id } = await serverSide(speaker);
      await verb(speaker, "roomAdd", ROOM);
      await verb(listener, "roomAdd", ROOM);
      await verb(stranger, "roomAdd", OTHER_ROOM);
      await verb(speaker, "say", ROOM, "hello", "there");
      await until(() =>
        [speaker, listener].every((member) => heard(member).length > 0),
      );
      for (const member of [speaker, listener]) {
        expect(heard(member)).toHaveLength(1);
        expect(heard(member)[0]).toMatchObject({
          message: "hello there",
          room: ROOM,
          from: id,
          context: "user",
        });
        expect(heard(member)[0].sentAt).toBeGreaterThan(0);
      }
      expect(heard(stranger)).toEqual([]);
    });

    test("errors", async () => {
      const client = await connect();
      const notIn = errorText(`connection not in this room (${ROOM})`);
      expect(await errorOf(client, "roomAdd", "noSuchRoom")).toBe(
        errorText("room does not exist"),
      );
      expect(await errorOf(client, "roomView", ROOM)).toBe(notIn);
      expect(await errorOf(client, "roomLeave", ROOM)).toBe(notIn);
      expect(await errorOf(client, "say", ROOM, "hello")).toBe(notIn);
      await verb(client, "roomAdd", ROOM);
      expect(await errorOf(client, "roomAdd", ROOM)).toBe(
        errorText(`connection already in this room (${ROOM})`),
      );
      expect(await errorOf(client, "say", ROOM)).toBe(
        errorText("both room and message are required"),
      );
    });

    test("a client that goes leaves its rooms", async () => {
      const client = await connect();
      await verb(client, "roomAdd", ROOM);
      const members = async () =>
        (await api.chatRoom.roomStatus?.(ROOM))?.membersCount ??
        Object.keys(
          await api.redis.clients.client.hgetall(
            `actionhero:chatRoom:members:${ROOM}`,
          ),
        ).length;
      expect(await members()).toBe(1);
      await client.close();
      await until(async () => (await members()) === 0);
    });

    test("the server can speak, too", async () => {
      const client = await connect();
      await verb(client, "roomAdd", ROOM);
      await api.chatRoom.broadcast({}, ROOM, { from: "above" });
      const [message] = await until(() => {
        const all = heard(client);
        return all.length > 0 && all;
      });
      expect(message).toMatchObject({
        room: ROOM,
        message: { from: "above" },
        context: "user",
      });
    });
  });
}

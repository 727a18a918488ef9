import { ActionheroWebsocketClient } from "actionhero/client";

/** Says something in the lobby of the chat example, and ends when it has come back. */
async function main(url = "http://localhost:8080", ...words: string[]) {
  const client = new ActionheroWebsocketClient({ url });
  await client.connect();
  await client.roomAdd("lobby");
  const heard = new Promise<string>((resolve) => {
    client.on("say", ({ message }: { message: string }) => resolve(message));
  });
  await client.say("lobby", words.join(" ") || "hello");
  console.log(`heard: ${await heard}`);

  const { membersCount } = await client.action("members", { room: "lobby" });
  console.log(`members: ${String(membersCount)}`);
  client.disconnect();
}

main(...process.argv.slice(2)).catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});

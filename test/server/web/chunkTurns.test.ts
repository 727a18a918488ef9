/** Files that many clients get at once are read a few chunks in a turn of the event loop. */
import { ChunkTurns } from "../../../src/server/web/chunkTurns";

const turn = () => new Promise(setImmediate);

/** Clients of an address that ask for the next chunk as soon as they have one. */
function clients(turns: ChunkTurns, address: string, count: number) {
  const chunks: number[] = [];
  const senders = Array.from({ length: count }, (_, i) => {
    chunks.push(0);
    return { resume: () => void chunks[i]++ };
  });
  const ask = () => senders.forEach((one) => turns.take(one, address));
  const total = () => chunks.reduce((sum, one) => sum + one, 0);
  return { senders, ask, total };
}

test("a turn of the event loop has 16 chunks, however many clients wait", async () => {
  const turns = new ChunkTurns();
  const { ask, total } = clients(turns, "192.0.2.1", 50);
  ask();
  expect(total()).toBe(16);
  for (const chunks of [32, 48, 50, 50]) {
    await turn();
    expect(total()).toBe(chunks);
  }
});

test("a client of another address has its turn first", async () => {
  const turns = new ChunkTurns();
  const many = clients(turns, "192.0.2.1", 500);
  const other = clients(turns, "198.51.100.1", 1);
  many.ask();
  other.ask();
  await turn();
  expect(other.total()).toBe(1);
});

test("a client that has disconnected takes no turn", async () => {
  const turns = new ChunkTurns();
  const { ask, senders, total } = clients(turns, "192.0.2.1", 20);
  ask();
  for (const one of senders) turns.delete(one);
  await turn();
  expect(total()).toBe(16);
  ask();
  expect(total()).toBe(32);
});

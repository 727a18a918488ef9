/** Lua scripts: their definition, and calls that take effect at most once, and never after their deadline. */
import { createHash } from "node:crypto";
import type { Redis } from "ioredis";
import { commandTimedOut } from "./commands";
import type { Machine } from "../utils/promises";

/** A script with the hash that redis knows it by. */
export interface Script {
  readonly lua: string;
  readonly sha: string;
  /** Created by `defineTimed`: it has a deadline, but does not record operation ids. */
  readonly isTimed: boolean;
}

/** Prepare a script; its text documents KEYS, ARGV, the result and why it is atomic. */
export function defineScript(lua: string, isTimed = false): Script {
  const sha = createHash("sha1").update(lua).digest("hex");
  return { lua, sha, isTimed };
}

/** Run a script in one round trip; if redis does not know it yet, its text is sent. */
export function runScript(
  client: Redis,
  script: Script,
  keys: readonly string[],
  args: readonly (string | number)[],
): Promise<unknown> {
  return client
    .evalsha(script.sha, `${keys.length}`, ...keys, ...args)
    .catch((error: Error) => {
      if (!error.message.startsWith("NOSCRIPT")) throw error;
      return client.eval(script.lua, keys.length, ...keys, ...args);
    });
}

// --- The frame of scripts that write: it refuses calls after their deadline, and replies to a repetition without
// running it again. ARGV: prefix, name of the caller's calls or '', number of the call, lowest number that the
// caller still waits for, deadline in ms of this clock, how long to remember in ms; the script's own arguments
// follow, from `ARG` on.
//
// `<prefix>ah:ops:<name>` is a bitmap of the calls that took effect. A caller takes a new name after `CALLS_PER_NAME`
// calls. Nearly all replies are 1; the others are kept in `<prefix>ah:ops:<name>:replies` while the caller waits for
// one of them. Both keys expire when a repetition of the last call would miss its deadline.
//
// A call without a name has a deadline only: to run it twice changes nothing.
//
// Returns the time when the reply is 1, the negative time when the call is refused, else time and reply.

/**
 * The time of all scripts, in ms, and the end of keys. A test may give others, which define the same two functions:
 * `now()`, and `expire(key, ms)`.
 */
export const REDIS_CLOCK = `
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function expire(key, ms) redis.call('PEXPIRE', key, ms) end
`;

/** Index of the first argument of the script itself. */
export const ARG = 7;

/** The script's own arguments. */
export const [A, B, C, D, E, F, G, H, I] = Array.from(
  { length: 9 },
  (_, index) => `ARGV[${ARG + index}]`,
);

/** One bit each: a name has 1 KB. */
const CALLS_PER_NAME = 8192;

/**
 * @param functions Lua that `body` needs; each function that a script defines costs it some 0.2 us
 * @param body Lua that returns something other than nil; `ns` is the prefix, `time` the time in ms
 */
export function frame(functions: string, body: string): string {
  return `
local ns, ops, number = ARGV[1], ARGV[2], ARGV[3]
local time = now()
if time > tonumber(ARGV[5]) then return -time end
if ops ~= '' then
  ops = ns .. 'ah:ops:' .. ops
  local isDone, known = redis.pcall('GETBIT', ops, number), nil
  if isDone == 1 then known = redis.pcall('HGET', ops .. ':replies', number) end
  -- something else was put there: it must not make all calls fail
  if type(isDone) == 'table' or type(known) == 'table' then redis.call('DEL', ops, ops .. ':replies')
  elseif known then return {time, cmsgpack.unpack(known)}
  elseif isDone == 1 then return time end
end
${functions}
local function run()
${body}
end
local reply = run()
if ops == '' then
  if reply == 1 then return time end
  return {time, reply}
end
if reply ~= 1 then
  -- a full redis refuses a first write that needs memory
  redis.call('HDEL', ns .. 'ah:full', '')
  local replies, low = ops .. ':replies', tonumber(ARGV[4])
  local others = redis.pcall('HKEYS', replies)
  if others.err then
    redis.call('DEL', replies)
    others = {}
  end
  for _, old in ipairs(others) do
    if tonumber(old) < low then redis.call('HDEL', replies, old) end
  end
  redis.call('HSET', replies, number, cmsgpack.pack(reply))
  expire(replies, ARGV[6])
end
redis.call('SETBIT', ops, number, 1)
expire(ops, ARGV[6])
if reply == 1 then return time end
return {time, reply}
`;
}

/** A framed script by redis's own clock. */
export function defineOperation(body: string): Script {
  return defineScript(`${REDIS_CLOCK}${frame("", body)}`);
}

/**
 * A script that does no harm when it arrives twice: it has a deadline only, which is its last argument. Its own arguments are
 * ARGV[1] and so on; `time` is the time in ms. It costs redis a third less than one of `defineOperation`.
 */
export function defineTimed(body: string): Script {
  const lua = `
local time = now()
if time > tonumber(ARGV[#ARGV]) then return -time end
local function run()
${body}
end
local reply = run()
if reply == 1 then return time end
return {time, reply}
`;
  return defineScript(`${REDIS_CLOCK}${lua}`, true);
}

// --- Calls of scripts that write.

/** The target of a script. */
export interface Place {
  /** The prefix of the keys that record operation ids. On a Redis Cluster, they must be in the slot of `keys`. */
  readonly prefix: string;
  /** The keys of the script. */
  readonly keys: readonly string[];
}

interface OperationsOptions {
  /** The timeout of a call, in ms. */
  timeoutMs: number;
  /** Returns the time of the store. */
  clock: Script;
  machine: Machine;
}

/** The time when the reply is 1, the negative time when the call was refused, else time and reply. */
type ScriptReply = number | [time: number, reply: unknown];

export class Operations {
  /** Identifies this process in the store, to recognize its repeated calls. */
  private readonly caller: string;
  private number = 0;
  /** Numbers of pending calls, ascending. */
  private readonly waiting = new Set<number>();
  /**
   * The store's clock minus the monotonic clock of this process, or less, because a reading ages on its way. A
   * deadline is therefore never later than the caller's timeout.
   */
  private offset?: number;

  constructor(
    private readonly redis: Redis,
    private readonly options: OperationsOptions,
  ) {
    this.caller = options.machine.token(9);
    // an earlier reply may come from another server with another clock
    redis.on("ready", () => {
      this.offset = undefined;
    });
  }

  /** The estimated time of the store, in ms. */
  estimate(): number {
    const { machine } = this.options;
    return this.offset === undefined
      ? machine.now()
      : machine.monotonic() + this.offset;
  }

  /** The time of the store, measured again. */
  async measure({ keys }: Place): Promise<number> {
    const { clock } = this.options;
    const time = (await runScript(this.redis, clock, keys, [])) as number;
    this.read(time);
    return time;
  }

  /** A call that takes effect once, even if it arrives several times. */
  async once(
    script: Script,
    place: Place,
    args: readonly (string | number)[],
  ): Promise<unknown> {
    const number = ++this.number;
    this.waiting.add(number);
    try {
      return await this.send(script, place, args, number);
    } finally {
      this.waiting.delete(number);
    }
  }

  /** A call that may run several times, but not after its deadline. */
  intime(
    script: Script,
    place: Place,
    args: readonly (string | number)[],
  ): Promise<unknown> {
    return this.send(script, place, args, 0);
  }

  private async send(
    script: Script,
    place: Place,
    args: readonly (string | number)[],
    number: number,
  ): Promise<unknown> {
    const { timeoutMs, machine } = this.options;
    const deadline = machine.monotonic() + timeoutMs;
    // the timeout of the first command is that of the call
    for (let isFirst = this.offset !== undefined; ; isFirst = false) {
      const offset = this.offset ?? (await this.measureOffset(place));
      const latest = Math.floor(deadline + offset);
      const framed = script.isTimed
        ? [...args, latest]
        : this.frame(place.prefix, number, latest, args);
      const call = runScript(this.redis, script, place.keys, framed);
      const reply = (await (isFirst
        ? call
        : until(machine, deadline, call))) as ScriptReply;
      const time = typeof reply === "number" ? reply : reply[0];
      this.read(Math.abs(time));
      if (typeof reply !== "number") return reply[1];
      if (time > 0) return 1;
      // the offset was too low, e.g. because this process was suspended: measure again, and keep the number
      if (machine.monotonic() >= deadline) throw commandTimedOut();
    }
  }

  /** The arguments of a script of `frame`. */
  private frame(
    prefix: string,
    number: number,
    latest: number,
    args: readonly (string | number)[],
  ): (string | number)[] {
    const generation = Math.floor(number / CALLS_PER_NAME);
    const first = generation * CALLS_PER_NAME;
    return [
      prefix,
      number === 0 ? "" : `${this.caller}:${generation}`,
      number - first,
      this.lowest(number) - first,
      latest,
      2 * this.options.timeoutMs,
      ...args,
    ];
  }

  private async measureOffset(place: Place): Promise<number> {
    const time = await this.measure(place);
    return this.offset ?? this.read(time);
  }

  private read(time: number): number {
    this.offset = time - this.options.machine.monotonic();
    return this.offset;
  }

  private lowest(number: number): number {
    for (const first of this.waiting) return first;
    return number;
  }
}

/** The outcome of `call`, or a rejection after the deadline. */
function until<Result>(
  machine: Machine,
  deadline: number,
  call: Promise<Result>,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    const ms = Math.max(deadline - machine.monotonic(), 1);
    const giveUp = () => reject(commandTimedOut());
    // a reply may have arrived already: after a pause of this process, timers fire before received data
    const timer = machine.after(ms, () => machine.soon(giveUp));
    call.then(resolve, reject).finally(() => timer.cancel());
  });
}

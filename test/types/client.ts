/** What the types of `createClient` are. Checked by `npm run lint`, never run. */
import { z } from "zod";
import {
  createClient,
  createHttpClient,
  type ActionError,
} from "../../src/client/node";
import {
  Action,
  defineAction,
  file,
  withFiles,
  type ActionSignature,
} from "../../src/index";
import type { Equal, Expect } from "./expect";

interface Actions {
  "user:show": {
    params: { id: number; with?: string };
    response: { name: string };
  };
  "user:show@2": { params: { id: string }; response: { names: string[] } };
  "user:admin:list": { params: object; response: string[] };
  user: { params: object; response: boolean };
  ping: { params: { at?: number }; response: { ok: true } };
}

interface Rooms {
  news: { title: string };
}

export async function typedCalls(signal: AbortSignal) {
  const api = createClient<Actions, Rooms>({ url: "" });
  const shown = await api.call("user:show", { id: 1 }, { signal });
  const nested = await api.user.show({ id: 1, with: "all" });
  const second = await api.call("user:show@2", { id: "a" });
  const list = await api.user.admin.list();
  const both = await api.user();
  const ping = await api.ping();

  // @ts-expect-error -- id is missing
  await api.call("user:show");
  // @ts-expect-error -- id is a number
  await api.user.show({ id: "1" });
  // @ts-expect-error -- there is no such action
  await api.call("user:delete", {});
  // @ts-expect-error -- nor such a name
  await api.nobody();
  // @ts-expect-error -- the message has a title
  await api.rooms.say("news", { text: "x" });
  // @ts-expect-error -- there is no such room
  await api.rooms.join("others");
  api.rooms.on("news", ({ message }) => message.title.toUpperCase());

  const http = createHttpClient<Actions>({ url: "" });
  await http.ping({ at: 1 });
  // @ts-expect-error -- over HTTP there are no rooms
  await http.rooms.join("news");

  const any = createClient({ url: "" });
  const answer = await any.call("whatever", { it: "takes" });
  const path = (error: ActionError): string => error.errors[0].path;
  return { shown, nested, second, list, both, ping, answer, path };
}

export type Checks = [
  Expect<
    Equal<
      Omit<Awaited<ReturnType<typeof typedCalls>>, "path">,
      {
        shown: { name: string };
        nested: { name: string };
        second: { names: string[] };
        list: string[];
        both: boolean;
        ping: { ok: true };
        answer: any;
      }
    >
  >,
];

const picture = file({ required: true });
const more = file({ maxFiles: 2 });
const schema = z.object({ title: z.string() });

export class SchemaWithFiles extends Action {
  override name = "schemaWithFiles";
  override description = "files beside a schema";
  override inputs = withFiles(schema, { picture, more });
  override async run() {}
}

export class TableWithFiles extends Action {
  override name = "tableWithFiles";
  override description = "files in a table";
  override inputs = { title: { required: true as const }, picture, more };
  override async run() {}
}

export const definedWithFiles = defineAction({
  name: "definedWithFiles",
  description: "files beside a schema, without a class",
  inputs: withFiles(schema, { picture, more }),
  run: ({ params }) => ({ size: params.picture.size }),
});

/** Files are params of callers, however the action declares them. */
export async function uploads(blob: Blob, stream: AsyncIterable<Uint8Array>) {
  const api = createClient<{
    schema: ActionSignature<typeof SchemaWithFiles>;
    table: ActionSignature<typeof TableWithFiles>;
    defined: ActionSignature<typeof definedWithFiles>;
  }>({ url: "" });
  for (const call of [api.schema, api.table, api.defined]) {
    await call({ title: "me", picture: blob });
    await call({ title: "me", picture: { stream, name: "a" }, more: [blob] });
    // @ts-expect-error -- the picture is missing
    await call({ title: "me" });
    // @ts-expect-error -- a text is no file
    await call({ title: "me", picture: "a.png" });
    // @ts-expect-error -- more is a list
    await call({ title: "me", picture: blob, more: blob });
    // @ts-expect-error -- the title is missing
    await call({ picture: blob });
  }
}

export const odd = defineAction({
  name: "odd",
  run: () => ({
    map: new Map([["a", 1]]),
    set: [new Set([1])],
    pattern: /a/,
    call: () => 1,
    sign: Symbol("a"),
    error: new TypeError("x"),
    bytes: new Uint8Array(1),
    at: new Date(),
  }),
});

/** Values as JSON has them. */
export function jsonOfOddValues(
  response: ActionSignature<typeof odd>["response"],
) {
  const checks: [
    Expect<Equal<typeof response.set, object[]>>,
    Expect<Equal<typeof response.pattern, object>>,
    Expect<Equal<typeof response.call, undefined>>,
    Expect<Equal<typeof response.sign, undefined>>,
    Expect<Equal<typeof response.error, string>>,
    Expect<Equal<typeof response.bytes, Record<number, number>>>,
    Expect<Equal<typeof response.at, string>>,
  ] = [true, true, true, true, true, true, true];
  // @ts-expect-error -- a Map arrives as an empty object
  const size: number = response.map.size;
  return [checks, size];
}

interface LanguageNames {
  "then:x": { params: object; response: number };
  "user:then": { params: object; response: number };
  "user:toString": { params: object; response: number };
}

export async function namesOfTheLanguage() {
  const api = createClient<LanguageNames>({ url: "" });
  await api.call("then:x");
  // @ts-expect-error -- a client is no promise
  await api.then.x();
  // @ts-expect-error -- nor are its branches
  await api.user.then();
}

/** As supabase writes it. */
type Json =
  | string
  | number
  | boolean
  | null
  | { [key: string]: Json | undefined }
  | Json[];
/** As prisma writes it. */
type JsonValue = string | number | boolean | JsonObject | JsonArray | null;
type JsonObject = { [key in string]?: JsonValue };
interface JsonArray extends Array<JsonValue> {
  [index: number]: JsonValue;
}

export const jsonByZod = defineAction({
  name: "jsonByZod",
  output: z.object({ meta: z.json(), at: z.iso.date() }),
  run: () => ({ meta: { a: [1] }, at: "2026-11-28" }),
});
const given: unknown = ["a"];
export const jsonOfTypes = defineAction({
  name: "jsonOfTypes",
  run: () => ({
    supabase: given as Json,
    prisma: given as JsonValue,
    nested: given as string | (string | Date)[],
  }),
});

/** Types of JSON that refer to themselves stay as they are. */
export async function recursiveJson() {
  const api = createClient<{
    zod: ActionSignature<typeof jsonByZod>;
    types: ActionSignature<typeof jsonOfTypes>;
  }>({ url: "" });
  const zod = await api.zod();
  const types = await api.types();
  const checks: [
    Expect<Equal<typeof zod.meta, z.core.util.JSONType>>,
    Expect<Equal<typeof types.supabase, Json>>,
    Expect<Equal<typeof types.prisma, JsonValue>>,
    Expect<Equal<typeof types.nested, string | string[]>>,
  ] = [true, true, true, true];
  return { checks, zod, types };
}

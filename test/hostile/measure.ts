/**
 * Runs in a process of its own with `--expose-gc`: how much memory V8 takes for bodies and queries, and what the server
 * expects of them. Texts come as JSON on stdin; a `~` in them is another sign in each copy, so that no two copies share names.
 */
import { getHeapStatistics } from "node:v8";
import { parseParamPair } from "../../src/connection/verbs";
import { noteTextParam } from "../../src/input/field";
import { detached } from "../../src/server/socket/client";
import { decodeForm, nestFields, parseForm } from "../../src/server/web/body";
import {
  Brackets,
  bracketsOf,
  documentBytes,
  paramBytes,
  pairBytes,
  parsedDocumentBytes,
} from "../../src/server/estimates";
import { countPairs, parseQuery } from "../../src/server/web/params";
import { parseBoundedJson } from "../../src/utils/boundedJson";

export type Kind = "json" | "shortJson" | "form" | "query" | "params";

export interface Sample {
  name: string;
  kind: Kind;
  text: string;
}

export interface Measured {
  name: string;
  bytes: number;
  estimated: number;
  real: number;
}

interface Reader {
  estimate: (text: string) => number;
  parse: (text: string) => unknown;
}

const MAX_PARAMS = 100_000;

const formOf = (text: string) =>
  decodeForm(Buffer.from(text), undefined, MAX_PARAMS);

/** As the verb `paramAdd` stores the words of many lines. */
function addParams(text: string): Record<string, unknown> {
  const params: Record<string, unknown> = {};
  for (const word of text.split("&")) {
    const [key, value] = parseParamPair([detached(word)]);
    params[key] = value;
    noteTextParam(params, key);
  }
  return params;
}

const LIMITS = { maxParams: 10_000, maxBodyDepth: 200 };

function parseDocument(text: string): unknown {
  const limits = { maxDepth: 1e9, maxKeys: 1e9, maxItems: 1e9 };
  return parseBoundedJson(text, limits);
}

const READERS: Record<Kind, Reader> = {
  json: {
    estimate: (text) => documentBytes(Buffer.from(text)),
    parse: (text) => JSON.parse(text) as unknown,
  },
  shortJson: {
    estimate: (text) =>
      parsedDocumentBytes(Buffer.from(text), parseDocument(text)),
    parse: parseDocument,
  },
  form: {
    estimate: (text) => {
      const form = formOf(text);
      const brackets = new Brackets(LIMITS);
      for (const [name, values] of parseForm(form))
        for (const value of values) brackets.add(name, value);
      return pairBytes(form.pairs, form.text) + brackets.bytes;
    },
    parse: (text) => {
      const fields = parseForm(formOf(text));
      return nestFields(fields, false, LIMITS);
    },
  },
  query: {
    estimate: (text) =>
      pairBytes(countPairs(text), text) + bracketsOf(text, LIMITS).bytes,
    parse: (text) => parseQuery(text, LIMITS),
  },
  params: {
    estimate: (text) => {
      const params = addParams(text);
      return Object.keys(params).reduce(
        (bytes, key) => bytes + paramBytes(params, key),
        0,
      );
    },
    parse: addParams,
  },
};

const COPIES = 6;
const SIGNS = "ABCDEFGHIJ";

/** A text of one byte a character where it can be, as from a socket, that no other shares memory with. */
function copyOf(text: string, copy: number): string {
  return Buffer.from(text.replaceAll("~", SIGNS[copy])).toString();
}

function usedBytes(): number {
  for (let i = 0; i < 3; i++) gc!();
  const { used_heap_size, malloced_memory } = getHeapStatistics();
  return used_heap_size + malloced_memory;
}

/** V8 compiles code, and drops some, while it is measured. */
const ROUNDS = 5;

function measure({ name, kind, text }: Sample): Measured {
  const { estimate, parse } = READERS[kind];
  const estimated = estimate(copyOf(text, 0));
  const rounds = [realBytes(text, parse)];
  const isSurprising = rounds[0] > estimated || rounds[0] < estimated / 10;
  while (isSurprising && rounds.length < ROUNDS)
    rounds.push(realBytes(text, parse));
  const real = rounds.sort((a, b) => a - b)[rounds.length >> 1];
  return { name, bytes: Buffer.byteLength(text), estimated, real };
}

function realBytes(text: string, parse: Reader["parse"]): number {
  // once, so that the code is compiled; the last text also stays in a register
  parse(copyOf(text, COPIES));
  const parsed: unknown[] = [];
  const before = usedBytes();
  for (let i = 0; i < COPIES; i++) parsed.push(parse(copyOf(text, i)));
  return Math.round((usedBytes() - before) / parsed.length);
}

let input = "";
process.stdin.on("data", (chunk) => (input += String(chunk)));
process.stdin.on("end", () => {
  const samples = JSON.parse(input) as Sample[];
  process.stdout.write(JSON.stringify(samples.map(measure)));
});

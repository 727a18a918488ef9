/** The default headers, ready to be written: built once, and again when one of their settings changed. */
import { isUnchanged, snapshotOf, type Snapshot } from "../../utils/remembered";
import type { Cors } from "../cors";
import {
  addRequestId,
  defaultPairs,
  getFlat,
  makePrivate,
  mergeHeaders,
  type FlatHeaders,
  type HeaderPolicy,
  type HeaderSettings,
} from "./headers";

interface Prepared {
  nosniff: boolean | undefined;
  cors: Cors | undefined;
  sources: readonly Snapshot[];
  alone: FlatHeaders;
  besideCookie: FlatHeaders;
  /** The lines of both; undefined where node has to see a header. */
  block: string | undefined;
  blockBesideCookie: string | undefined;
}

/** The additions of a request to the default headers. */
export interface OwnHeaders {
  setCookie: string | undefined;
  requestId: string | undefined;
}

/** For clients without TLS, and for those with it. */
const prepared: [Prepared | undefined, Prepared | undefined] = [
  undefined,
  undefined,
];

/** Node acts on these itself, when it sees them, or writes them in its own way. */
const SEEN_BY_NODE = [
  "connection",
  "content-disposition",
  "content-length",
  "date",
  "expect",
  "keep-alive",
  "trailer",
  "transfer-encoding",
  "upgrade",
];

/** The headers in two parts: lines that are ready to be written, and a list that the caller may change. */
export interface BlockedHeaders {
  block: string;
  others: FlatHeaders;
}

/**
 * The same headers as `preparedHeaders`, most of them in one text: node would check and join them one by one for each
 * response, a twentieth of a request (bench/http.ts).
 * @returns undefined where one of the settings needs the list
 */
export function preparedBlock(
  settings: HeaderSettings,
  { setCookie, requestId }: OwnHeaders,
  policy?: HeaderPolicy,
): BlockedHeaders | undefined {
  const ready = prepare(settings, policy);
  const hasCookie = setCookie !== undefined;
  const block = hasCookie ? ready.blockBesideCookie : ready.block;
  if (block === undefined) return undefined;
  const others: FlatHeaders = hasCookie ? ["set-cookie", setCookie] : [];
  if (
    requestId !== undefined &&
    getFlat(ready.alone, "x-request-id") === undefined
  )
    others.push("x-request-id", requestId);
  return { block, others };
}

/** @param flat headers that are valid */
function blockOf(flat: FlatHeaders): string | undefined {
  let block = "";
  for (let i = 0; i < flat.length; i += 2) {
    const name = flat[i]!;
    if (SEEN_BY_NODE.includes(name)) return undefined;
    block += `${name}: ${flat[i + 1]!}\r\n`;
  }
  // read once, a text that was put together becomes one of a piece
  return Buffer.from(block, "latin1").toString("latin1");
}

/** The headers as a list that the caller may change. */
export function preparedHeaders(
  settings: HeaderSettings,
  { setCookie, requestId }: OwnHeaders,
  policy?: HeaderPolicy,
): FlatHeaders {
  const { alone, besideCookie } = prepare(settings, policy);
  const head =
    setCookie === undefined
      ? alone.slice()
      : ["set-cookie", setCookie, ...besideCookie];
  addRequestId(head, requestId);
  return head;
}

function prepare(settings: HeaderSettings, policy?: HeaderPolicy): Prepared {
  const slot = policy?.isTls === true ? 1 : 0;
  const known = prepared[slot];
  if (known && isCurrent(known, settings, policy)) return known;
  const { httpHeaders, nosniff } = settings;
  const { headers, tlsHeaders } = policy?.security ?? {};
  const flat = mergeHeaders(defaultPairs(settings, undefined, policy));
  const besideCookie = flat.slice();
  makePrivate(besideCookie);
  return (prepared[slot] = {
    nosniff,
    cors: policy?.cors,
    sources: [httpHeaders, headers, tlsHeaders].map(snapshotOf),
    alone: flat,
    besideCookie,
    block: blockOf(flat),
    blockBesideCookie: blockOf(besideCookie),
  });
}

function isCurrent(
  { nosniff, cors, sources }: Prepared,
  settings: HeaderSettings,
  policy: HeaderPolicy | undefined,
): boolean {
  const [own, security, tls] = sources;
  return (
    nosniff === settings.nosniff &&
    cors === policy?.cors &&
    isUnchanged(own!, settings.httpHeaders) &&
    isUnchanged(security!, policy?.security?.headers) &&
    isUnchanged(tls!, policy?.security?.tlsHeaders)
  );
}

/** The default headers, ready to be written: built once, and again when one of their settings changed. */
import { validateHeaderValue } from "node:http";
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

/** The record of a setting, with its names and values in turn, to notice a change in place. */
interface Snapshot {
  record: Record<string, unknown> | undefined;
  values: unknown[];
}

/** One list of headers, and its text; undefined when it holds a header that decides how the response is framed. */
interface Ready {
  flat: FlatHeaders;
  lines: string | undefined;
}

interface Prepared {
  nosniff: boolean | undefined;
  cors: Cors | undefined;
  sources: readonly Snapshot[];
  alone: Ready;
  besideCookie: Ready;
}

/** What a request adds to the default headers. */
export interface OwnHeaders {
  setCookie: string | undefined;
  requestId: string | undefined;
}

/** Node reads these, and adds others or ends the connection because of them. */
const FRAMING = [
  "connection",
  "content-length",
  "date",
  "expect",
  "keep-alive",
  "transfer-encoding",
];

/** For clients without TLS, and for those with it. */
const prepared: [Prepared | undefined, Prepared | undefined] = [
  undefined,
  undefined,
];

/** The headers as a list that the caller may change. */
export function preparedHeaders(
  settings: HeaderSettings,
  { setCookie, requestId }: OwnHeaders,
  policy?: HeaderPolicy,
): FlatHeaders {
  const { alone, besideCookie } = prepare(settings, policy);
  const head =
    setCookie === undefined
      ? alone.flat.slice()
      : ["set-cookie", setCookie, ...besideCookie.flat];
  addRequestId(head, requestId);
  return head;
}

/**
 * The same as text: lines with their ends.
 * @returns undefined when node has to be asked what they mean for the connection
 * @throws TypeError for a cookie that is not valid on the wire
 */
export function preparedLines(
  settings: HeaderSettings,
  { setCookie, requestId }: OwnHeaders,
  policy?: HeaderPolicy,
): string | undefined {
  const { alone, besideCookie } = prepare(settings, policy);
  const { flat, lines } = setCookie === undefined ? alone : besideCookie;
  if (lines === undefined) return undefined;
  let text = lines;
  if (setCookie !== undefined) {
    validateHeaderValue("set-cookie", setCookie);
    text = `set-cookie: ${setCookie}\r\n${text}`;
  }
  return requestId === undefined || getFlat(flat, "x-request-id") !== undefined
    ? text
    : `${text}x-request-id: ${requestId}\r\n`;
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
    sources: [httpHeaders, headers, tlsHeaders].map((record) => ({
      record,
      values: Object.entries(record ?? {}).flat(),
    })),
    alone: readyToWrite(flat),
    besideCookie: readyToWrite(besideCookie),
  });
}

function readyToWrite(flat: FlatHeaders): Ready {
  let lines = "";
  for (let i = 0; i < flat.length; i += 2) {
    if (FRAMING.includes(flat[i]!)) return { flat, lines: undefined };
    lines += `${flat[i]}: ${flat[i + 1]}\r\n`;
  }
  return { flat, lines };
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

/** Configurations are changed in place, by tests above all. */
function isUnchanged(
  { record, values }: Snapshot,
  now: Record<string, unknown> | undefined,
): boolean {
  if (record !== now) return false;
  let i = 0;
  for (const name in now) {
    if (values[i++] !== name || values[i++] !== now[name]) return false;
  }
  return i === values.length;
}

/** The default headers, ready to be written: built once, and again when one of their settings changed. */
import { isUnchanged, snapshotOf, type Snapshot } from "../../utils/remembered";
import type { Cors } from "../cors";
import {
  addRequestId,
  defaultPairs,
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

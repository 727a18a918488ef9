/** What version 3 added to every answer, misspelt as it was: `config.web.legacyEnvelope`. */
import type { RequesterInformation } from "./respond";

/** Add it to a response that is ours to change. */
export function addLegacyEnvelope(
  response: Record<string, unknown>,
  requester: RequesterInformation,
): void {
  const { remoteIP, RequestsRemaining, receivedParams } = requester;
  response.requestorInformation = {
    remoteAddress: remoteIP,
    RequestsRemaining, // left out by JSON when nobody counts
    recievedParams: receivedParams,
  };
  response.error ??= "OK";
}

/** What `strictHttp` asks of URLs that name a file, before the file is sent: the method, and the slash of folders. */
import { answerFileError } from "./errorPage";
import { allowHeader, FILE_METHODS } from "./methods";
import type { WebRequest } from "./webRequest";
import { writeBody } from "./write";

/**
 * Answer a request for a file that exists, but not for this method or under this path.
 * @param isIndex the file is the index of a folder that the path names
 * @returns undefined when the file is to be sent
 */
export function refuseFileRequest(
  request: WebRequest,
  isIndex: boolean,
): Promise<void> | undefined {
  const { config, target, method, connection } = request;
  // what an action sends has its own URL
  if (!config.strictHttp || target.mode !== "file") return undefined;
  const isRead = method === "GET" || method === "HEAD";
  if (!isRead && connection?.matchedRoute?.dir === undefined)
    return refuseMethod(request);
  if (isRead && isIndex && !target.pathname.endsWith("/"))
    return redirectToFolder(request);
  return undefined;
}

/** Whether the URL names a folder, but there is a file: relative links in it would be meant from within a folder. */
export function isFileAsFolder(
  { config, target }: WebRequest,
  isIndex: boolean,
): boolean {
  return (
    config.strictHttp &&
    target.mode === "file" &&
    !isIndex &&
    target.pathname.endsWith("/")
  );
}

/** RFC 9110 section 15.5.6. */
async function refuseMethod(request: WebRequest): Promise<void> {
  request.responseHeaders.push(["Allow", allowHeader(FILE_METHODS)]);
  const refusal = {
    status: 405,
    text: "files are only for GET and HEAD",
    type: "text/plain; charset=utf-8",
  };
  await answerFileError(request, refusal);
}

/** Relative links in the index of a folder are meant from within the folder. */
async function redirectToFolder(request: WebRequest): Promise<void> {
  const { pathname, search } = request.target;
  // `//host/` would lead to another site
  const location = `/${pathname.replace(/^\/+/, "")}/${search}`;
  request.responseHttpCode = 301;
  request.responseHeaders.push(
    ["Location", location],
    ["Content-Type", "text/plain; charset=utf-8"],
  );
  await writeBody(request, "");
}

/** Error responses to requests for files: an HTML page for browsers (`config.web.errorPages`), otherwise a short text. */
import { STATUS_CODES } from "node:http";
import { qualitiesOf } from "./compression";
import { prefixParts } from "./target";
import type { WebRequest } from "./webRequest";
import { writeBody } from "./write";

const PAGE_TYPE = "text/html; charset=utf-8";

interface FileError {
  status: number;
  text: string;
  /** The content type of the text. */
  type: string;
}

/**
 * Respond with an error in place of a file.
 * @throws TypeError when a header of the project is not valid
 */
export async function respondWithFileError(
  request: WebRequest,
  { status, text, type }: FileError,
): Promise<void> {
  const { config, req, responseHeaders } = request;
  request.responseHttpCode = status;
  if (!config.errorPages) {
    responseHeaders.push(["Content-Type", type]);
    return writeBody(request, text);
  }
  responseHeaders.push(["Vary", "Accept"]);
  const isPage = prefersHtml(req.headers.accept);
  responseHeaders.push(["Content-Type", isPage ? PAGE_TYPE : type]);
  const body = isPage ? pageOf(status, text, config.urlPathForFiles) : text;
  await writeBody(request, body);
}

/** Whether `text/html` has the highest q-value; of equal types the first one counts. */
function prefersHtml(accept: string | undefined): boolean {
  let best = "";
  let bestQuality = 0;
  for (const [type, quality] of qualitiesOf(accept ?? "")) {
    if (quality <= bestQuality) continue;
    best = type;
    bestQuality = quality;
  }
  return best === "text/html";
}

/** A page without scripts. It loads the style sheet of the pages in `public`, and is readable without it. */
function pageOf(
  status: number,
  text: string,
  prefix: string | null | undefined,
): string {
  const title = `${status} ${STATUS_CODES[status] ?? "Error"}`;
  const parts = prefixParts(prefix) ?? [];
  const files = parts.map((part) => `/${encodeURIComponent(part)}`).join("");
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <meta name="color-scheme" content="light dark" />
    <title>${title}</title>
    <link rel="icon" href="${files}/favicon.svg" type="image/svg+xml" />
    <link rel="stylesheet" href="${files}/css/actionhero.css" />
  </head>
  <body>
    <main>
      <h1>${title}</h1>
      <p>${escapeHtml(text)}</p>
      <p><a href="/">To the start page</a></p>
    </main>
  </body>
</html>
`;
}

// --- Texts in HTML.

const ENTITIES: Record<string, string> = {
  "&": "&amp;",
  '"': "&quot;",
  "'": "&#39;",
  "<": "&lt;",
  ">": "&gt;",
};

/** The text for an element or an attribute in quotes. */
export function escapeHtml(text: string): string {
  return text.replace(/[&"'<>]/g, (character) => ENTITIES[character]!);
}

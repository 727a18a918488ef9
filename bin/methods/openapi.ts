import * as fs from "node:fs";
import * as path from "node:path";
import { CLI } from "../../src/cli/cli";
import { warningOfStaleBuild } from "../../src/cli/execute";
import { jsonObject } from "../../src/cli/runner";

interface Params {
  out?: string;
  check?: string;
  asyncapi?: boolean;
}

export class OpenApi extends CLI {
  static readonly printsData = true;
  static readonly withoutRedis = true;

  constructor() {
    super();
    this.name = "openapi";
    this.description =
      "describe the API as an OpenAPI 3.1 document, or check it against an older one";
    this.example = "actionhero openapi --out=openapi.json";
    this.inputs = {
      out: {
        letter: "o",
        requiredValue: true,
        description: "the file to write (default: print it)",
      },
      check: {
        letter: "c",
        requiredValue: true,
        description:
          "an older document: print what breaks its clients, and fail if anything does",
      },
      asyncapi: {
        flag: true,
        letter: "a",
        description:
          "describe the messages of websockets and TCP instead, as an AsyncAPI 3.0 document",
      },
    };
  }

  async run({ params: { out, check, asyncapi } }: { params: Params }) {
    if (asyncapi && check !== undefined)
      throw new Error("--check compares OpenAPI documents only");
    if (check !== undefined) refuseOldBuild();
    // loaded here, because loading it is what builds the configuration
    const { describeApi } =
      require("../../src/server/web/openapi") as typeof import("../../src/server/web/openapi");
    const { breakingChanges } =
      require("../../src/server/web/openapiChanges") as typeof import("../../src/server/web/openapiChanges");
    const { describeMessages } =
      require("../../src/server/web/openapi") as typeof import("../../src/server/web/openapi");
    const document = asyncapi ? describeMessages() : describeApi();
    if (check !== undefined) {
      const changes = breakingChanges(readBaseline(check), describeApi(true));
      for (const change of changes) console.log(change);
      if (changes.length > 0) process.exitCode = 1;
    }
    const text = JSON.stringify(document, null, 2);
    if (out !== undefined) {
      fs.mkdirSync(path.dirname(path.resolve(out)), { recursive: true });
      fs.writeFileSync(out, `${text}\n`);
    } else if (check === undefined) console.log(text);
    return true;
  }
}

/** @throws Error if the compiled code is not that of the sources: its document would not show what breaks */
function refuseOldBuild(): void {
  // the command has printed the reason as a warning
  if (warningOfStaleBuild())
    throw new Error("--check describes the compiled code, which is old");
}

/** @throws Error if the file is not an OpenAPI document: a check against anything else would always succeed */
function readBaseline(file: string): Record<string, unknown> {
  const text = fs.readFileSync(file, "utf8");
  try {
    const document = jsonObject(text);
    const { openapi, paths } = document;
    if (typeof openapi === "string" && typeof paths === "object" && paths)
      return document;
  } catch {
    // no JSON: refused like any other file
  }
  throw new Error(`${file} is not an OpenAPI 3 document`);
}

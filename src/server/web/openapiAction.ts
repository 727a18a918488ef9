/** `GET /api/openapi.json`, with `config.web.openapi`. */
import { Action } from "../../action/action";
import type { ActionProcessor } from "../../action/actionProcessor";
import { addAction } from "../../action/registry";
import { api } from "../../api";
import { settings } from "../../config/settings";
import { HttpError } from "../../errors";
import { describeApi } from "./openapi";

const NAME = "openapi";
const JSON_TYPE = "application/json; charset=utf-8";

class OpenApi extends Action {
  override name = NAME;
  override description = "Describes this API as an OpenAPI 3.1 document";
  override toDocument = false;
  readonly httpMethods = ["get"];
  readonly route = "get /openapi.json";

  /** Over HTTP the document alone, without the metadata of responses. */
  async run(data: ActionProcessor): Promise<object | undefined> {
    if (!settings().general.introspection)
      throw new HttpError(404, "this server does not describe its API");
    const document = describeApi();
    const { connection } = data;
    if (connection.type !== "web") return document;
    data.toRender = false;
    await connection.pipe!(JSON.stringify(document), {
      "Content-Type": JSON_TYPE,
    });
    return undefined;
  }
}

/** Before the routes are loaded; an action of the project that has this name stays. */
export function addOpenApi(): void {
  const { openapi } = settings().web;
  if (!openapi || Object.hasOwn(api.actions.actions, NAME)) return;
  addAction(new OpenApi(), "web.openapi");
}

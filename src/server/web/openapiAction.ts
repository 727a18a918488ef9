/** `GET /api/openapi.json` and `GET /api/asyncapi.json`, with `config.web.openapi`. */
import { Action } from "../../action/action";
import type { ActionProcessor } from "../../action/actionProcessor";
import { addAction } from "../../action/registry";
import { api } from "../../api";
import { settings } from "../../config/settings";
import { HttpError } from "../../errors";
import { describeMessages } from "./asyncapi";
import { describeApi } from "./openapi";

const JSON_TYPE = "application/json; charset=utf-8";

abstract class ApiDocument extends Action {
  override toDocument = false;
  readonly httpMethods = ["get"];

  protected abstract describe(): object;

  /** Over HTTP the document alone, without the metadata of responses. */
  async run(data: ActionProcessor): Promise<object | undefined> {
    if (!settings().general.introspection)
      throw new HttpError(404, "this server does not describe its API");
    const document = this.describe();
    const { connection } = data;
    if (connection.type !== "web") return document;
    data.toRender = false;
    await connection.pipe!(JSON.stringify(document), {
      "Content-Type": JSON_TYPE,
    });
    return undefined;
  }
}

class OpenApi extends ApiDocument {
  override name = "openapi";
  override description = "Describes this API as an OpenAPI 3.1 document";
  readonly route = "get /openapi.json";

  protected describe(): object {
    return describeApi();
  }
}

class AsyncApi extends ApiDocument {
  override name = "asyncapi";
  override description =
    "Describes the messages of websockets and TCP as an AsyncAPI 3.0 document";
  readonly route = "get /asyncapi.json";

  protected describe(): object {
    return describeMessages();
  }
}

/** Before the routes are loaded; actions of the project that have these names stay. */
export function addOpenApi(): void {
  if (!settings().web.openapi) return;
  for (const action of [new OpenApi(), new AsyncApi()])
    if (!Object.hasOwn(api.actions.actions, action.name))
      addAction(action, "web.openapi");
}

/** Describes the actions and their routes as an OpenAPI 3.1 document. */
import type { Action } from "../../action/action";
import { latestVersion } from "../../action/registry";
import { api } from "../../api";
import { settings } from "../../config/settings";
import { tableOf } from "../../input/schemaPlan";
import { requestMethods, takesMethod } from "../../route/httpMethods";
import { routeSource } from "../../route/tables";
import type { RouteType } from "../../route/types";
import {
  describeInputs,
  ERROR,
  IDEMPOTENCY_KEY,
  outputSchema,
  projectInfo,
  type Components,
} from "./apiSchemas";

interface Operation {
  operationId: string;
  summary: string;
  tags: string[];
  parameters: object[];
  requestBody?: object;
  responses: Record<string, object>;
}

interface Document extends Components {
  operationIds: Set<string>;
}

const METHODS_WITH_BODY = ["post", "put", "patch"];

/** The document of the current routes. */
export function describeApi(): Record<string, unknown> {
  const document: Document = {
    schemas: { Error: ERROR },
    operationIds: new Set(),
  };
  const paths: Record<string, Record<string, Operation>> = {};
  const routed = actionsWithRoutes();
  for (const method of requestMethods) {
    for (const route of api.routes.routes[method] ?? []) {
      if (routeSource(route) === "automatic" && routed.has(route.action))
        continue;
      const action = actionOf(route, method);
      if (!action) continue;
      const { template, variables } = describePath(route);
      const operations = (paths[template] ??= {});
      // the first match handles a request; GET also handles HEAD
      operations[method] ??= operationOf(action, method, variables, document);
    }
  }
  const { securitySchemes, security = [], info } = settings().web.openapi ?? {};
  return {
    openapi: "3.1.0",
    info: { ...projectInfo(), ...info },
    servers: [{ url: serverUrl() }],
    security,
    paths,
    components: {
      schemas: document.schemas,
      ...(securitySchemes && { securitySchemes }),
    },
  };
}

/** Actions with their own path: their automatic routes are not shown. */
function actionsWithRoutes(): Set<string> {
  const names = new Set<string>();
  for (const method of requestMethods)
    for (const route of api.routes.routes[method] ?? [])
      if (routeSource(route) !== "automatic") names.add(route.action);
  return names;
}

/** The version of the route, else the default version. */
function actionOf(route: RouteType, method: string): Action | undefined {
  const { actions } = api.actions;
  const { action: name, dir, apiVersion } = route;
  if (dir || !Object.hasOwn(actions, name)) return undefined;
  const version = apiVersion ?? latestVersion(name) ?? 1;
  const action = actions[name]![version];
  if (!action || action.toDocument === false) return undefined;
  return takesMethod(action, method) || routeSource(route) !== "automatic"
    ? action
    : undefined;
}

/** `/v:apiVersion/users/:id(^\d+$)` is `/v{apiVersion}/users/{id}`. */
function describePath({ path: pattern, literal }: RouteType) {
  const variables: string[] = [];
  if (literal) return { template: pattern, variables };
  const parts = pattern.split("/").map((part) =>
    part.replace(/:(\w+)(\(.*\))?$/, (_match, name: string) => {
      variables.push(name);
      return `{${name}}`;
    }),
  );
  return { template: parts.join("/") || "/", variables };
}

function operationOf(
  action: Action,
  method: string,
  variables: string[],
  document: Document,
): Operation {
  const { name, description } = action;
  const { properties, required } = describeInputs(action, document);
  const hasBody = METHODS_WITH_BODY.includes(method);
  const others = [...properties.keys()].filter(
    (key) => !variables.includes(key),
  );
  const parameters: object[] = variables.map((variable) => ({
    name: variable,
    in: "path",
    required: true,
    schema: properties.get(variable) ?? { type: "string" },
  }));
  if (!hasBody)
    for (const key of others)
      parameters.push({
        name: key,
        in: "query",
        required: required.has(key),
        schema: properties.get(key),
      });
  if (action.idempotent)
    parameters.push({
      name: "Idempotency-Key",
      in: "header",
      required: false,
      schema: IDEMPOTENCY_KEY,
    });
  const operation: Operation = {
    operationId: operationId(name, method, document),
    summary: description,
    tags: [name.replace(/:.*/, "")],
    parameters,
    responses: {
      200: describeResponse(action, document),
      default: {
        description: "What went wrong",
        content: jsonContent({ $ref: "#/components/schemas/Error" }),
      },
    },
  };
  if (hasBody && others.length > 0) {
    const isRequired = others.filter((key) => required.has(key));
    const schema = {
      type: "object",
      properties: Object.fromEntries(
        others.map((key) => [key, properties.get(key)]),
      ),
      required: isRequired,
    };
    const hasFiles = Object.values(tableOf(action.inputs)).some(
      ({ file }) => file !== undefined,
    );
    operation.requestBody = {
      required: isRequired.length > 0,
      content: hasFiles
        ? { "multipart/form-data": { schema } }
        : jsonContent(schema),
    };
  }
  return operation;
}

function jsonContent(schema: object, example?: unknown) {
  return {
    "application/json":
      example === undefined ? { schema } : { schema, example },
  };
}

function operationId(name: string, method: string, { operationIds }: Document) {
  let id = name;
  if (operationIds.has(id)) id = `${name}.${method}`;
  for (let count = 2; operationIds.has(id); count++)
    id = `${name}.${method}.${count}`;
  operationIds.add(id);
  return id;
}

function describeResponse(action: Action, document: Document): object {
  const { outputExample } = action as { outputExample?: object };
  const hasExample = Object.keys(outputExample ?? {}).length > 0;
  return {
    description: "The response",
    content: jsonContent(
      outputSchema(action, document),
      hasExample ? outputExample : undefined,
    ),
  };
}

function serverUrl(): string {
  const { urlPathForActions, allowedRequestHosts } = settings().web;
  const prefix = `/${urlPathForActions ?? ""}`.replace(/\/{2,}/g, "/");
  return `${allowedRequestHosts[0] ?? ""}${prefix}`;
}

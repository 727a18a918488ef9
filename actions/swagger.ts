import * as fs from "fs";
import * as path from "path";
import {
  Action,
  api,
  config,
  HttpError,
  inputTable,
  projectRoot,
} from "../src";

const RESPONSES = {
  200: { description: "successful operation" },
  400: { description: "Invalid input" },
  404: { description: "Not Found" },
  422: { description: "Missing or invalid params" },
  500: { description: "Server error" },
};

interface Parameter {
  in: "path" | "query" | "formData";
  name: string;
  type: "string" | "file";
  required: boolean;
  default?: string | number | boolean | undefined;
}

export interface Operation {
  tags: string[];
  summary: string;
  consumes: string[];
  produces: string[];
  parameters: Parameter[];
  responses: typeof RESPONSES;
  security: string[];
}

export class Swagger extends Action {
  constructor() {
    super();
    this.name = "swagger";
    this.description = "Describes this API as a Swagger 2.0 document";
    this.outputExample = {};
  }

  async run() {
    if (config.general.introspection === false)
      throw new HttpError(404, "this server does not describe its API");

    const { name, description, version, license } = readProject();
    const { urlPathForActions, allowedRequestHosts, port, openapi } =
      config.web;
    const allowedHost: string | undefined = allowedRequestHosts?.[0];
    const basePath = `/${urlPathForActions ?? ""}/`.replace(/\/{2,}/g, "/");
    return {
      swagger: "2.0",
      info: { description, version, title: name, license: { name: license } },
      host: allowedHost?.replace(/^https?:\/\//, "") ?? `localhost:${port}`,
      basePath,
      schemes: allowedHost ? ["https", "http"] : ["http"],
      paths: await describeRoutes(),
      securityDefinitions: {},
      externalDocs: {
        description: "About actionhero",
        url: "https://www.actionherojs.com",
      },
      // the page of the API prefers the OpenAPI document
      ...(openapi && { "x-openapi": `${basePath}openapi.json` }),
    };
  }
}

function readProject(): Record<string, string> {
  const file = path.join(projectRoot, "package.json");
  return JSON.parse(fs.readFileSync(file, "utf8")) as Record<string, string>;
}

async function describeRoutes() {
  const paths: Record<string, Record<string, Operation>> = {};
  for (const [method, routes] of Object.entries(api.routes.routes)) {
    for (const route of routes) {
      const action = findAction(route.action, route.apiVersion);
      if (!action || action.toDocument === false) continue;
      const described = describePath(route);
      const operations = (paths[described.path] ??= {});
      // the first match wins when a request comes, so it does here
      operations[method] ??= {
        tags: [action.name.replace(/:.*/, "")],
        summary: action.description,
        consumes: [
          hasFiles(action) ? "multipart/form-data" : "application/json",
        ],
        produces: ["application/json"],
        parameters: await describeInputs(action, described.variables),
        responses: RESPONSES,
        security: [],
      };
    }
  }
  return paths;
}

/** The version that the route names, else the one that clients get who name none. */
function findAction(
  name: string,
  apiVersion?: string | number,
): Action | undefined {
  if (!Object.prototype.hasOwnProperty.call(api.actions.actions, name))
    return undefined;
  const versions = api.actions.actions[name] ?? {};
  const wanted = apiVersion ?? api.actions.versions[name]?.slice(-1)[0] ?? 1;
  return versions[wanted] ?? Object.values(versions).pop();
}

/** `/v:apiVersion/users/:id(^\d+$)` is `/users/{id}`. */
function describePath(route: { path: string; literal?: boolean }): {
  path: string;
  variables: string[];
} {
  const variables: string[] = [];
  if (route.literal) return { path: route.path.slice(1), variables };
  const parts = route.path.split("/").filter((part) => part !== "v:apiVersion");
  const described = parts.map((part) =>
    part.replace(/:(\w+)(\(.*\))?/, (_match: string, name: string) => {
      variables.push(name);
      return `{${name}}`;
    }),
  );
  return { path: described.join("/") || "/", variables };
}

function hasFiles({ inputs }: Action): boolean {
  return Object.values(inputTable(inputs)).some(
    ({ file }) => file !== undefined,
  );
}

async function describeInputs(
  action: Action,
  variables: string[],
): Promise<Parameter[]> {
  const parameters: Parameter[] = [];
  const inputs = Object.entries(inputTable(action.inputs));
  inputs.sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [name, input] of inputs) {
    const isInPath = variables.includes(name);
    const isFile = input.file !== undefined;
    parameters.push({
      in: isInPath ? "path" : isFile ? "formData" : "query",
      name,
      type: isFile ? "file" : "string",
      required: isInPath || input.required === true,
      default: await describeDefault(input.default),
    });
  }
  return parameters;
}

async function describeDefault(value: unknown): Promise<Parameter["default"]> {
  try {
    const known: unknown =
      typeof value === "function" ? await (value as () => unknown)() : value;
    if (known === null || known === undefined) return undefined;
    return typeof known === "object"
      ? JSON.stringify(known)
      : (known as Parameter["default"]);
  } catch {
    return undefined; // it depends on the request
  }
}

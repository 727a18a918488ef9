import { api } from "../../../src/api";
import { CLI } from "../../../src/cli/cli";
import { formatTable } from "../../../src/cli/table";
import type { RouteType } from "../../../src";
import { framework } from "../../framework";

interface ListedRoute {
  method: string;
  path: string;
  action: string;
  apiVersion: string;
  source: string;
}

export class RoutesList extends CLI {
  constructor() {
    super();
    this.name = "routes-list";
    this.description = "list the HTTP routes in the order they are matched";
    this.example = "actionhero routes-list --json";
    this.inputs = {
      json: { flag: true, letter: "j", description: "print JSON" },
    };
  }

  async run({ params }: { params: { json?: boolean } }) {
    const routes = Object.entries(api.routes.routes).flatMap(([method, list]) =>
      list.map((route) => describeRoute(method, route)),
    );
    if (params.json) console.log(JSON.stringify(routes, null, 2));
    else console.log(formatTable(routes));
    return true;
  }
}

function describeRoute(method: string, route: RouteType): ListedRoute {
  return {
    method: method.toUpperCase(),
    path: route.path + (route.matchTrailingPathParts ? "/..." : ""),
    action: route.action,
    apiVersion: String(route.apiVersion ?? "latest"),
    source: sourceOf(method, route),
  };
}

/** Who made the route: the configuration, the automatic routes, or code that called `registerRoute`. */
function sourceOf(method: string, route: RouteType): string {
  const { config } = framework();
  const configured = [method, "all"].flatMap(
    (key) => config.routes?.[key as "get"] ?? [],
  );
  if (configured.some((other) => other.path === route.path)) return "config";

  const automatic: string[] = config.web?.automaticRoutes ?? [];
  const isAutomatic =
    automatic.includes(method) &&
    [`/${route.action}`, `/v:apiVersion/${route.action}`].includes(route.path);
  return isAutomatic ? "automatic" : "code";
}

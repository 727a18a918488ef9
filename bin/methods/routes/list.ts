import { api } from "../../../src/api";
import { CLI, formatTable } from "../../../src/cli/cli";
import { routeSource, type RouteSource } from "../../../src/route/tables";
import type { RouteType } from "../../../src";

interface ListedRoute {
  method: string;
  path: string;
  action: string;
  apiVersion: string;
  source: RouteSource;
}

export class RoutesList extends CLI {
  static readonly printsData = true;

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
    source: routeSource(route),
  };
}

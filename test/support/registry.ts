/** A package registry of this machine: it has what was published to it, and sends its clients elsewhere for the rest. */
import { once } from "node:events";
import * as fs from "node:fs";
import * as http from "node:http";
import type { AddressInfo } from "node:net";
import { createHash } from "node:crypto";
import { runOk } from "./runCli";

interface Published {
  manifest: { name: string; version: string };
  tarball: Buffer;
}

export class Registry {
  url = "";
  private readonly published = new Map<string, Published>();
  private readonly server = http.createServer((req, res) =>
    this.answer(req.url!, res),
  );
  /** The registry that npm would ask without this one. */
  private upstream = "";

  async start(): Promise<void> {
    this.upstream = (await runOk("npm", ["config", "get", "registry"])).trim();
    this.server.listen(0, "127.0.0.1");
    await once(this.server, "listening");
    const { port } = this.server.address() as AddressInfo;
    this.url = `http://127.0.0.1:${port}/`;
  }

  /** Settings that make npm ask here, and elsewhere only for what its cache does not have. */
  get env(): Record<string, string> {
    return {
      npm_config_registry: this.url,
      npm_config_replace_registry_host: "never",
      npm_config_prefer_offline: "true",
      npm_config_audit: "false",
      npm_config_fund: "false",
      npm_config_update_notifier: "false",
    };
  }

  /** Take in a package as `npm pack` made it. */
  async publish(tarball: string): Promise<void> {
    const json = await runOk("tar", ["-xzOf", tarball, "package/package.json"]);
    const manifest = JSON.parse(json) as Published["manifest"];
    this.published.set(manifest.name, {
      manifest,
      tarball: fs.readFileSync(tarball),
    });
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, "close");
  }

  private answer(path: string, res: http.ServerResponse): void {
    const [name, rest] = path.slice(1).split("/-/");
    const found = this.published.get(decodeURIComponent(name));
    if (!found) {
      res.writeHead(307, { location: `${this.upstream}${path.slice(1)}` });
      res.end();
      return;
    }
    // of this moment only: the next tarball has the same name
    res.setHeader("cache-control", "no-store");
    if (rest) res.end(found.tarball);
    else res.end(JSON.stringify(this.packument(found)));
  }

  private packument({ manifest, tarball }: Published): object {
    const { name, version } = manifest;
    const digest = createHash("sha512").update(tarball).digest("base64");
    const dist = {
      tarball: `${this.url}${name}/-/${version}.tgz`,
      integrity: `sha512-${digest}`,
    };
    return {
      name,
      "dist-tags": { latest: version },
      versions: { [version]: { ...manifest, dist } },
    };
  }
}

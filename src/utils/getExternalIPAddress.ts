import * as os from "node:os";

/** The last IPv4 address of this machine that is not 127.0.0.1, or null. */
export function getExternalIPAddress(): string | null {
  let found: string | null = null;
  for (const addresses of Object.values(os.networkInterfaces())) {
    for (const { family, address } of addresses ?? []) {
      if (family === "IPv4" && address !== "127.0.0.1") found = address;
    }
  }
  return found;
}

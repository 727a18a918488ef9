const BRACKETED = /\[([0-9a-f:]+(?:%.+)?)]:([0-9]{1,5})/i;

/**
 * Host and port of an IPv6 address, bare (`::1`, then port 80) or bracketed (`[::1]:8080`), also within a URI.
 * @throws Error `failed to parse address` for brackets without a port or with something else inside
 */
export function parseIPv6URI(address: string): { host: string; port: number } {
  if (!address.includes("[") || !address.includes("]"))
    return { host: address, port: 80 };
  const match = BRACKETED.exec(address);
  if (!match) throw new Error("failed to parse address");
  return { host: match[1]!, port: parseInt(match[2]!, 10) };
}

const HOST = /^[0-9a-f:]+(?:%.+)?$/i;
const PORT = /^[0-9]{1,5}/;

/**
 * Host and port of an IPv6 address, bare (`::1`, then port 80) or bracketed (`[::1]:8080`), also within a URI.
 * The brackets are found by search, because a regular expression would take quadratic time for many brackets.
 * @throws Error `failed to parse address` for brackets without a port or with something else inside
 */
export function parseIPv6URI(address: string): { host: string; port: number } {
  if (!address.includes("[") || !address.includes("]"))
    return { host: address, port: 80 };
  const open = address.indexOf("[");
  const close = address.indexOf("]:", open);
  const host = address.slice(open + 1, close);
  const port = PORT.exec(address.slice(close + 2));
  if (close === -1 || !HOST.test(host) || !port)
    throw new Error("failed to parse address");
  return { host, port: parseInt(port[0], 10) };
}

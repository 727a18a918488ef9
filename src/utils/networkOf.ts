import { isIP } from "node:net";

/**
 * Number of 16-bit groups that identify an IPv6 network: a customer usually has a whole /64, with any address in it.
 */
const NETWORK_GROUPS = 4;

const MAPPED = "::ffff:";

/**
 * The part of an address that its user cannot change at will: the whole IPv4 address, or the /64 of an IPv6 address.
 * @returns undefined if it is not an IP address; a port or brackets are ignored
 */
export function networkOf(address: string): string | undefined {
  const bare = bareAddress(address.trim());
  const version = isIP(bare);
  if (version === 4) return bare;
  if (version !== 6) return undefined;
  const groups = groupsOf(bare);
  const isMapped =
    groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (isMapped) return ipv4Of(groups[6]!, groups[7]!);
  const network = groups.slice(0, NETWORK_GROUPS);
  return `${network.map((group) => group.toString(16)).join(":")}::/64`;
}

/** The plain form of an IPv4 address that a dual-stack socket reports as IPv6 (`::ffff:1.2.3.4`). */
export function plainAddress<Address extends string | undefined>(
  address: Address,
): Address {
  if (!address?.startsWith(MAPPED)) return address;
  const ipv4 = address.slice(MAPPED.length);
  return isIP(ipv4) === 4 ? (ipv4 as Address) : address;
}

/** Strips port, brackets and zone from `1.2.3.4:567`, `[::1]:567`, `[::1]` and `fe80::1%eth0`. */
function bareAddress(text: string): string {
  if (text.startsWith("[")) {
    const end = text.indexOf("]");
    return end === -1 ? text : text.slice(1, end);
  }
  const [beforeZone = ""] = text.split("%", 1);
  const parts = beforeZone.split(":");
  return parts.length === 2 ? parts[0]! : beforeZone;
}

/** The eight groups of an IPv6 address. */
function groupsOf(address: string): number[] {
  const [head = "", tail] = address.split("::");
  const before = parseGroups(head);
  if (tail === undefined) return before;
  const after = parseGroups(tail);
  const zeros = new Array<number>(8 - before.length - after.length).fill(0);
  return [...before, ...zeros, ...after];
}

function parseGroups(text: string): number[] {
  if (text === "") return [];
  return text.split(":").flatMap((group) => {
    if (!group.includes(".")) return [parseInt(group, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = group.split(".").map(Number);
    return [a * 256 + b, c * 256 + d];
  });
}

function ipv4Of(high: number, low: number): string {
  return [high >> 8, high & 0xff, low >> 8, low & 0xff].join(".");
}

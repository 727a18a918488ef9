import { isIP } from "node:net";

/** Groups of an IPv6 address that name a network: one customer usually has a whole /64, and any address in it. */
const NETWORK_GROUPS = 4;

const MAPPED = "::ffff:";

/**
 * The part of an address that its user cannot change at will: all of an IPv4 address, the /64 of an IPv6 one.
 * @returns undefined for what is no IP address; a port or brackets around it are left out
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

/** An IPv4 address as it is, where a socket for both families shows it as an IPv6 one (`::ffff:1.2.3.4`). */
export function plainAddress<Address extends string | undefined>(
  address: Address,
): Address {
  if (!address?.startsWith(MAPPED)) return address;
  const ipv4 = address.slice(MAPPED.length);
  return isIP(ipv4) === 4 ? (ipv4 as Address) : address;
}

/** `1.2.3.4:567`, `[::1]:567`, `[::1]` and `fe80::1%eth0` without what is not the address. */
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

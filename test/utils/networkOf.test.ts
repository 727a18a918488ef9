import * as fc from "fast-check";
import { networkOf, plainAddress } from "../../src/utils/addresses";

test.each([
  ["1.2.3.4", "1.2.3.4"],
  [" 1.2.3.4:567", "1.2.3.4"],
  ["::ffff:1.2.3.4", "1.2.3.4"],
  ["::ffff:102:304", "1.2.3.4"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
  ["2001:DB8:1:2::", "2001:db8:1:2::/64"],
  ["2001:db8::6", "2001:db8:0:0::/64"],
  ["[2001:db8:1:2::6]:443", "2001:db8:1:2::/64"],
  ["fe80::1%eth0", "fe80:0:0:0::/64"],
  ["::1", "0:0:0:0::/64"],
  ["unknown", undefined],
  ["", undefined],
  ["[::1", undefined],
  ["1.2.3.4.5", undefined],
])("%s is of %s", (address, network) => {
  expect(networkOf(address)).toBe(network);
});

test.each([
  ["::ffff:1.2.3.4", "1.2.3.4"],
  ["1.2.3.4", "1.2.3.4"],
  ["::ffff:1.2.3", "::ffff:1.2.3"],
  ["::1", "::1"],
  ["testServer", "testServer"],
  [undefined, undefined],
])("an IPv4 address in an IPv6 one is plain: %s", (address, plain) => {
  expect(plainAddress(address)).toBe(plain);
});

test("all addresses of a /64 are of one network, and those of another are not", () => {
  const part = fc.integer({ min: 1, max: 0xffff });
  const four = fc.tuple(part, part, part, part);
  const text = (groups: number[]) =>
    groups.map((group) => group.toString(16)).join(":");
  fc.assert(
    fc.property(four, four, four, (network, one, two) => {
      const first = networkOf(text([...network, ...one]));
      expect(networkOf(text([...network, ...two]))).toBe(first);
      const [head, ...rest] = network;
      const other = [(head % 0xffff) + 1, ...rest];
      expect(networkOf(text([...other, ...one]))).not.toBe(first);
    }),
  );
});

test("networkOf accepts any text", () => {
  fc.assert(fc.property(fc.string(), (text) => void networkOf(text)));
});

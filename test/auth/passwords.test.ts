/** Hashes of passwords: what they contain, and which password they belong to. */
import { scryptSync } from "node:crypto";
import { auth } from "../../src/index";

const { hashPassword, needsRehash, verifyPassword } = auth;

/** Cheap parameters. */
function hashOf(password: string, { ln = 4, r = 1, p = 1 } = {}): string {
  const salt = Buffer.from("0123456789abcdef");
  const key = scryptSync(password, salt, 32, { N: 2 ** ln, r, p });
  const [saltText, keyText] = [salt, key].map((bytes) =>
    bytes.toString("base64").replace(/=/g, ""),
  );
  return `$scrypt$ln=${ln},r=${r},p=${p}$${saltText}$${keyText}`;
}

test("a hash has its parameters and a salt of its own, and verifies its password only", async () => {
  const [first, second] = await Promise.all([
    hashPassword("correct horse"),
    hashPassword("correct horse"),
  ]);
  expect(first).toMatch(
    /^\$scrypt\$ln=15,r=8,p=3\$[A-Za-z\d+/]{22}\$[A-Za-z\d+/]{43}$/,
  );
  expect(second).not.toBe(first);
  expect(await verifyPassword("correct horse", first)).toBe(true);
  expect(await verifyPassword("correct horse", second)).toBe(true);
  expect(await verifyPassword("wrong horse", first)).toBe(false);
  expect(needsRehash(first)).toBe(false);
});

test("a hash with other parameters verifies, and is to be made again", async () => {
  const old = hashOf("secret");
  expect(await verifyPassword("secret", old)).toBe(true);
  expect(await verifyPassword("Secret", old)).toBe(false);
  expect(needsRehash(old)).toBe(true);
});

test("a password is the same however its letters are encoded", async () => {
  const composed = "caf\u00e9";
  const decomposed = "cafe\u0301";
  expect(await verifyPassword(decomposed, hashOf(composed))).toBe(true);
});

test.each([undefined, null])(
  "a user who does not exist (%p) has no password",
  async (stored) => {
    expect(await verifyPassword("secret", stored)).toBe(false);
  },
);

test.each([
  ["an empty text", ""],
  ["a password", "secret"],
  ["another algorithm", "$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA"],
  ["more memory than there is", hashOf("x").replace("ln=4", "ln=40")],
  ["no work at all", hashOf("x").replace("ln=4", "ln=0")],
  ["more work than is right", hashOf("x").replace("p=1", "p=9999")],
  ["no key", hashOf("x").replace(/[^$]+$/, "")],
])("%s is no hash", async (_what, stored) => {
  await expect(verifyPassword("secret", stored)).rejects.toThrow(
    new TypeError("this is no hash of auth.hashPassword"),
  );
});

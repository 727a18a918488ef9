/** Hashes of passwords: what they contain, and which password they belong to. */
import { scryptSync } from "node:crypto";
import type { Connection } from "../../src/connection/connection";
import { beginContext, switchContext } from "../../src/context/context";
import { auth, type HttpError } from "../../src/index";

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

test("a hash with other parameters verifies, and needs a rehash", async () => {
  const old = hashOf("secret");
  expect(await verifyPassword("secret", old)).toBe(true);
  expect(await verifyPassword("Secret", old)).toBe(false);
  expect(needsRehash(old)).toBe(true);
});

test("a password is the same in every Unicode normalization", async () => {
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

test("a value that is not a string, or a long one, is no password and is never normalized", async () => {
  // normalized, this one takes seconds
  const long = "a" + "\u0301".repeat(40_000) + "\u0316".repeat(40_000);
  const normalize = jest.spyOn(String.prototype, "normalize");
  try {
    for (const given of [long, "x".repeat(1025), 5, true, {}, ["secret"]]) {
      const password = given as string;
      await expect(hashPassword(password)).rejects.toMatchObject({
        status: 422,
        message: "a password is a text of at most 1024 characters",
      });
      for (const stored of [hashOf("secret"), undefined])
        expect(await verifyPassword(password, stored)).toBe(false);
    }
    expect(normalize).not.toHaveBeenCalled();
  } finally {
    normalize.mockRestore();
  }
  const longest = "x".repeat(1024);
  expect(await verifyPassword(longest, hashOf(longest))).toBe(true);
});

test("a flood of passwords is refused, and those whose clients left are not hashed", async () => {
  const stored = hashOf("secret");
  const leaving = new AbortController();
  const { signal } = leaving;
  const left = Array.from({ length: 60 }, () =>
    verifyPassword("secret", stored, { signal }).catch(
      (error: unknown) => error,
    ),
  );
  const others = Array.from({ length: 20 }, () =>
    verifyPassword("secret", stored).then(String, ({ status }) => status),
  );
  leaving.abort(new Error("the client has left"));
  const verdicts = await Promise.all(left);
  // 2 ran already, 58 waited, and so did 6 of the others
  expect(verdicts.filter((verdict) => verdict === true)).toHaveLength(2);
  expect(verdicts.filter((verdict) => verdict === signal.reason)).toHaveLength(
    58,
  );
  expect(await Promise.all(others)).toEqual([
    ...Array.from({ length: 6 }, () => "true"),
    ...Array.from({ length: 14 }, () => 503),
  ]);
  await expect(verifyPassword("secret", stored, { signal })).rejects.toBe(
    signal.reason,
  );
  expect(await verifyPassword("secret", stored)).toBe(true);
});

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

test("one address does not keep others from their turn", async () => {
  switchContext(true);
  const verify = (remoteIP: string) => {
    const connection = { remoteIP } as Connection;
    return beginContext({ connection }, () =>
      verifyPassword("secret", hashOf("secret")).catch(
        ({ status }: HttpError) => status,
      ),
    );
  };
  const many = Array.from({ length: 100 }, () => verify("127.0.0.2"));
  const one = verify("127.0.0.1");
  expect(await one).toBe(true);
  const outcomes = await Promise.all(many);
  switchContext(false);
  expect(outcomes.filter((outcome) => outcome === 503).length).toBeGreaterThan(
    30,
  );
  expect(outcomes[99]).toBe(503);
});

/**
 * JSON Web Tokens, verified in a process of its own, as jose 6 is an ES module, and in jest. The tokens are signed here without
 * jose.
 */
import {
  createHmac,
  generateKeyPairSync,
  sign,
  type KeyObject,
} from "node:crypto";
import * as http from "node:http";
import type { AddressInfo } from "node:net";
import * as auth from "../../src/auth/module";
import { requirePeer } from "../../src/config/optionalPeer";
import type { JwtOptions } from "../../src/auth/jwt";
import { RemoteNode } from "../support/remoteNode";

const ISSUER = "https://issuer.example";
const AUDIENCE = "this server";
const SECRET = "a secret that two services share";

const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const other = generateKeyPairSync("rsa", { modulusLength: 2048 });
const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
const ed = generateKeyPairSync("ed25519");

const pem = rsa.publicKey.export({ type: "spki", format: "pem" }) as string;
const jwkOf = (key: KeyObject, kid: string) => ({
  ...key.export({ format: "jwk" }),
  kid,
});
const jwks = {
  keys: [
    jwkOf(rsa.publicKey, "rsa"),
    jwkOf(ec.publicKey, "ec"),
    jwkOf(ed.publicKey, "ed"),
  ],
};

const inSeconds = (seconds: number) => Math.floor(Date.now() / 1000) + seconds;

const signers: Record<string, (text: string) => Buffer> = {
  RS256: (text) => sign("sha256", Buffer.from(text), rsa.privateKey),
  ES256: (text) =>
    sign("sha256", Buffer.from(text), {
      key: ec.privateKey,
      dsaEncoding: "ieee-p1363",
    }),
  EdDSA: (text) => sign(null, Buffer.from(text), ed.privateKey),
  HS256: (text) => createHmac("sha256", SECRET).update(text).digest(),
  none: () => Buffer.alloc(0),
};

interface Parts {
  alg?: string;
  kid?: string;
  claims?: object;
  signer?: (text: string) => Buffer;
}

/** A token that counts, unless the parts make it one that does not. */
function token({ alg = "RS256", kid, claims, signer }: Parts = {}): string {
  const payload = {
    iss: ISSUER,
    aud: AUDIENCE,
    sub: "u1",
    exp: inSeconds(600),
    ...claims,
  };
  const text = [{ alg, kid }, payload]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".");
  const signature = (signer ?? signers[alg])(text);
  return `${text}.${signature.toString("base64url")}`;
}

const ours = { issuer: ISSUER, audience: AUDIENCE };

test("a project whose tests run in jest verifies tokens by an ES module, too", async () => {
  const byKeys = auth.jwtVerifier({ ...ours, jwks });
  const bySecret = auth.jwtVerifier({ ...ours, secret: SECRET });
  const signed = token({ alg: "EdDSA", kid: "ed" });
  expect(await byKeys(signed)).toMatchObject({ sub: "u1" });
  expect(await bySecret(token({ alg: "HS256" }))).toMatchObject({ sub: "u1" });
  expect(await bySecret(signed)).toBeUndefined();
});

describe("tokens that another service has signed", () => {
  let node: RemoteNode;
  beforeAll(async () => {
    node = await RemoteNode.start({ redisUrl: "" });
  }, 60_000);
  afterAll(() => node.stop());

  /** What a verifier of these options says to each token: `sub`, `null` or the error. */
  function verdicts(options: object, ...tokens: unknown[]): Promise<unknown[]> {
    return verdictsWithClock(0, options, tokens);
  }

  /** Uses a clock that advances only between the tokens. */
  function verdictsWithClock(
    stepMs: number,
    options: object,
    tokens: unknown[],
  ): Promise<unknown[]> {
    return node.run(
      async (
        { auth },
        options: JwtOptions,
        tokens: unknown[],
        stepMs: number,
      ) => {
        const clock = Date.now;
        const monotonic = performance.now.bind(performance);
        const began = clock();
        let now = began;
        Date.now = () => now;
        performance.now = () => now - began;
        const verify = auth.jwtVerifier(options);
        const found = [];
        for (const token of tokens) {
          found.push(
            await verify(token).then(
              (claims: { sub: string } | undefined) => claims?.sub ?? null,
              ({ status, message }: { status: number; message: string }) => ({
                status,
                message,
              }),
            ),
          );
          now += stepMs;
        }
        Date.now = clock;
        performance.now = monotonic;
        return found;
      },
      options as JwtOptions,
      tokens,
      stepMs,
    );
  }

  test("a public key, a shared secret and a set of keys say whose they are", async () => {
    for (const options of [{ publicKey: pem }, { publicKey: jwks.keys[0] }])
      expect(await verdicts({ ...ours, ...options }, token())).toEqual(["u1"]);
    expect(
      await verdicts({ ...ours, secret: SECRET }, token({ alg: "HS256" })),
    ).toEqual(["u1"]);
    expect(
      await verdicts(
        { ...ours, jwks },
        token({ kid: "rsa" }),
        token({ alg: "ES256", kid: "ec" }),
        token({ alg: "EdDSA", kid: "ed" }),
        token(),
      ),
    ).toEqual(["u1", "u1", "u1", "u1"]);
  });

  test("forged, expired and premature tokens, and those for another audience, are refused", async () => {
    const bad = {
      "the key of somebody else": token({
        signer: (text) => sign("sha256", Buffer.from(text), other.privateKey),
      }),
      "no signature": token({ alg: "none" }),
      "the public key as a secret": token({
        alg: "HS256",
        signer: (text) => createHmac("sha256", pem).update(text).digest(),
      }),
      "another kind of key": token({ alg: "ES256", kid: "rsa" }),
      "an unknown algorithm": token({ alg: "XS256", signer: signers.RS256 }),
      "ended a minute ago": token({ claims: { exp: inSeconds(-60) } }),
      "never ends": token({ claims: { exp: undefined } }),
      "not yet": token({ claims: { nbf: inSeconds(60) } }),
      "another issuer": token({ claims: { iss: "https://evil.example" } }),
      "another audience": token({ claims: { aud: ["that server"] } }),
      "no audience": token({ claims: { aud: undefined } }),
      "too long": token({ claims: { padding: "x".repeat(20_000) } }),
      "no token": "a.b.c",
      "no text": 5,
      nothing: null,
    };
    for (const key of [{ publicKey: pem }, { jwks }]) {
      const names = Object.keys(bad);
      const found = await verdicts({ ...ours, ...key }, ...Object.values(bad));
      expect(found.map((verdict, index) => [names[index], verdict])).toEqual(
        names.map((name) => [name, null]),
      );
    }
  });

  test("clocks may differ by clockTolerance", async () => {
    const options = { ...ours, publicKey: pem, clockTolerance: 600_000 };
    const ended = token({ claims: { exp: inSeconds(-60) } });
    expect(await verdicts(options, ended)).toEqual(["u1"]);
  });

  test("any issuer and any audience count when the options say false", async () => {
    const options = { issuer: false, audience: false, publicKey: pem };
    const claims = { iss: undefined, aud: undefined };
    expect(await verdicts(options, token({ claims }))).toEqual(["u1"]);
  });

  test("algorithms excludes the other algorithms of the key", async () => {
    const options = { ...ours, publicKey: pem, algorithms: ["PS256"] };
    expect(await verdicts(options, token())).toEqual([null]);
  });

  describe("with the keys at a URL", () => {
    type Answer = (res: http.ServerResponse) => void;
    const publish: Answer = (res) => res.end(JSON.stringify(jwks));
    let answers: Answer[];
    let requests: number;
    const issuer = http.createServer((_req, res) => {
      requests++;
      (answers.shift() ?? publish)(res);
    });
    let jwksUrl: string;

    beforeAll(async () => {
      await new Promise<void>((resolve) =>
        issuer.listen(0, "127.0.0.1", resolve),
      );
      const { port } = issuer.address() as AddressInfo;
      jwksUrl = `http://127.0.0.1:${port}/jwks.json`;
    });
    beforeEach(() => {
      answers = [];
      requests = 0;
    });
    afterAll(
      () =>
        new Promise<void>((resolve) => {
          issuer.close(() => resolve());
          issuer.closeAllConnections();
        }),
    );

    test("the keys are fetched once, also for tokens that name an unknown key", async () => {
      const unknown = token({ kid: "unknown" });
      expect(
        await verdicts(
          { ...ours, jwksUrl },
          token({ kid: "rsa" }),
          unknown,
          unknown,
          token({ alg: "ES256", kid: "ec" }),
        ),
      ).toEqual(["u1", null, null, "u1"]);
      expect(requests).toBe(1);
    });

    test("a token gets a 503 while the keys are unavailable, and is accepted afterwards", async () => {
      answers = [
        (res) => res.writeHead(500).end(),
        (res) => res.end("no JSON"),
        (res) => res.end('{"keys":5}'),
        (res) => res.socket!.destroy(),
      ];
      const tokens = Array.from({ length: 5 }, () => token({ kid: "rsa" }));
      const refused = { status: 503, message: expect.any(String) };
      const keys = { ...ours, jwksUrl };
      expect(await verdictsWithClock(10_000, keys, tokens)).toEqual([
        ...Array.from({ length: 4 }, () => refused),
        "u1",
      ]);
    });

    test("an issuer that fails is left alone for a while, whatever tokens come", async () => {
      answers = [(res) => res.writeHead(500).end()];
      const tokens = ["rsa", "a", "b"].map((kid) => token({ kid }));
      const refused = { status: 503, message: expect.any(String) };
      expect(
        await verdictsWithClock(1_000, { ...ours, jwksUrl }, tokens),
      ).toEqual([refused, refused, refused]);
      expect(requests).toBe(1);
    });

    test("an issuer that does not answer is waited for no longer than timeout", async () => {
      answers = [() => undefined];
      const options = { ...ours, jwksUrl, timeout: 50 };
      expect(await verdicts(options, token({ kid: "rsa" }))).toEqual([
        { status: 503, message: "tokens cannot be verified at the moment" },
      ]);
    });
  });

  test("keys that cannot be used are refused when the verifier is made", async () => {
    const refused: [options: object, message: RegExp][] = [
      [{}, /needs one of/],
      [{ publicKey: pem, secret: SECRET }, /needs one of/],
      [{ secret: "too short" }, /at least 32 bytes/],
      [{ publicKey: "no key" }, /./],
      [{ jwksUrl: "http://issuer.example/keys" }, /must begin with https/],
      [{ jwksUrl: "http://127.0.0.1.example/keys" }, /must begin with https/],
      [{ jwks: { keys: 5 } }, /./],
      [{ jwks, issuer: "" }, /needs the issuer/],
      [{ jwks, audience: "" }, /needs the audience/],
      [{ jwks, audience: [] }, /needs the audience/],
    ];
    for (const [options, message] of refused)
      await expect(verdicts({ ...ours, ...options })).rejects.toThrow(message);
  });
});

test("a package that is not installed is named with what needs it", () => {
  expect(() => requirePeer("no-such-package", "auth.jwtVerifier")).toThrow(
    "auth.jwtVerifier needs the package no-such-package: npm install no-such-package",
  );
});

import * as fs from "fs";
import * as os from "os";
import * as path from "path";
import { utils } from "../../src";

describe("utils", () => {
  test("arrayStartingMatch tells whether a list begins with another one", () => {
    expect(utils.arrayStartingMatch([1, 2], [1, 2, 3])).toBe(true);
    expect(utils.arrayStartingMatch([1, 3], [1, 2, 3])).toBe(false);
    expect(utils.arrayStartingMatch([], [1])).toBe(false);
    expect(utils.arrayStartingMatch([1], [])).toBe(false);
  });

  test("arrayUnique keeps the last place of equal items", () => {
    expect(utils.arrayUnique([3, 1, 3, 2])).toEqual([1, 3, 2]);
  });

  test("collapseObjectToArray takes only keys 0 to n-1", () => {
    expect(utils.collapseObjectToArray({ 0: "a", 1: "b" })).toEqual(["a", "b"]);
    expect(utils.collapseObjectToArray({ 0: "a", 2: "b" })).toBe(false);
    expect(utils.collapseObjectToArray({ a: 1 })).toBe(false);
    expect(utils.collapseObjectToArray({})).toBe(false);
    expect(utils.collapseObjectToArray(null)).toBe(false);
  });

  test("ensureNoTsHeaderOrSpecFiles drops declarations and tests only", () => {
    expect(
      utils.ensureNoTsHeaderOrSpecFiles([
        "a.js",
        "a.d.ts",
        "a.spec.js",
        "a.test.ts",
        "spec.js",
        "test-my-api.js",
      ]),
    ).toEqual(["a.js", "spec.js", "test-my-api.js"]);
  });

  test("eventLoopDelay answers a small positive number", async () => {
    const delay = await utils.eventLoopDelay(1000);
    expect(delay).toBeGreaterThan(0);
    expect(delay).toBeLessThan(5);
  });

  test("isPlainObject is true for objects without a built-in class or a text of their own", () => {
    class Plain {}
    class Named {
      toString() {
        return "named";
      }
    }
    expect(utils.isPlainObject({})).toBe(true);
    expect(utils.isPlainObject(new Plain())).toBe(true);
    for (const other of [
      new Named(),
      Object.create(null),
      new Map(),
      new Error("x"),
      [],
      () => 1,
      new Date(),
      /x/,
      Buffer.from(""),
      null,
      undefined,
      "x",
      { _toExpand: false },
    ]) {
      expect(utils.isPlainObject(other)).toBe(false);
    }
  });

  test("parseCookies trims, keeps everything after the first = and survives hostile names", () => {
    const cookies = utils.parseCookies({
      headers: { cookie: " a = 1 ;b=2=3; c; __proto__=x" },
    });
    expect(cookies.a).toBe("1");
    expect(cookies.b).toBe("2=3");
    expect(cookies.c).toBe("");
    expect(Object.getPrototypeOf(cookies)).toBeNull();
    expect(Object.keys(utils.parseCookies({ headers: {} }))).toEqual([]);
  });

  describe("parseHeadersForClientAddress", () => {
    const parse = utils.parseHeadersForClientAddress;

    test("takes the first forwarded address, with its port", () => {
      expect(parse({ "x-forwarded-for": "35.36.37.38:1234, 1.1.1.1" })).toEqual(
        { ip: "35.36.37.38", port: "1234" },
      );
      expect(parse({ "x-forwarded-for": "::ffff:1.2.3.4" })).toEqual({
        ip: "1.2.3.4",
        port: undefined,
      });
    });

    test("IPv6 addresses are understood", () => {
      expect(parse({ "x-forwarded-for": "[2604:4480::5]:8080" })).toEqual({
        ip: "2604:4480::5",
        port: 8080,
      });
      expect(parse({ "x-forwarded-for": "2604:4480::5" })).toEqual({
        ip: "2604:4480::5",
        port: 80,
      });
    });

    test("x-forwarded-port and x-real-ip win; no headers, no address", () => {
      expect(
        parse({
          "x-forwarded-for": "1.1.1.1:1",
          "x-forwarded-port": "99",
          "x-real-ip": "2.2.2.2",
        }),
      ).toEqual({ ip: "2.2.2.2", port: "99" });
      expect(parse({})).toEqual({ ip: undefined, port: undefined });
    });

    test.each([",", " , 1.1.1.1", "::ffff:", "1.2.3.4:"])(
      "%p has no empty parts",
      (value) => {
        const address = parse({ "x-forwarded-for": value });
        expect(Object.values(address)).not.toContain("");
      },
    );

    test.each([
      "a to=FORGED action=admin",
      "1.2.3.4 to=FORGED",
      "a\tb",
      '"quoted"',
      "fe80::1%eth0 to=FORGED",
      "[zzz:1",
      "x".repeat(1_000),
    ])("%p is no address, in any header", (value) => {
      const none = { ip: undefined, port: undefined };
      expect(parse({ "x-forwarded-for": value }).ip).toBe(undefined);
      expect(parse({ "x-real-ip": value })).toEqual(none);
      expect(parse({ "x-forwarded-port": value })).toEqual(none);
      expect(
        parse({ "x-forwarded-for": "1.1.1.1", "x-real-ip": value }).ip,
      ).toBe("1.1.1.1");
    });

    test("names of hosts and scoped addresses are taken as they are", () => {
      for (const ip of ["unknown", "a-b.example.test", "localhost"])
        expect(parse({ "x-forwarded-for": ip }).ip).toBe(ip);
      expect(parse({ "x-real-ip": "fe80::1%eth0" }).ip).toBe("fe80::1%eth0");
      expect(parse({ "x-forwarded-for": "1.1.1.1:99999" })).toEqual({
        ip: "1.1.1.1",
        port: undefined,
      });
    });

    test("a malformed address is ignored instead of failing the request", () => {
      expect(parse({ "x-forwarded-for": "[zzz:1" }).port).toBe(80);
      expect(parse({ "x-forwarded-for": "[:::::]" })).toEqual({
        ip: undefined,
        port: undefined,
      });
    });
  });

  test("parseIPv6URI splits an address into host and port, by default 80", () => {
    expect(utils.parseIPv6URI("[::1]:8080")).toEqual({
      host: "::1",
      port: 8080,
    });
    expect(utils.parseIPv6URI("::1")).toEqual({ host: "::1", port: 80 });
    expect(utils.parseIPv6URI("http://[fe80::1%eth2]:80/x")).toEqual({
      host: "fe80::1%eth2",
      port: 80,
    });
    expect(() => utils.parseIPv6URI("[::1]")).toThrow(
      "failed to parse address",
    );
  });

  test("sortGlobalMiddleware is stable", () => {
    const names = ["b", "a", "c"];
    utils.sortGlobalMiddleware(names, {
      a: { priority: 1 },
      b: { priority: 1 },
      c: { priority: 0 },
    });
    expect(names).toEqual(["c", "b", "a"]);
  });

  test("isRunning knows this process and not an impossible one", () => {
    expect(utils.isRunning(process.pid)).toBe(true);
    expect(utils.isRunning(2 ** 30)).toBe(false);
  });

  describe("with files", () => {
    let folder: string;

    beforeEach(() => {
      folder = fs.mkdtempSync(path.join(os.tmpdir(), "ah-utils-"));
    });

    afterEach(() => fs.rmSync(folder, { recursive: true, force: true }));

    test("fileUtils never overwrites another file", () => {
      const { fileUtils } = utils;
      const file = path.join(folder, "a.txt");
      expect(fileUtils.createFileSafely(file, "1")).toBe(
        `wrote file '${file}'`,
      );
      expect(() => fileUtils.createFileSafely(file, "2")).toThrow(
        `file '${file}' already exists`,
      );
      expect(fs.readFileSync(file, "utf8")).toBe("1");
      expect(fileUtils.createFileSafely(file, "2", true)).toBe(
        ` - overwritten file '${file}'`,
      );
      const dir = path.join(folder, "dir");
      expect(fileUtils.createDirSafely(dir)).toBe(`created directory '${dir}'`);
      expect(() => fileUtils.createDirSafely(dir)).toThrow(
        expect.objectContaining({ code: "EEXIST" }),
      );
    });

    test("link files and symbolic links", () => {
      const { fileUtils } = utils;
      const link = path.join(folder, "plug.link");
      expect(fileUtils.createLinkfileSafely(link, "actions")).toBe(
        `creating linkfile '${link}'`,
      );
      fs.mkdirSync(path.join(folder, "plug"));
      expect(utils.sourceRelativeLinkPath(link, [folder])).toBe(
        path.join(folder, "plug", "actions"),
      );
      expect(utils.sourceRelativeLinkPath(link, ["/nowhere"])).toBe(false);
      expect(fileUtils.removeLinkfileSafely(link)).toBe(
        `removing linkfile '${link}'`,
      );
      expect(() => fileUtils.removeLinkfileSafely(link)).toThrow(
        expect.objectContaining({ code: "ENOEXIST" }),
      );
      const symlink = path.join(folder, "sym");
      fileUtils.createSymlinkSafely(symlink, path.join(folder, "plug"));
      expect(fileUtils.dirExists(symlink)).toBe(true);
    });

    test("safeGlobSync answers sorted absolute paths without dot files", () => {
      for (const name of ["b.ts", "a.ts", ".hidden.ts"])
        fs.writeFileSync(path.join(folder, name), "");
      expect(utils.safeGlobSync(path.join(folder, "**", "*.ts"))).toEqual([
        path.join(folder, "a.ts"),
        path.join(folder, "b.ts"),
      ]);
    });
  });
});

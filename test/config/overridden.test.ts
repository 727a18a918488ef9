/** Settings that have no effect, because another one decides. */
import { config } from "../../src/index";
import { overriddenProxies, overriddenSettings } from "../../src/boot/mistakes";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

const { REDIS_SSL, REDIS_URL } = process.env;
afterEach(() => {
  for (const [name, value] of Object.entries({ REDIS_SSL, REDIS_URL }))
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
});

const limit = { requests: 1, perMs: 1 };

test("the default configuration has none", () => {
  expect(overriddenSettings(config)).toEqual([]);
});

test.each<[string, () => void, string]>([
  [
    "a list of statuses while errors have none",
    () => {
      config.web.returnErrorCodes = false;
      config.web.errorStatus = { unknownAction: 404 };
    },
    "web.errorStatus has no effect: web.returnErrorCodes is off: the status of errors is 200",
  ],
  [
    "an origin in a header that web.cors replaces",
    () => {
      config.web.httpHeaders["Access-Control-Allow-Origin"] = "https://a.org";
      config.web.cors = { origins: ["https://b.org"] };
    },
    "web.httpHeaders: Access-Control-Allow-Origin has no effect: web.cors decides which pages may read responses",
  ],
  [
    "TLS beside an address without",
    () => {
      process.env.REDIS_SSL = "true";
      process.env.REDIS_URL = "redis://localhost";
    },
    "REDIS_SSL has no effect: REDIS_URL is without TLS: write rediss:// there",
  ],
  [
    "proxies of a limit by cookie",
    () => {
      config.general.rateLimit = { ...limit, by: "fingerprint", proxies: 1 };
    },
    "general.rateLimit: proxies has no effect: clients are known by their cookie",
  ],
  [
    "proxies beside trusted ones",
    () => {
      config.general.rateLimit = { ...limit, proxies: 1 };
      config.web.trustProxy = "loopback";
    },
    "general.rateLimit: proxies has no effect: web.trustProxy is set, and decides which address counts (that of the client, as the trusted proxies say)",
  ],
])("%s", (_name, change, message) => {
  change();
  expect(overriddenSettings(config)).toEqual([message]);
});

test("proxies count where web.trustProxy is not set, as in version 29", () => {
  config.web.trustProxy = undefined;
  expect(overriddenProxies("it", { proxies: 1 }, config)).toEqual([]);
});

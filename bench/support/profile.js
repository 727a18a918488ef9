/** Which part of a server's time its own code takes, from V8's CPU profile: steady from machine to machine. */
const inspector = require("node:inspector");

const INTERVAL_MICROSECONDS = 200;

let session;

const post = (method, parameters) =>
  new Promise((resolve, reject) =>
    session.post(method, parameters, (error, result) =>
      error ? reject(error) : resolve(result),
    ),
  );

exports.startProfile = async function startProfile() {
  session = new inspector.Session();
  session.connect();
  await post("Profiler.enable");
  await post("Profiler.setSamplingInterval", {
    interval: INTERVAL_MICROSECONDS,
  });
  await post("Profiler.start");
};

/**
 * @param roots the folders of the code that counts as the server's own
 * @returns shares of the time in percent, without the time in which it waited
 */
exports.stopProfile = async function stopProfile(roots) {
  const { profile } = await post("Profiler.stop");
  session.disconnect();
  const kinds = new Map(
    profile.nodes.map(({ id, callFrame }) => [id, kindOf(callFrame, roots)]),
  );
  const spent = { own: 0, node: 0, native: 0, gc: 0, other: 0 };
  profile.samples.forEach((id, i) => {
    const kind = kinds.get(id);
    if (kind !== "idle") spent[kind] += profile.timeDeltas[i];
  });
  const total = Object.values(spent).reduce((sum, time) => sum + time, 0);
  const share = (time) => Number(((100 * time) / total).toFixed(1));
  return Object.fromEntries(
    Object.entries(spent).map(([kind, time]) => [`${kind}%`, share(time)]),
  );
};

function kindOf({ functionName, url }, roots) {
  if (functionName === "(idle)") return "idle";
  if (functionName === "(garbage collector)") return "gc";
  if (url.startsWith("node:")) return "node";
  if (url === "") return "native";
  return roots.some((root) => url.includes(root)) ? "own" : "other";
}

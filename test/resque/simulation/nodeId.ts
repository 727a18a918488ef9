/**
 * The engine takes the id of its node from the configuration of its process: here it is that of the simulated process whose code
 * runs. To be imported before the engine.
 */
import * as configuration from "../../../src/config/config";

export const simulatedNode: { id: () => string | undefined } = {
  id: () => undefined,
};

const loaded = require.cache[require.resolve("../../../src/config/config")]!;
loaded.exports = new Proxy(configuration, {
  get: (target, name) =>
    name === "id"
      ? (simulatedNode.id() ?? target.id)
      : target[name as keyof typeof target],
});

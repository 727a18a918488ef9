import { useApp } from "../support/app";
import { Action, api, connectionVerbs } from "../../src/index";

useApp();

class Good extends Action {
  constructor() {
    super();
    this.name = "good";
    this.description = "a good one";
  }

  async run() {
    return {};
  }
}

function withFields(fields: object): Action {
  return Object.assign(new Good(), fields);
}

test("an action has the documented defaults", () => {
  expect(new Good()).toEqual({
    name: "good",
    description: "a good one",
    version: 1,
    inputs: {},
    outputExample: {},
    middleware: [],
    blockedConnectionTypes: [],
    logLevel: "info",
    matchExtensionMimeType: true,
    toDocument: true,
  });
  expect(() => new Good().validate()).not.toThrow();
});

test("properties may be class fields, getters or assignments", () => {
  class Fields extends Action {
    override name = "fields";
    override description = "with class fields";
    override version = 2;
    run() {
      return { sync: true };
    }
  }
  const action = new Fields();
  action.validate();
  expect(action).toMatchObject({ name: "fields", version: 2, inputs: {} });

  const Getters = class extends Good {};
  Object.defineProperty(Getters.prototype, "description", {
    get: () => "from a getter",
    set: () => undefined,
  });
  expect(new Getters().description).toBe("from a getter");
});

test.each([
  [{ name: "" }, "name is required for this action"],
  [{ description: undefined }, "description is required for the action `good`"],
  [{ run: undefined }, "action `good` has no run method"],
  [{ run: "text" }, "action `good` has no run method"],
])("%j: %s", (fields, message) => {
  expect(() => withFields(fields).validate()).toThrow(new Error(message));
});

test.each([...connectionVerbs])("the verb %s is reserved", (name) => {
  expect(() => withFields({ name }).validate()).toThrow(
    `action \`${name}\` is a reserved verb for connections. choose a new name`,
  );
});

test("verbs are only reserved while there are connections", () => {
  const saved = api.connections;
  api.connections = undefined as never;
  try {
    expect(() => withFields({ name: "say" }).validate()).not.toThrow();
  } finally {
    api.connections = saved;
  }
});

test.each(["file", "apiVersion", "callback", "action", "messageId"])(
  "the param %s is reserved",
  (input) => {
    expect(() => withFields({ inputs: { [input]: {} } }).validate()).toThrow(
      `input \`${input}\` in action \`good\` is a reserved param`,
    );
  },
);

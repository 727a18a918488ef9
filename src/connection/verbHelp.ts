/** The output of `help`, for interactive clients. */
import { api } from "../api";
import { settings } from "../config/settings";
import { tableOf } from "../input/schemaPlan";
import type { HandledVerb } from "./verbs";

/** The syntax and the effect of each verb. */
const USAGES: Record<HandledVerb, [usage: string, description: string]> = {
  help: ["help", "shows this"],
  documentation: ["documentation", "describes the actions in full"],
  detailsView: ["detailsView", "shows your connection"],
  paramAdd: ["paramAdd key=value", "keeps a param for all lines that follow"],
  paramView: ["paramView key", "shows a param that is kept"],
  paramsView: ["paramsView", "shows all of them"],
  paramDelete: ["paramDelete key", "forgets one"],
  paramsDelete: ["paramsDelete", "forgets all"],
  roomAdd: ["roomAdd room", "joins a chat room"],
  roomView: ["roomView room", "shows who is in a room that you are in"],
  roomLeave: ["roomLeave room", "leaves it"],
  roomChange: ["roomChange room", "leaves all rooms and joins this one"],
  say: ["say room message", "says something to everybody in a room"],
  quit: ["quit", "ends the connection"],
  exit: ["exit", "ends the connection"],
};

/** @param allowed the verbs of the connection's server */
export function describeUse(
  connectionType: string,
  allowed: readonly string[],
): Record<string, unknown> {
  const verbs = Object.entries(USAGES)
    .filter(([verb]) => allowed.includes(verb) && isShown(verb))
    .map(([, usage]) => usage);
  const help = {
    requests: {
      "action key=value": 'runs an action: greet name=Ada title="Dr. h. c."',
      'action {"key":"value"}': "the same with params of any type",
      "file name": "sends a public file",
    },
    verbs: Object.fromEntries(verbs),
  };
  return isShown("documentation")
    ? { ...help, actions: Object.fromEntries(describeActions(connectionType)) }
    : help;
}

/** Introspection can be disabled. */
export function isShown(verb: string): boolean {
  return verb !== "documentation" || settings().general.introspection;
}

/** The latest version of every documented action that this transport allows, with its inputs. */
function describeActions(type: string): [usage: string, description: string][] {
  const { actions, versions } = api.actions;
  return Object.entries(actions)
    .map(([name, known]) => known[String(versions[name]?.at(-1))])
    .filter((action) => action !== undefined)
    .filter(
      ({ toDocument, blockedConnectionTypes }) =>
        toDocument !== false && blockedConnectionTypes?.includes(type) !== true,
    )
    .map(({ name, description, inputs }) => {
      const words = Object.entries(tableOf(inputs)).map(([key, input]) =>
        input.required === true ? `${key}=...` : `[${key}=...]`,
      );
      return [[name, ...words].join(" "), description];
    });
}

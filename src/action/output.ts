/**
 * The responses of actions. With an `output` schema, the response is validated during development, and filtered by the
 * properties of the schema.
 */
import { isDeepStrictEqual } from "node:util";
import { env } from "../config/config";
import { errorText } from "../errors";
import { log } from "../log/log";
import type { InputErrors } from "../input/field";
import { isThenable } from "../utils/promises";
import { isObject } from "../input/coercion";
import { mapSubschemas, relocated } from "../input/jsonSchema";
import { compilePruner, DEFERS } from "../input/pruning";
import { checkValue, planOf } from "../input/schemaPlan";
import {
  failureOf,
  isStandardSchema,
  jsonSchemaOf,
  type JsonSchema,
  type StandardSchema,
  unsendableOf,
} from "../input/types";
import type { Action } from "./action";

type Prune = (value: unknown) => unknown;

const SEND_ALL: Prune = (value) => value;

const pruners = new WeakMap<StandardSchema, Prune>();

/** The output schema of an action, if any. */
export function outputOf(action: Action): StandardSchema | undefined {
  const { output } = action as { output?: unknown };
  return isStandardSchema(output) ? output : undefined;
}

/** Compile the output schema of an action when it is registered; warn of one that leaves nothing out, or cannot be sent. */
export function prepareOutput(action: Action): void {
  const gap = outputGap(action);
  if (gap) log(gap, "warning");
}

/** What is lost if the output schema of an action has no JSON Schema, or describes what JSON does not have. */
export function outputGap(action: Action): string | undefined {
  const schema = outputOf(action);
  if (!schema) return undefined;
  const owner = `the output of the action \`${action.name}\``;
  if (prunerOf(schema) === SEND_ALL)
    return `${owner} has no JSON Schema${reasonOf(schema)}: properties that it does not name are sent, too`;
  const places = unsendableOf(schema)
    .map((place) => place.replace(/ \(.*\)$/, "")) // advice for inputs
    .filter((place) => !place.endsWith(" is a Date")); // sent as a text
  return places.length > 0
    ? `${owner} has what JSON cannot hold: ${places.join(", ")}`
    : undefined;
}

function reasonOf(schema: StandardSchema): string {
  const error = failureOf(schema);
  return error ? ` (${errorText(error)})` : "";
}

function prunerOf(schema: StandardSchema): Prune {
  let prune = pruners.get(schema);
  if (!prune) pruners.set(schema, (prune = compilePruners(schema)));
  return prune;
}

/** The JSON Schema of what an action sends, which is the value before transforms and defaults of its output schema. */
export function outputJson(action: Action): JsonSchema | undefined {
  const schema = outputOf(action);
  return (
    schema && (jsonSchemaOf(schema, "input") ?? jsonSchemaOf(schema, "output"))
  );
}

/**
 * The value before transforms is checked and sent, so its schema decides. Where that accepts any value or any property, as in
 * `z.any().pipe(user)`, the schema of the output names the properties to send.
 */
function compilePruners(schema: StandardSchema): Prune {
  const [taken, made] = (["input", "output"] as const).map((side) =>
    jsonSchemaOf(schema, side),
  );
  if (!taken || !made) {
    const one = taken ?? made;
    return one ? compilePruner(one) : SEND_ALL;
  }
  const pruneTaken = compilePruner(taken);
  if (isDeepStrictEqual(namesIn(taken), namesIn(made))) return pruneTaken;
  const pruneOpen = compilePruner({
    anyOf: [{ $ref: "#/$defs/taken" }, { $ref: "#/$defs/made" }],
    $defs: {
      taken: relocated(deferring(taken), "#/$defs/taken"),
      made: relocated(made, "#/$defs/made"),
    },
  });
  return (value) => pruneOpen(pruneTaken(value));
}

/** The schema, whose objects with any other properties leave those to the schemas beside them. */
function deferring(schema: unknown): unknown {
  if (!isObject(schema)) return schema;
  const result = mapSubschemas(schema, deferring);
  const others: unknown = result.additionalProperties;
  const isOpen =
    others === true || (isObject(others) && Object.keys(others).length === 0);
  return isOpen ? { ...result, [DEFERS]: true } : result;
}

/** The schema without keywords that make no difference to pruning. */
function namesIn(schema: unknown): unknown {
  if (!isObject(schema)) return schema;
  const {
    required: _1,
    default: _2,
    additionalProperties: others = false,
    ...rest
  } = mapSubschemas(schema, namesIn) as Record<string, unknown>;
  return others === false ? rest : { ...rest, additionalProperties: others };
}

/**
 * The part of a response to send. In production, the schema does not validate it.
 * @throws Error naming the property that does not fit, at once or later
 */
export function fitted(
  action: Action,
  schema: StandardSchema,
  response: unknown,
  isChecked = env !== "production",
): unknown {
  const prune = prunerOf(schema);
  if (!isChecked) return prune(response);
  const errors: InputErrors = { missingParams: [], validatorErrors: [] };
  const checked = checkValue(planOf(schema), response, errors, "");
  const conclude = () => {
    const [missing] = errors.missingParams;
    const wrong =
      missing === undefined
        ? (errors.validatorErrors[0] as Error | undefined)?.message
        : `${missing} is missing`;
    if (wrong !== undefined)
      throw new Error(
        `the response of the action \`${action.name}\` does not fit its output: ${wrong}`,
      );
    return prune(response);
  };
  return isThenable(checked) ? checked.then(conclude) : conclude();
}

// --- Streams are refused where data is expected: an unread stream keeps its file or connection open.

interface StreamLike {
  pipe?: unknown;
  pipeTo?: unknown;
  on?: (event: string, listener: () => void) => unknown;
  destroy?: () => unknown;
  cancel?: () => Promise<unknown>;
}

/**
 * Refuse a node stream or web stream, and close it.
 * @param what the place, as the subject of the error, e.g. "an action"
 * @throws Error for a stream
 */
export function refuseStream(value: unknown, what: string): void {
  if (typeof value !== "object" || value === null) return;
  const stream = value as StreamLike;
  if (typeof stream.pipe !== "function" && typeof stream.pipeTo !== "function")
    return;
  stream.on?.("error", ignore); // its file may not exist
  stream.destroy?.();
  stream.cancel?.().catch(ignore);
  throw new Error(
    `${what} takes data, not a stream: send a file by connection.sendFile, or set data.toRender to false and pipe the stream into connection.rawConnection.res`,
  );
}

function ignore(): void {
  // it is closed, and the thrown error gives the reason
}

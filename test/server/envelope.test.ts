/** Replies that are joined as text are those that each transport would send otherwise. */
import { encodePlainReply } from "../../src/server/jsonRequest";
import { actionReply, encodeMessage } from "../../src/server/socket/protocol";
import {
  actionMessage,
  completed,
  encode,
} from "../../src/server/websocket/protocol";

class Own {
  a = 1;
}

const responses: [response: unknown, messageId: string | number][] = [
  [{}, 1],
  [{ a: 1 }, "x"],
  [{ a: undefined, b: [1, "\u2028"] }, 'quo"te'],
  [{ a: 1 }, NaN],
  [{ context: "own", a: 1 }, 2],
  [{ messageId: 5 }, 2],
  [{ error: new Error("no") }, 2],
  [{ contained: new Error("no") }, 2],
  [{ toJSON: () => [1] }, 2],
  [{ toJSON: () => ({ b: 1 }) }, 2],
  [Object.create(null), 2],
  [new Own(), 2],
  ["text", 2],
  [null, 2],
];

test.each(responses)("the reply %j of a TCP client", (response, id) => {
  const joined = encodePlainReply(response, id);
  if (joined === undefined) return;
  const own = (response as { toJSON?: () => object }).toJSON?.() ?? response;
  const reference = encodeMessage(actionReply(own, id, false));
  expect(`${joined}\r\n`).toBe(reference);
});

test.each(responses)("the reply %j of a websocket client", (response, id) => {
  const joined = encodePlainReply(response, id);
  if (joined === undefined) return;
  const reference = encode(completed(actionMessage(response, id, false), id));
  expect(JSON.parse(joined)).toEqual(JSON.parse(reference));
});

test.each([
  [{ a: 1 }, 3, '{"a":1,"context":"response","messageId":3}'],
  [{}, { b: [1] }, '{"context":"response","messageId":{"b":[1]}}'],
])("the plain response %j is joined as text", (response, id, text) => {
  expect(encodePlainReply(response, id)).toBe(text);
});

test.each([
  { error: "no" },
  { context: 1 },
  { messageId: 1 },
  new Own(),
  [],
  1,
])("the response %j is left to the slower way", (response) =>
  expect(encodePlainReply(response, 1)).toBeUndefined(),
);

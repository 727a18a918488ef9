/** The frame of the scripts of the queue. */
import { frame } from "../../../redis/script";
import { BASE } from "./shared";

export { A, ARG, B, C, D, E, F, frame, G, H, I } from "../../../redis/script";

/** @param body Lua that returns something other than nil; `time` is the store's, in ms */
export function operation(parts: readonly string[], body: string): string {
  return frame(`${BASE}${parts.join("")}`, body);
}

/** The configuration of a project of the layout of version 3. */
import * as path from "node:path";
import { findProjectRoot } from "../../environment/runtime";
import {
  readConfigData,
  mapConfigData,
  mergeSettings,
  oldDefaults,
  type Namespaces,
} from "../configMap";

const root = findProjectRoot();

const namespaces = mergeSettings(
  oldDefaults(root, {
    initializers: path.join(__dirname, "..", "initializers"),
  }),
  mapConfigData(readConfigData(root), root),
) as Namespaces;

const { general } = namespaces as Namespaces & {
  general: { defaultChatRoom?: string; startingChatRooms?: object };
};
if (general.defaultChatRoom)
  general.startingChatRooms ??= { [general.defaultChatRoom]: {} };

export const DEFAULT = Object.fromEntries(
  Object.entries(namespaces).map(([name, settings]) => [name, () => settings]),
);

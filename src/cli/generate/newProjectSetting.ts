/** The form of a row of the table in `newProjectSettings.ts`. */
import type { SourceEdit } from "./sourceEdits";

export type Environment = "development" | "test" | "production";

export interface NewProjectSetting {
  /** The dotted path of the setting, or the file whose code differs, such as `"actions/createChatRoom.ts"`. */
  setting: string;
  /** Version 29's value, as the docs show it. JSON (`false`, `"all"`, `0`) is also compared with the configuration. */
  v29: string;
  /** The value in a new project, in the same form. */
  newProject: string;
  /** The reason for the difference, as in the docs. */
  reason: string;
  edits: readonly SourceEdit[];
  /** The paths that differ in the built configuration (default: `setting`; none when it is a file). */
  paths?: readonly string[];
  /** The environments in which they differ (default: all three). */
  environments?: readonly Environment[];
}

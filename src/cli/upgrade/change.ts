/** One necessary change of a project made for v29. */
export interface Change {
  /** File of the project. */
  file: string;
  message: string;
  /** Applies the change to the text of the file; undefined if it must be made by hand. */
  apply?: (text: string) => string;
}

/** One thing that a project made for v29 should change. */
export interface Change {
  /** File of the project. */
  file: string;
  message: string;
  /** Makes the change in the text of the file; without it, somebody has to look. */
  apply?: (text: string) => string;
}

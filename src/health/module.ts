/** `health`, as the package exports it. */
export { addCheck, removeCheck } from "./health";

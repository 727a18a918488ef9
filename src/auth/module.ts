/** `auth`, as the package exports it. */
export { requireUser, type RequireUserOptions, type User } from "./guards";
export { hashPassword, needsRehash, verifyPassword } from "./passwords";
export {
  bearerToken,
  findToken,
  issueToken,
  revokeToken,
  type TokenOptions,
} from "./tokens";

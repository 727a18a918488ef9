/** `auth`, as the package exports it. */
export { requireUser, type RequireUserOptions, type User } from "./tokens";
export {
  jwtVerifier,
  type JwtClaims,
  type JwtKeys,
  type JwtKeySet,
  type JwtOptions,
  type JwtVerifier,
} from "./jwt";
export {
  hashPassword,
  needsRehash,
  verifyPassword,
  type PasswordOptions,
} from "./passwords";
export {
  bearerToken,
  findToken,
  issueToken,
  revokeToken,
  type TokenOptions,
} from "./tokens";

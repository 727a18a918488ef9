import { auth, defineAction, HttpError } from "actionhero";
import { addUser, findHash } from "../users";

declare module "actionhero" {
  interface StoredValues {
    user: string;
  }
}

/** Whatever JSON can hold may come in place of a text. */
const text = (what: string, shortest: number, longest: number) => ({
  required: true as const,
  validator: (value: unknown) =>
    (typeof value === "string" &&
      value.length >= shortest &&
      value.length <= longest) ||
    `a ${what} is a text of ${shortest} to ${longest} letters`,
});

const credentials = {
  name: text("name", 1, 100),
  password: text("password", 8, 1000),
};

const signedIn = auth.requireUser({
  find: ({ store }) => {
    const id = store.get("user");
    return id === undefined ? undefined : { id };
  },
});

export const signUp = defineAction({
  name: "signUp",
  httpMethods: ["post"],
  description: "Makes a user",
  inputs: credentials,
  run: async ({ params: { name, password } }) => {
    await addUser(name, await auth.hashPassword(password));
    return { user: name };
  },
});

export const signIn = defineAction({
  name: "signIn",
  httpMethods: ["post"],
  description: "Begins a session",
  inputs: credentials,
  run: async ({ params: { name, password }, store }) => {
    if (!(await auth.verifyPassword(password, await findHash(name))))
      throw new HttpError(401, "name or password is wrong");
    await store.regenerate(); // an attacker may have planted a session in the browser
    store.set("user", name);
    return { user: name };
  },
});

export const whoAmI = defineAction({
  name: "whoAmI",
  description: "Tells who is signed in",
  middleware: [signedIn],
  run: ({ session }) => ({ user: session.user.id }),
});

export const signOut = defineAction({
  name: "signOut",
  httpMethods: ["delete"],
  description: "Ends the session",
  run: async ({ store }) => {
    await store.destroy();
    return { done: true };
  },
});

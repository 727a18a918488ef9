import { Action, api, HttpError, type ActionProcessor } from "actionhero";

/** Whatever JSON can hold may come in place of a text. */
function isText(value: unknown, shortest: number, longest: number) {
  return (
    typeof value === "string" &&
    value.length >= shortest &&
    value.length <= longest
  );
}

const credentials = {
  name: {
    required: true as const,
    validator: (name: unknown) =>
      isText(name, 1, 100) || "a name is a text of at most 100 letters",
  },
  password: {
    required: true as const,
    validator: (password: unknown) =>
      isText(password, 8, 1000) || "a password is a text of 8 to 1000 letters",
  },
};

export class SignUp extends Action {
  override inputs = credentials;

  constructor() {
    super();
    this.name = "signUp";
    this.description = "Makes a user";
  }

  async run({ params }: ActionProcessor<SignUp>) {
    await api.users.create(params.name, params.password);
    return { user: params.name };
  }
}

export class SignIn extends Action {
  override inputs = credentials;

  constructor() {
    super();
    this.name = "signIn";
    this.description = "Begins a session";
  }

  async run({ params, connection }: ActionProcessor<SignIn>) {
    const { name, password } = params;
    if (!(await api.users.check(name, password)))
      throw new HttpError(401, "name or password is wrong");
    await api.sessions.create(connection, name);
    return { user: name };
  }
}

export class WhoAmI extends Action {
  constructor() {
    super();
    this.name = "whoAmI";
    this.description = "Tells who is signed in";
    this.middleware = ["signed-in"];
  }

  async run({ session }: ActionProcessor<WhoAmI>) {
    return { user: String(session.user) };
  }
}

export class SignOut extends Action {
  constructor() {
    super();
    this.name = "signOut";
    this.description = "Ends the session";
  }

  async run({ connection }: ActionProcessor<SignOut>) {
    await api.sessions.destroy(connection);
    return { done: true };
  }
}

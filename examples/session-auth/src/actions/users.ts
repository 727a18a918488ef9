import { Action, api, HttpError, type ActionProcessor } from "actionhero";

const credentials = {
  name: { required: true as const },
  password: {
    required: true as const,
    validator: (password: string) =>
      password.length < 8 ? "passwords have at least 8 letters" : true,
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

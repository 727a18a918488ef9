/** What a transport brings so that the contract can be run over it. */

/** One client of a transport. */
export interface ContractClient {
  /**
   * Ask for an action, and get its answer as the client got it: an error is in `error`. For an action that answers
   * with a text, the text.
   */
  action(name: string, params?: Record<string, unknown>): Promise<any>;
  /** Ask for a file below the public folders. */
  file?(name: string): Promise<{ content?: string | null; error?: any }>;
  /** Run a verb; its result is in `data`, an error in `error`. */
  verb?(verb: string, ...words: string[]): Promise<{ data?: any; error?: any }>;
  /** Everything that was received and answers no request: the welcome, what is said in rooms, pushes. */
  messages?: any[];
  /** Settles when the server has ended this client. */
  closed?: Promise<unknown>;
  /** Go away; without a goodbye. */
  close(): Promise<void> | void;
}

/** What a transport may be unable to do. */
export type Capability =
  /** One connection carries many requests, and the server can speak first. */
  | "persistence"
  /** The server can end a client. */
  | "goodbye"
  /** The client chooses the id that comes back with its answer. */
  | "messageIds"
  | "files"
  | "verbs"
  /** The verbs that keep params on the connection. */
  | "paramVerbs"
  | "rooms";

export interface ContractTransport {
  /** The type of its server. */
  type: string;
  /** Called with the server running; the contract closes what it opens. */
  connect(): Promise<ContractClient>;
  /** The text of an action's error, as clients of this transport see it (default: as it is). */
  errorText?: (text: string) => string;
  /** The text of a verb's error (default: as it is). */
  verbErrorText?: (text: string) => string;
  /** What it cannot do, each with the reason; all the rest is tested. */
  cannot?: Partial<Record<Capability, string>>;
}

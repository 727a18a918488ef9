/** The shape of `api.redis`. */
import type { log } from "../log/log";
import type { RedisClients } from "./clients";

/** Any message of the cluster's channel; at least `messageType` and `serverToken` are there. */
export interface PubSubMessage {
  [key: string]: any;
}

/** What a subscription handler gets: the message as it was published. */
export type SubscriptionHandler = (message: any) => unknown;

/** A call to another node that waits for its answer. */
export interface RpcCallback {
  timer: NodeJS.Timeout;
  resolve: (response: any) => void;
  reject: (error: Error) => void;
}

export interface RedisApi {
  clients: RedisClients;
  /** By `messageType`; assign one to receive messages of your own type. */
  subscriptionHandlers: { [messageType: string]: SubscriptionHandler };
  /** Calls that wait for their answer, by message id. */
  rpcCallbacks: { [messageId: string]: RpcCallback };
  status: { subscribed: boolean };
  /** Channels whose messages are taken besides `config.general.channel`. */
  channels: Set<string>;
}

declare module "../api" {
  interface Api {
    redis: RedisApi;
    /** Here so that every node can be told to log. */
    log: typeof log;
  }
}

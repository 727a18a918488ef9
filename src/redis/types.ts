/** The shape of `api.redis`. */
import type { log } from "../log/log";
import type { RedisClients } from "./clients";

/** Any message of the cluster's channel; at least `messageType` and `serverToken` are there. */
export interface PubSubMessage {
  [key: string]: any;
}

/** The message that a subscription handler gets, as published. */
export type SubscriptionHandler = (message: any) => unknown;

/** A pending call to another node. */
export interface RpcCallback {
  timer: NodeJS.Timeout;
  resolve: (response: any) => void;
  reject: (error: Error) => void;
}

export interface RedisApi {
  clients: RedisClients;
  /** By `messageType`; assign one to receive messages of your own type. */
  subscriptionHandlers: { [messageType: string]: SubscriptionHandler };
  /** Pending calls, by message id. */
  rpcCallbacks: { [messageId: string]: RpcCallback };
  status: { subscribed: boolean };
  /** Subscribed channels besides `config.general.channel`. */
  channels: Set<string>;
}

declare module "../api" {
  interface Api {
    redis: RedisApi;
    /** Here so that every node can be told to log. */
    log: typeof log;
  }
}

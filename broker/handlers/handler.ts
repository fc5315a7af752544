/**
 * What a handler is: one Kafka API, a decoded request in, a decoded response out. One file for each API exports a
 * handler made by `defineHandler`; `handlers.ts` lists them all, and ApiVersions is computed from that list, so that
 * what is announced and what is served are the same thing.
 *
 * A handler answers a bad request with Kafka's error codes. It throws only for a bug, or to end the connection
 * (CloseConnection) where Kafka's protocol has no answer.
 */
import type { Encodable, MessageTypes } from '../../protocol/index.ts';
import type { Lease } from '../../platform/buffer-pool.ts';
import type { Address } from '../../platform/network.ts';
import type { NodeServices } from './node-services.ts';

/** Names of the APIs: every request message without its ending. */
export type ApiName = keyof MessageTypes extends infer Name
  ? Name extends `${infer Api}Request`
    ? Api
    : never
  : never;

export type RequestOf<Api extends ApiName> = MessageTypes[`${Api}Request` & keyof MessageTypes];
export type ResponseOf<Api extends ApiName> = Encodable<MessageTypes[`${Api}Response` & keyof MessageTypes]>;

export interface RequestContext {
  readonly apiVersion: number;
  readonly correlationId: number;
  readonly clientId: string | null;
  /** The listener's name, and who speaks on it. */
  readonly listener: string;
  readonly principal: string;
  readonly remote: Address;
  readonly local: Address;
  readonly node: NodeServices;
  /**
   * The memory that the bytes and records of the request lie in. Who keeps any of a Produce request's beyond its answer
   * retains it; other requests' memory is the garbage collector's.
   */
  readonly frame: Lease;
  /** Whether the principal may do this; a handler answers Kafka's *_AUTHORIZATION_FAILED where it may not. */
  authorize(operation: AclOperation, resourceType: ResourceType, resourceName: string): boolean;
  /** Runs when the response has left or the connection has ended: the place to give back what the response borrowed. */
  onSent(release: () => void): void;
  /** True once the connection has ended, or the broker stops: a waiting request need not go on, or be answered. */
  readonly closed: boolean;
  /** Runs when the connection ends, or the broker stops, while this request waits. */
  onClosed(listener: () => void): void;
}

/** Kafka's ACL operations, by their protocol numbers. */
export type AclOperation =
  | 'READ'
  | 'WRITE'
  | 'CREATE'
  | 'DELETE'
  | 'ALTER'
  | 'DESCRIBE'
  | 'CLUSTER_ACTION'
  | 'DESCRIBE_CONFIGS'
  | 'ALTER_CONFIGS'
  | 'IDEMPOTENT_WRITE';

export type ResourceType = 'TOPIC' | 'GROUP' | 'CLUSTER' | 'TRANSACTIONAL_ID';

/** The name under which Kafka knows the one resource of type CLUSTER. */
export const clusterResource = 'kafka-cluster';

export interface Handler<Api extends ApiName = ApiName> {
  readonly api: Api;
  /** Lowest and highest version served; all between are. */
  readonly versions: readonly [min: number, max: number];
  /** `undefined` means that this request has no response (Produce with acks=0). */
  handle(
    context: RequestContext,
    request: RequestOf<Api>,
  ): ResponseOf<Api> | undefined | Promise<ResponseOf<Api> | undefined>;
}

/** A handler whose API has been forgotten, as the dispatcher's table holds it. */
export interface AnyHandler {
  readonly api: ApiName;
  readonly versions: readonly [min: number, max: number];
  handle(context: RequestContext, request: unknown): unknown;
}

/** Checks a handler's types against its API and forgets them for the table. */
export function defineHandler<Api extends ApiName>(handler: Handler<Api>): AnyHandler {
  return {
    api: handler.api,
    versions: handler.versions,
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the dispatcher decodes by this API's own codec.
    handle: (context, request) => handler.handle(context, request as RequestOf<Api>),
  };
}

/** Thrown by a handler to end the connection: Kafka has no answer for this case (an error with acks=0, say). */
export class CloseConnection extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = 'CloseConnection';
  }
}

/** From a frame to its handler and back: headers, versions, codecs. One for each node. */
import { Reader, apis, codec, decodeRequestHeader, encodeResponse } from '../../protocol/index.ts';
import type { Codec, MessageName } from '../../protocol/index.ts';
import type { AnyHandler, RequestContext } from '../handlers/handler.ts';
import type { NodeServices } from '../handlers/node-services.ts';

export interface RequestHeader {
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly correlationId: number;
  readonly clientId: string | null;
}

export interface IncomingRequest {
  readonly header: RequestHeader;
  readonly handler: AnyHandler;
  readonly body: unknown;
  readonly sizeBytes: number;
  /** Whether it may run beside others of its kind on one connection: Produce. */
  readonly overlaps: boolean;
  /** The version that the answer is written in: the request's, but 0 for an ApiVersions that is too new. */
  readonly answerVersion: number;
}

/** A request that Kafka answers by closing the connection; the message says why. */
export class UnreadableRequest extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UnreadableRequest';
  }
}

export interface DispatcherOptions {
  readonly node: NodeServices;
  readonly authorize: RequestContext['authorize'];
  /** Told of each answered request; `tookMs` runs from its start to its answer. */
  readonly observe: (api: string, tookMs: number) => void;
}

interface Route {
  readonly handler: AnyHandler;
  readonly requestCodecs: (Codec<unknown> | undefined)[];
}

const produceKey = 0;
const apiVersionsKey = 18;

export class Dispatcher {
  readonly node: NodeServices;
  readonly authorize: RequestContext['authorize'];
  readonly #observe: DispatcherOptions['observe'];
  readonly #routes = new Map<number, Route>();

  constructor(options: DispatcherOptions) {
    this.node = options.node;
    this.authorize = options.authorize;
    this.#observe = options.observe;
    const keys = new Map(apis.map((api) => [api.name, api.key]));
    for (const handler of options.node.handlers) {
      this.#routes.set(keys.get(handler.api)!, { handler, requestCodecs: [] });
    }
  }

  /** Whether this frame may start while earlier ones like it run; looks at nothing but its API key. */
  mayOverlap(frame: Buffer): boolean {
    return frame.readInt16BE(0) === produceKey;
  }

  /** Throws UnreadableRequest or ProtocolError for what cannot be served. */
  decode(frame: Buffer): IncomingRequest {
    const header = decodeRequestHeader(frame);
    const { apiKey, apiVersion } = header;
    const route = this.#routes.get(apiKey);
    if (route === undefined) throw new UnreadableRequest(`API key ${apiKey} is not served`);
    const { handler } = route;
    const overlaps = apiKey === produceKey;
    if (apiVersion < handler.versions[0] || apiVersion > handler.versions[1]) {
      if (apiKey !== apiVersionsKey) {
        throw new UnreadableRequest(
          `${handler.api} version ${apiVersion} is not served, only ${handler.versions.join(' to ')}`,
        );
      }
      return { header, handler, body: undefined, sizeBytes: frame.length, overlaps, answerVersion: 0 };
    }
    const requestCodec = (route.requestCodecs[apiVersion] ??= codec(
      `${handler.api}Request` as MessageName,
      apiVersion,
    ) as Codec<unknown>);
    // Like Kafka, this passes over bytes behind a request: librdkafka sends three when it asks for all topics.
    const body = requestCodec.read(new Reader(frame, header.bodyPosition));
    return { header, handler, body, sizeBytes: frame.length, overlaps, answerVersion: apiVersion };
  }

  /** ApiVersions in a version that is too new has no body to show: its handler answers that in version 0. */
  handle(request: IncomingRequest, context: RequestContext): unknown {
    return request.handler.handle(context, request.body);
  }

  encode(request: IncomingRequest, response: unknown): Buffer[] {
    const { apiKey, correlationId } = request.header;
    return encodeResponse({ apiKey, apiVersion: request.answerVersion, correlationId }, response);
  }

  observe(request: IncomingRequest, tookMs: number): void {
    this.#observe(request.handler.api, tookMs);
  }
}

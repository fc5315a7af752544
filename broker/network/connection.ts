/**
 * One client's connection: frames in, handlers called, responses out in the order of the requests.
 *
 * A request starts when all earlier ones of its connection are done, as in Kafka; so a Fetch sent right behind a Produce
 * sees it. Produce requests alone start while earlier Produce requests wait for their sync: that is where pipelining pays.
 *
 * Everything held is bounded: reading stops while the requests of this connection or of the node exceed their limits, and
 * while the peer does not take its responses.
 */
import { ProtocolError } from '../../protocol/index.ts';
import type { BufferPool, Lease } from '../../platform/buffer-pool.ts';
import type { FrameCutter } from '../../platform/frame-cutter.ts';
import type { ByteStream } from '../../platform/network.ts';
import { CloseConnection } from '../handlers/handler.ts';
import type { RequestContext } from '../handlers/handler.ts';
import { FrameError, requestCutter } from './request-cutter.ts';
import { UnreadableRequest } from './dispatcher.ts';
import type { Dispatcher, IncomingRequest } from './dispatcher.ts';
import type { RequestMemory } from './request-memory.ts';
import type { Logger } from '../logger.ts';

export interface ConnectionServices {
  readonly listener: string;
  readonly dispatcher: Dispatcher;
  readonly memory: RequestMemory;
  readonly requestBytesMax: number;
  readonly pool: BufferPool;
  /** Shared by the connections of a listener; see FrameCutter. */
  readonly scratch: Buffer;
  readonly logger: Logger;
  monotonicMs(): number;
  onEnd(connection: Connection): void;
}

/** Requests of one connection that may wait or run at one time, by count and by bytes. */
const requestsMax = 64;
const requestBytesInFlightMax = 16 * 1024 * 1024;

/** A frame that has arrived; its one reference is held until its request has been answered. */
interface Arrival {
  readonly frame: Buffer;
  readonly lease: Lease;
}

interface Exchange {
  readonly request: IncomingRequest;
  readonly lease: Lease;
  readonly startedMs: number;
  response: readonly Buffer[] | undefined;
  done: boolean;
  releases: (() => void)[] | undefined;
  closeListeners: (() => void)[] | undefined;
}

export class Connection {
  readonly stream: ByteStream;
  readonly #services: ConnectionServices;
  readonly #cutter: FrameCutter;
  /** Frames that have arrived and not started, oldest first. */
  readonly #waiting: Arrival[] = [];
  /** Requests that have started and whose response has not been written, oldest first. */
  readonly #running: Exchange[] = [];
  readonly #resume = (): void => this.#maybeResume();
  #unfinished = 0;
  #heldBytes = 0;
  /** Memory of the request that is arriving, as the node's account has it. */
  #arrivingBytes = 0;
  #paused = false;
  #congested = false;
  #draining = false;
  #ended = false;
  #pumping = false;
  /** When bytes last came, an answer was found, or answers that had piled up were taken. */
  lastActiveMs: number;

  constructor(stream: ByteStream, services: ConnectionServices) {
    this.stream = stream;
    this.#services = services;
    this.#cutter = requestCutter({
      frameBytesMax: services.requestBytesMax,
      pool: services.pool,
      scratch: services.scratch,
      onFrame: (frame, lease) => {
        this.#waiting.push({ frame, lease });
        this.#heldBytes += frame.length;
        services.memory.take(frame.length);
      },
    });
    this.lastActiveMs = services.monotonicMs();
    stream.onBytes({
      target: () => this.#cutter.target(),
      received: (count) => this.#receive(count),
    });
    stream.onDrain(() => {
      this.#congested = false;
      this.lastActiveMs = services.monotonicMs();
      this.#pump();
      this.#maybeResume();
    });
    stream.onClose((error) => this.#end(error));
  }

  /** True while a request of this connection has not been answered. */
  get busy(): boolean {
    return this.#running.length > 0 || this.#waiting.length > 0;
  }

  /** True while a handler works on a request of this connection. */
  get handling(): boolean {
    return this.#unfinished > 0;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Takes no further requests, answers those that run, then ends. */
  drain(): void {
    this.#draining = true;
    this.#dropWaiting();
    // A fetch that waits for more need not: its client asks another broker, or this one when it is back.
    for (const exchange of this.#running) this.#tellClosed(exchange);
    if (!this.busy) this.stream.end();
  }

  destroy(): void {
    this.stream.destroy();
  }

  #receive(count: number): void {
    if (this.#ended || this.#draining) return;
    this.lastActiveMs = this.#services.monotonicMs();
    try {
      this.#cutter.received(count);
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.#refuse(error.message);
      return;
    }
    if (!this.#accountArriving()) return;
    this.#pump();
    this.#maybePause();
  }

  /** Brings the node's account of what is arriving here up to date; false where there is no memory for it at all. */
  #accountArriving(): boolean {
    const { memory } = this.#services;
    const grownBytes = this.#cutter.partialBytes - this.#arrivingBytes;
    // Asked before this one counts: a request that is alone may be larger than the bound.
    const wasExhausted = memory.exhausted;
    this.#arrivingBytes += grownBytes;
    if (grownBytes > 0) memory.take(grownBytes);
    else if (grownBytes < 0) memory.give(-grownBytes);
    if (grownBytes <= 0 || !wasExhausted) return true;
    this.#refuse('no memory is left for its request; see queued.max.request.bytes');
    return false;
  }

  /** Whether the node's memory stops this connection: not one that is in the middle of a request, which would never end. */
  get #isOutOfMemory(): boolean {
    return this.#services.memory.full && this.#arrivingBytes === 0;
  }

  #overLimit(): boolean {
    return (
      this.#congested ||
      this.#heldBytes > requestBytesInFlightMax ||
      this.#waiting.length + this.#running.length > requestsMax ||
      this.#isOutOfMemory
    );
  }

  #maybePause(): void {
    if (this.#paused || this.#ended || !this.#overLimit()) return;
    this.#paused = true;
    this.stream.pause();
    if (this.#isOutOfMemory) this.#services.memory.onRoom(this.#resume);
  }

  #maybeResume(): void {
    if (!this.#paused || this.#ended) return;
    if (this.#overLimit()) {
      if (this.#isOutOfMemory) this.#services.memory.onRoom(this.#resume);
      return;
    }
    this.#paused = false;
    this.stream.resume();
  }

  /** Starts every waiting request that may start. */
  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      while (this.#waiting.length > 0 && !this.#ended && !this.#congested) {
        const { dispatcher } = this.#services;
        if (this.#unfinished > 0) {
          const joins = dispatcher.mayOverlap(this.#waiting[0]!.frame) && this.#running.every(isOverlapping);
          if (!joins) return;
        }
        this.#start(this.#waiting.shift()!);
      }
    } finally {
      this.#pumping = false;
    }
  }

  #start({ frame, lease }: Arrival): void {
    let request: IncomingRequest;
    try {
      request = this.#services.dispatcher.decode(frame);
    } catch (error) {
      this.#giveBack(frame.length, lease);
      if (error instanceof UnreadableRequest || error instanceof ProtocolError) this.#refuse(error.message);
      else this.#fail(error, 'a request could not be decoded');
      return;
    }
    const exchange: Exchange = {
      request,
      lease,
      startedMs: this.#services.monotonicMs(),
      response: undefined,
      done: false,
      releases: undefined,
      closeListeners: undefined,
    };
    this.#running.push(exchange);
    this.#unfinished++;
    try {
      const result = this.#services.dispatcher.handle(request, this.#context(exchange));
      if (result instanceof Promise) {
        result.then(
          (response) => this.#finish(exchange, response),
          (error: unknown) => this.#abandon(exchange, error),
        );
      } else {
        this.#finish(exchange, result);
      }
    } catch (error) {
      this.#abandon(exchange, error);
    }
  }

  #context(exchange: Exchange): RequestContext {
    const hasEnded = (): boolean => this.#ended || this.#draining;
    const { dispatcher, listener } = this.#services;
    const { header } = exchange.request;
    return {
      apiVersion: header.apiVersion,
      correlationId: header.correlationId,
      clientId: header.clientId,
      listener,
      principal: 'User:ANONYMOUS',
      remote: this.stream.remote,
      local: this.stream.local,
      node: dispatcher.node,
      frame: exchange.lease,
      authorize: dispatcher.authorize,
      onSent(release) {
        (exchange.releases ??= []).push(release);
      },
      get closed() {
        return hasEnded();
      },
      onClosed(listen) {
        (exchange.closeListeners ??= []).push(listen);
      },
    };
  }

  #finish(exchange: Exchange, response: unknown): void {
    exchange.done = true;
    exchange.closeListeners = undefined;
    this.#unfinished--;
    this.lastActiveMs = this.#services.monotonicMs();
    this.#giveBack(exchange.request.sizeBytes, exchange.lease);
    if (this.#ended) {
      release(exchange);
      return;
    }
    try {
      exchange.response =
        response === undefined ? undefined : this.#services.dispatcher.encode(exchange.request, response);
    } catch (error) {
      this.#fail(error, 'a response could not be encoded');
      release(exchange);
      return;
    }
    const tookMs = this.#services.monotonicMs() - exchange.startedMs;
    this.#services.dispatcher.observe(exchange.request, tookMs);
    this.#flush();
    this.#pump();
    this.#maybeResume();
    if (this.#draining && !this.busy) this.stream.end();
  }

  /** Writes the responses that are at the head of the line. */
  #flush(): void {
    while (this.#running.length > 0 && this.#running[0]!.done && !this.#ended) {
      const exchange = this.#running.shift()!;
      if (exchange.response === undefined) {
        release(exchange);
        continue;
      }
      const more = this.stream.write(exchange.response, exchange.releases && (() => release(exchange)));
      if (!more) {
        this.#congested = true;
        this.#maybePause();
      }
    }
  }

  #abandon(exchange: Exchange, error: unknown): void {
    exchange.done = true;
    this.#unfinished--;
    this.#giveBack(exchange.request.sizeBytes, exchange.lease);
    release(exchange);
    if (this.#ended) return;
    if (error instanceof CloseConnection) this.#refuse(error.message);
    else this.#fail(error, `the handler of ${exchange.request.handler.api} failed`);
  }

  #giveBack(sizeBytes: number, lease: Lease): void {
    lease.release();
    this.#heldBytes -= sizeBytes;
    this.#services.memory.give(sizeBytes);
  }

  #tellClosed(exchange: Exchange): void {
    const listeners = exchange.closeListeners ?? [];
    exchange.closeListeners = undefined;
    for (const listen of listeners) listen();
  }

  #dropWaiting(): void {
    for (const { frame, lease } of this.#waiting) this.#giveBack(frame.length, lease);
    this.#waiting.length = 0;
  }

  /** The peer's fault: one line that says why, and this connection alone ends. */
  #refuse(reason: string): void {
    if (this.#ended) return;
    this.#services.logger.warn({ peer: peerName(this.stream) }, `connection closed: ${reason}`);
    this.stream.destroy();
    // The stream says so later only; what has arrived behind this request must not be carried out until then.
    this.#end(undefined);
  }

  /** Our fault: the request is lost, the broker is not. */
  #fail(error: unknown, what: string): void {
    if (this.#ended) return;
    this.#services.logger.error({ err: error, peer: peerName(this.stream) }, `connection closed: ${what}`);
    this.stream.destroy();
    this.#end(undefined);
  }

  #end(error: Error | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    if (error !== undefined) {
      this.#services.logger.debug({ err: error, peer: peerName(this.stream) }, 'connection lost');
    }
    this.#services.memory.forget(this.#resume);
    this.#cutter.abandon();
    this.#services.memory.give(this.#arrivingBytes);
    this.#arrivingBytes = 0;
    this.#dropWaiting();
    for (const exchange of this.#running) {
      this.#tellClosed(exchange);
      if (exchange.done) release(exchange);
    }
    this.#running.length = 0;
    this.#services.onEnd(this);
  }
}

function isOverlapping(exchange: Exchange): boolean {
  return exchange.done || exchange.request.overlaps;
}

function release(exchange: Exchange): void {
  const releases = exchange.releases;
  exchange.releases = undefined;
  if (releases !== undefined) for (const give of releases) give();
}

function peerName(stream: ByteStream): string {
  return `${stream.remote.host}:${stream.remote.port}`;
}

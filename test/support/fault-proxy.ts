/**
 * A TCP proxy before a broker, whose connections fail in the ways that networks have: they are slow, end at some byte, are reset, say
 * nothing, or stop saying anything. What becomes of a connection is drawn when it is made.
 */
import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Random } from '../../platform/random.ts';

/** 'up': what the client sends; 'down': what it is answered. */
export type Direction = 'up' | 'down';

/** It comes about after so many bytes of one direction. */
type Ending<F> = F & { readonly direction: Direction; readonly afterBytes: number };

export type Fault =
  | { readonly kind: 'none' }
  /** After so many bytes of one direction both sides see the end, or a reset. */
  | Ending<{ readonly kind: 'cut' | 'reset' }>
  /** Everything arrives so much later, until it is cut. */
  | Ending<{ readonly kind: 'delay'; readonly delayMs: number }>
  /** One direction gets so few bytes at a time, a millisecond apart, until it is cut. */
  | Ending<{ readonly kind: 'drip'; readonly pieceBytes: number }>
  /** It is taken, and nobody is behind it. */
  | { readonly kind: 'mute' }
  /** After so many bytes of one direction nothing arrives any more, either way, and it stays open. */
  | Ending<{ readonly kind: 'freeze' }>
  /** It ends as soon as it is taken. */
  | { readonly kind: 'refuse' };

export const noFault: Fault = { kind: 'none' };

export class FaultProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #open = new Set<ProxiedConnection>();
  /** The broker's port. */
  targetPort = 0;
  /** Of the next connection. */
  next: () => Fault = () => noFault;
  /** Runs when a fault has come about. */
  onFault: () => void = () => undefined;
  /** How often each fault came about: connections that ended before it was due are not counted. */
  readonly counts = new Map<Fault['kind'], number>();

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket) => this.#onConnection(socket));
  }

  static async listen(): Promise<FaultProxy> {
    const server = createServer({ noDelay: true });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    return new FaultProxy(server);
  }

  get port(): number {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it listens on a port, not on a path
    return (this.#server.address() as AddressInfo).port;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Connections that are open right now. */
  get openCount(): number {
    return this.#open.size;
  }

  /** From now on nothing fails; connections that were to fail are ended. */
  heal(): void {
    this.next = () => noFault;
    for (const connection of this.#open) if (connection.fault.kind !== 'none') connection.end();
  }

  endAll(): void {
    for (const connection of this.#open) connection.end();
  }

  /** From now on nothing arrives any more on the connections that are open. */
  freezeAll(): void {
    for (const connection of this.#open) connection.freeze();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.endAll();
    await closed;
  }

  #onConnection(client: Socket): void {
    const fault = this.next();
    const connection: ProxiedConnection = new ProxiedConnection(client, this.targetPort, fault, {
      onFault: () => {
        this.counts.set(fault.kind, (this.counts.get(fault.kind) ?? 0) + 1);
        this.onFault();
      },
      onEnd: () => this.#open.delete(connection),
    });
    this.#open.add(connection);
    connection.start();
  }
}

class ProxiedConnection {
  readonly fault: Fault;
  readonly #client: Socket;
  readonly #targetPort: number;
  readonly #events: { readonly onFault: () => void; readonly onEnd: () => void };
  readonly #passed = { up: 0, down: 0 };
  #broker: Socket | undefined;
  #hasFailed = false;
  #isFrozen = false;
  #isOver = false;

  constructor(
    client: Socket,
    targetPort: number,
    fault: Fault,
    events: { readonly onFault: () => void; readonly onEnd: () => void },
  ) {
    this.#client = client;
    this.#targetPort = targetPort;
    this.fault = fault;
    this.#events = events;
  }

  start(): void {
    this.#watch(this.#client);
    const { kind } = this.fault;
    if (kind === 'delay' || kind === 'drip' || kind === 'mute' || kind === 'refuse') this.#failed();
    if (kind === 'refuse') return this.end();
    if (kind === 'mute') return void this.#client.resume();
    const broker = connect({ host: '127.0.0.1', port: this.#targetPort, noDelay: true });
    this.#broker = broker;
    this.#watch(broker);
    this.#pass('up', this.#client, broker);
    this.#pass('down', broker, this.#client);
    return undefined;
  }

  freeze(): void {
    this.#isFrozen = true;
  }

  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#client.destroy();
    this.#broker?.destroy();
    this.#events.onEnd();
  }

  /** Who is frozen does not see either that the other side has gone. */
  #watch(socket: Socket): void {
    // The end follows, and is what counts.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (!this.#isFrozen || socket === this.#client) this.end();
    });
  }

  #pass(direction: Direction, from: Socket, to: Socket): void {
    const { fault } = this;
    from.on('data', (chunk: Buffer) => {
      if (fault.kind === 'delay') setTimeout(() => this.#give(direction, to, chunk), fault.delayMs);
      else if (fault.kind === 'drip' && fault.direction === direction) {
        from.pause();
        this.#drip(from, to, chunk, fault.pieceBytes);
      } else this.#give(direction, to, chunk);
    });
  }

  #give(direction: Direction, to: Socket, chunk: Buffer): void {
    if (this.#isOver || this.#isFrozen) return;
    const { fault } = this;
    const before = this.#passed[direction];
    this.#passed[direction] += chunk.length;
    const isHere = 'afterBytes' in fault && fault.direction === direction;
    if (!isHere || this.#passed[direction] < fault.afterBytes) return void to.write(chunk);
    this.#failed();
    const end = (): void => (fault.kind === 'freeze' ? this.freeze() : this.#break(fault.kind === 'reset'));
    // What came before is to arrive: a reset would overtake it.
    to.write(chunk.subarray(0, Math.max(0, fault.afterBytes - before)), end);
    if (fault.kind === 'freeze') this.freeze();
    return undefined;
  }

  #break(isReset: boolean): void {
    if (isReset) {
      this.#client.resetAndDestroy();
      this.#broker?.resetAndDestroy();
    }
    this.end();
  }

  #drip(from: Socket, to: Socket, rest: Buffer, pieceBytes: number): void {
    if (this.#isOver) return;
    if (rest.length === 0) return void from.resume();
    if (!this.#isFrozen) to.write(rest.subarray(0, pieceBytes));
    setTimeout(() => this.#drip(from, to, rest.subarray(pieceBytes), pieceBytes), 1);
    return undefined;
  }

  #failed(): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#events.onFault();
  }
}

/** Draws a fault for a connection: none lasts for ever. */
export function drawFault(random: Random): Fault {
  const direction = random.below(2) === 0 ? 'up' : 'down';
  // Some end in the first exchange, some in the middle of much data.
  const afterBytes = 1 + random.below([500, 3_000, 15_000][random.below(3)]!);
  const draw = random.below(100);
  if (draw < 40) return { kind: 'cut', direction, afterBytes };
  if (draw < 70) return { kind: 'reset', direction, afterBytes };
  if (draw < 80) return { kind: 'delay', direction, afterBytes, delayMs: 1 + random.below(50) };
  if (draw < 88) return { kind: 'drip', direction, afterBytes, pieceBytes: 10 + random.below(500) };
  if (draw < 93) return { kind: 'refuse' };
  if (draw < 98) return { kind: 'freeze', direction, afterBytes };
  return { kind: 'mute' };
}

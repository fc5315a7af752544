/**
 * The network between simulated machines: byte streams over links that are slow or cut, in one direction or both. What is sent over a cut
 * link waits, as what TCP sends again and again does, and arrives when the link is healed; who connects over one waits until its
 * patience ends. To a frozen process connections are made, as its machine does that for it, and nothing comes of them. A process that is killed resets its connections; of a machine without power nothing is heard until it is up again.
 */
import type { Clock, Timer } from '../../../platform/clock.ts';
import { MemoryByteStream, linkStreams } from '../../../platform/memory-byte-stream.ts';
import type { MemoryLink } from '../../../platform/memory-byte-stream.ts';
import { NetworkError } from '../../../platform/network.ts';
import type { Address, ByteStream, ConnectOptions, Listener, Network } from '../../../platform/network.ts';
import type { Random } from '../../../platform/random.ts';
import type { Trace } from '../trace.ts';

const firstFreePort = 49_152;
/** One connection in so many has its bytes cut into pieces of any size. */
const cutsPiecesOneIn = 12;

/** One direction. */
interface Direction {
  isCut: boolean;
  slowness: number;
  held: (() => void)[];
}

interface Host {
  readonly name: string;
  life: HostLife | undefined;
  /** Ends of connections of lives that ended without a word, to be reset when the machine is up again. */
  silent: OpenStream[];
}

/** The clock of a process, which may be frozen. */
export interface ArrivalClock extends Clock {
  /** Takes what comes to the process, when it runs. */
  arrive(action: () => void): void;
}

interface OpenStream {
  readonly peer: MemoryByteStream;
  readonly remote: string;
}

export interface HostNetworkOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** On average. */
  readonly latencyMs: number;
  readonly trace: Trace;
}

export class HostNetwork {
  readonly #options: HostNetworkOptions;
  readonly #hosts = new Map<string, Host>();
  readonly #directions = new Map<string, Direction>();
  #nextPort = firstFreePort;
  readonly counts = { connections: 0, refused: 0, 'held events': 0, events: 0 };

  constructor(options: HostNetworkOptions) {
    this.#options = options;
  }

  /** A process starts on a host, with a clock that ends with it. */
  boot(name: string, clock: ArrivalClock): HostLife {
    const host = this.#host(name);
    const life = new HostLife(name, clock, this);
    host.life = life;
    for (const stream of host.silent.splice(0)) this.#reset(name, stream);
    return life;
  }

  cut(from: string, to: string): void {
    this.#direction(from, to).isCut = true;
  }

  slowDown(from: string, to: string, times: number): void {
    this.#direction(from, to).slowness = times;
  }

  /** All links are as they should be, and what was held goes on its way. */
  heal(): void {
    for (const direction of this.#directions.values()) {
      direction.isCut = false;
      direction.slowness = 1;
      for (const action of direction.held.splice(0)) {
        this.#options.clock.after(this.latencyMs(direction), action);
      }
    }
  }

  get cutLinks(): number {
    return [...this.#directions.values()].filter(({ isCut }) => isCut).length;
  }

  /** For lives. */
  freePort(): number {
    return this.#nextPort++;
  }

  /** For lives: what happens at `to` because of what was done at `from`. */
  cross(from: string, to: string, action: () => void, delayMs?: number): Timer {
    const direction = this.#direction(from, to);
    let isCancelled = false;
    const arrive = (): void => {
      if (isCancelled) return;
      this.counts.events++;
      if (!direction.isCut) return action();
      this.counts['held events']++;
      direction.held.push(arrive);
    };
    this.#options.clock.after(delayMs ?? this.latencyMs(direction), arrive);
    return {
      cancel: () => {
        isCancelled = true;
      },
    };
  }

  /** For lives. */
  link(life: HostLife, remote: string): MemoryLink {
    const { random } = this.#options;
    const direction = this.#direction(life.host, remote);
    const clock: Clock = {
      monotonicMs: () => life.clock.monotonicMs(),
      wallMs: () => life.clock.wallMs(),
      // What happens at once happens within the process; all else goes over the link.
      after: (delayMs, action) =>
        delayMs === 0
          ? life.clock.after(0, action)
          : this.cross(life.host, remote, () => life.clock.arrive(action), delayMs),
    };
    const isCut = random.below(cutsPiecesOneIn) === 0;
    return {
      clock,
      latencyMs: () => this.latencyMs(direction),
      // Each piece travels by itself: with too many of them a slow link never catches up with what is sent.
      get random() {
        return isCut && direction.slowness === 1 && random.below(8) === 0 ? random : undefined;
      },
    };
  }

  /** For lives: rejects as Network says. */
  connect(life: HostLife, address: Address, timeoutMs: number): Promise<ByteStream> {
    const goal = `connect to ${address.host}:${address.port}`;
    return new Promise((resolve, reject) => {
      let isOver = false;
      const timer = life.clock.after(timeoutMs, () => {
        isOver = true;
        reject(new NetworkError('timeout', `Could not ${goal}: no answer within ${timeoutMs} ms.`));
      });
      const answer = (action: () => void): void => {
        this.cross(address.host, life.host, () => {
          life.clock.arrive(() => {
            if (isOver) return;
            isOver = true;
            timer.cancel();
            action();
          });
        });
      };
      this.cross(life.host, address.host, () => {
        const there = this.#host(address.host).life;
        if (isOver || life.hasEnded || there === undefined) return;
        const accept = there.listeners.get(address.port);
        if (accept === undefined) {
          this.counts.refused++;
          answer(() => reject(new NetworkError('refused', `Could not ${goal}: nobody listens there.`)));
          return;
        }
        this.counts.connections++;
        this.#options.trace.note(this.#options.clock.monotonicMs(), 'connection', `${life.host} ${goal}`);
        const local = { host: life.host, port: this.#nextPort++ };
        const near = new MemoryByteStream(this.link(life, address.host), local, address);
        const far = new MemoryByteStream(this.link(there, life.host), address, local);
        linkStreams(near, far);
        life.streams.push({ peer: far, remote: address.host });
        there.streams.push({ peer: near, remote: life.host });
        // Who has gone meanwhile is not met any more.
        there.clock.arrive(() => (far.isClosed ? undefined : accept(far)));
        answer(() => resolve(near));
      });
    });
  }

  /** For lives: the process has ended; `silently` where the machine has. */
  ended(life: HostLife, silently: boolean): void {
    const host = this.#host(life.host);
    if (host.life !== life) return;
    if (silently) {
      host.life = undefined;
      host.silent.push(...life.streams);
    } else for (const stream of life.streams) this.#reset(life.host, stream);
  }

  latencyMs({ slowness }: Direction): number {
    const { random, latencyMs } = this.#options;
    return (latencyMs * slowness * (1 + random.below(1024))) / 512;
  }

  #reset(from: string, { peer, remote }: OpenStream): void {
    this.cross(from, remote, () =>
      peer.reset(new NetworkError('reset', `${from} has reset the connection.`)),
    );
  }

  #host(name: string): Host {
    let host = this.#hosts.get(name);
    if (host === undefined) {
      host = { name, life: undefined, silent: [] };
      this.#hosts.set(name, host);
    }
    return host;
  }

  #direction(from: string, to: string): Direction {
    const key = `${from}>${to}`;
    let direction = this.#directions.get(key);
    if (direction === undefined) {
      direction = { isCut: false, slowness: 1, held: [] };
      this.#directions.set(key, direction);
    }
    return direction;
  }
}

/** The network as one process on one host sees it. */
export class HostLife implements Network {
  readonly host: string;
  readonly clock: ArrivalClock;
  readonly listeners = new Map<number, (stream: ByteStream) => void>();
  readonly streams: OpenStream[] = [];
  readonly #network: HostNetwork;
  hasEnded = false;

  constructor(host: string, clock: ArrivalClock, network: HostNetwork) {
    this.host = host;
    this.clock = clock;
    this.#network = network;
  }

  listen({ port: wanted }: Address, onConnection: (stream: ByteStream) => void): Promise<Listener> {
    const { host } = this;
    const port = wanted === 0 ? this.#network.freePort() : wanted;
    if (this.listeners.has(port)) {
      const text = `Could not listen on ${host}:${port}: another listener does.`;
      return Promise.reject(new NetworkError('address-in-use', text));
    }
    this.listeners.set(port, onConnection);
    return Promise.resolve({
      address: { host, port },
      onFailure: () => undefined,
      close: () => {
        this.listeners.delete(port);
        return Promise.resolve();
      },
    });
  }

  connect(address: Address, { timeoutMs }: ConnectOptions): Promise<ByteStream> {
    return this.#network.connect(this, address, timeoutMs);
  }

  /** The process is gone; `silently`: with its machine. */
  end(silently: boolean): void {
    this.hasEnded = true;
    this.listeners.clear();
    this.#network.ended(this, silently);
  }
}

/** Frames between nodes of one process: handed over in a turn of their own, or lost where a link is cut. */
import type { Transport, TransportEvents } from '../../../broker/peers/transport.ts';
import { lend } from '../../support/lent-memory.ts';

export class DataLinks {
  readonly #nodes = new Map<number, TransportEvents>();
  readonly #cut = new Set<string>();
  frames = 0;

  transportOf(from: number): Transport {
    return {
      send: (to, parts, release) => {
        const frame = Buffer.concat(parts);
        release();
        this.frames++;
        setImmediate(() => {
          if (this.#cut.has(`${from}>${to}`) || !this.#nodes.has(from)) return;
          lend(frame, (bytes, lease) => this.#nodes.get(to)?.received(bytes, lease));
        });
      },
    };
  }

  attach(nodeId: number, events: TransportEvents): void {
    this.#nodes.set(nodeId, events);
  }

  detach(nodeId: number): void {
    this.#nodes.delete(nodeId);
  }

  /** Nothing gets through either way until `heal`. */
  cut(one: number, other: number): void {
    this.#cut.add(`${one}>${other}`).add(`${other}>${one}`);
  }

  heal(): void {
    this.#cut.clear();
  }
}

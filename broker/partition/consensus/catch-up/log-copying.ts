/** All copying of logs between this node and others: gives what others ask for, and copies what its own replicas lack, a few at a time. */
import type { Clock } from '../../../../platform/clock.ts';
import type { Disk } from '../../../../platform/disk.ts';
import type { PeerRequests, PeerService } from '../../../peers/peer-requests.ts';
import { CopyPace } from './copy-pace.ts';
import { SendPace } from './send-pace.ts';
import type { ReplicationThrottles } from './send-pace.ts';
import { CopyService } from './copy-service.ts';
import type { CopySource } from './copy-service.ts';
import { SegmentCopy } from './segment-copy.ts';
import type { CopyOrder } from './segment-copy.ts';
import type { StagedLog } from './staged-log.ts';

export interface LogCopyingOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly requests: PeerRequests;
  /** No other start of any node has had it. */
  readonly incarnation: string;
  /**
   * Of all logs that this node copies from others, together, and of all entries that it sends to learners; read again at each use.
   * Infinity for no limit.
   */
  readonly bytesPerSecondMax: () => number;
  readonly throttles?: ReplicationThrottles;
}

/** Logs that are copied at one time; the others wait. */
const copiesMax = 4;

export class LogCopying {
  readonly #options: LogCopyingOptions;
  /** For what this node sends to learners. */
  readonly sending: SendPace;
  readonly #service: CopyService;
  readonly #pace: CopyPace;
  #running = 0;
  readonly #waiting: (() => void)[] = [];
  readonly #written = new Set<string>();
  /** The last copy into each log's directory: a replica that was closed and opened again must not meet the one of before. */
  readonly #last = new Map<string, Promise<unknown>>();

  constructor(options: LogCopyingOptions) {
    const { clock, incarnation, bytesPerSecondMax, throttles } = options;
    this.#options = options;
    this.sending = new SendPace({ clock, entriesPerSecondMax: bytesPerSecondMax, throttles });
    this.#service = new CopyService(clock, incarnation, this.sending);
    this.#pace = new CopyPace({ clock, bytesPerSecondMax });
  }

  /** For questions of the kind `copy`. */
  get serve(): PeerService {
    return this.#service.serve;
  }

  /** Copies of this node's logs that are under way. */
  get heldCount(): number {
    return this.#service.heldCount;
  }

  /** Bytes of files that this node has copied from others. */
  get copiedBytes(): number {
    return this.#pace.chargedBytes;
  }

  /** Others may copy this log from now on. */
  add(group: string, source: CopySource): void {
    this.#service.add(group, source);
  }

  remove(group: string): void {
    this.#service.remove(group);
  }

  /** Resolves with a log that can take the place of the order's. Rejects with a CopyFailed, a MalformedCopy, a PeerError or a DiskError. */
  async copy(order: CopyOrder): Promise<StagedLog> {
    const { directory } = order.log;
    const copied = (this.#last.get(directory) ?? Promise.resolve()).then(() => this.#copy(order));
    // The next one only waits for the end; the failure is the caller's.
    const ended = copied.catch(() => undefined);
    this.#last.set(directory, ended);
    try {
      return await copied;
    } finally {
      if (this.#last.get(directory) === ended) this.#last.delete(directory);
    }
  }

  async #copy(order: CopyOrder): Promise<StagedLog> {
    while (this.#running >= copiesMax) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#running++;
    try {
      const { throttles } = this.#options;
      const isHeldBack = (): boolean => throttles?.isCopyThrottled(order.group, order.from) === true;
      const options = { ...this.#options, pace: this.#pace, written: this.#written, isHeldBack };
      return await new SegmentCopy(options, order).run();
    } finally {
      this.#running--;
      this.#waiting.shift()?.();
    }
  }

  /** What others are copying from here ends. */
  close(): void {
    this.#service.close();
  }
}

/** A coordinator's view of the partition that holds its state, for one term of its leadership. */
import { encodeBatch, readBatchHeader } from '../../protocol/index.ts';
import type { Replica } from '../partition/replica.ts';
import { CoordinatorLogError } from './coordinator-log.ts';
import type {
  CoordinatorLog,
  CoordinatorLogObserver,
  CoordinatorLogRead,
  CoordinatorRecord,
} from './coordinator-log.ts';

export class ReplicaCoordinatorLog implements CoordinatorLog {
  readonly term: number;
  readonly #replica: Replica;

  constructor(replica: Replica) {
    this.#replica = replica;
    this.term = replica.term;
  }

  get startOffset(): number {
    return this.#replica.logStartOffset;
  }

  get committedOffset(): number {
    return this.#replica.highWatermark;
  }

  ready(): Promise<number> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (!this.#leads()) reject(this.#lost());
        else if (this.#replica.ready) resolve(this.#replica.highWatermark);
        else this.#replica.watch(look);
      };
      look();
    });
  }

  async read(range: {
    offset: number;
    endOffset: number;
    sizeBytesMax: number;
  }): Promise<CoordinatorLogRead> {
    if (range.offset >= range.endOffset) return { parts: [], release() {} };
    return this.#replica.read(range.offset, range.sizeBytesMax, true);
  }

  append(records: readonly CoordinatorRecord[]): { readonly endOffset: number } {
    if (!this.#leads()) throw this.#lost();
    const batch = encodeBatch(records);
    const outcome = this.#replica.append(batch, readBatchHeader(batch));
    if (outcome.kind === 'appended') return { endOffset: outcome.baseOffset + records.length };
    if (!this.#leads()) throw this.#lost();
    const { topic, partition } = this.#replica;
    const error = outcome.kind === 'refused' ? outcome.error : outcome.kind;
    throw new CoordinatorLogError('refused', `${topic}-${partition} takes no records now (${error})`);
  }

  async confirmLeadership(): Promise<boolean> {
    return this.#leads() && (await this.#replica.confirmRead()) !== undefined && this.#leads();
  }

  observe(observer: CoordinatorLogObserver): void {
    let told = this.#replica.highWatermark;
    const look = (): void => {
      const { highWatermark } = this.#replica;
      if (highWatermark > told) {
        told = highWatermark;
        observer.committed(highWatermark);
      }
      if (this.#leads()) this.#replica.watch(look);
      else observer.lost(this.#lost());
    };
    this.#replica.watch(look);
  }

  #leads(): boolean {
    return this.#replica.isLeader && this.#replica.term === this.term && !this.#replica.failed;
  }

  #lost(): CoordinatorLogError {
    const { topic, partition } = this.#replica;
    if (this.#replica.failed)
      return new CoordinatorLogError('failed', `the log of ${topic}-${partition} has failed`);
    return new CoordinatorLogError(
      'not-leader',
      `${topic}-${partition} is not led by this node in term ${this.term}`,
    );
  }
}

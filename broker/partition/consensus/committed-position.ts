/**
 * How far a member's log is committed: what consensus says, and the high watermark, which is that as a Kafka offset, as far as the log
 * holds what is committed. Invariant: the high watermark never goes back, but where data was lost under `write.caching`.
 */
import { assert } from '../../../platform/assert.ts';
import type { CommitLog } from '../../log/commit-log.ts';
import type { PlacedConfiguration } from '../../raft/configuration.ts';
import type { TermLogState } from '../../raft/term-log.ts';
import type { GroupLog } from './group-log.ts';

export class CommittedPosition {
  readonly #log: CommitLog;
  readonly #entries: GroupLog;
  /** As consensus has said last; more than the log may hold yet. */
  endIndex: number;
  #highWatermark: number;
  /** The configuration in the file beside the log: the newest that is known to be committed where the log holds none. */
  kept: PlacedConfiguration;

  constructor(
    log: CommitLog,
    entries: GroupLog,
    { startIndex, endIndex }: Pick<TermLogState, 'startIndex' | 'endIndex'>,
    kept: PlacedConfiguration,
  ) {
    this.#log = log;
    this.#entries = entries;
    // The log may have lost the part in which it stood; a leader will say what stands there now.
    this.kept = { ...kept, index: Math.min(kept.index, endIndex - 1) };
    this.endIndex = startIndex;
    this.#highWatermark = log.offsetOfIndex(startIndex);
  }

  get highWatermark(): number {
    return this.#highWatermark;
  }

  /** The newest committed configuration, of those below `limitIndex`. */
  configuration(limitIndex = Infinity): PlacedConfiguration {
    const endIndex = Math.min(this.endIndex, limitIndex, this.#entries.placedEndIndex);
    return this.#entries.configurationAt(endIndex, this.kept);
  }

  /**
   * All before it is committed, as far as the log holds it. After a start this member may know by the kept configuration alone, and
   * what it gives of its log to others is no use to them below that: what held there is not known any more.
   */
  get copyableEndIndex(): number {
    return this.#entries.holdsConfiguration(this.kept)
      ? Math.max(this.endIndex, this.kept.index + 1)
      : this.endIndex;
  }

  /** The committed end or the log has moved. False while the log becomes another one: its positions are of neither. */
  advance(): boolean {
    if (this.#entries.isReplacing) return false;
    const endIndex = Math.min(this.endIndex, this.#entries.placedEndIndex);
    const highWatermark = this.#log.offsetOfIndex(endIndex);
    assert(
      highWatermark <= this.#log.logEndOffset || !this.#entries.isAtRest,
      'the high watermark is in the log',
    );
    if (highWatermark > this.#highWatermark) this.#highWatermark = highWatermark;
    return true;
  }

  lose(fromIndex: number): void {
    // Which one held there is not known; the leader's log has it if there has been another one since.
    if (this.kept.index >= fromIndex) this.kept = { ...this.kept, index: fromIndex - 1 };
    this.endIndex = Math.min(this.endIndex, fromIndex);
    // The log that has taken the place of this one may begin after it.
    const fromOffset = Math.max(this.#log.logStartOffset, this.#log.offsetOfIndex(fromIndex));
    this.#highWatermark = Math.min(this.#highWatermark, fromOffset);
  }
}

/** What consensus tells of one member, passed on to the simulation; and what a replica does about it: it keeps configurations, and deletes records. */
import type { LogDamage } from '../../../broker/log/log-types.ts';
import { decodeDeleteRecords } from '../../../broker/log/raft-only.ts';
import type { PlacedRaftOnlyEntry } from '../../../broker/log/raft-only.ts';
import type { ConsensusListener } from '../../../broker/partition/consensus/consensus-types.ts';
import { KeptConfiguration } from '../../../broker/partition/kept-configuration.ts';
import { removeRepairFloor } from '../../../broker/partition/repair-floor.ts';
import { RecordDeletions } from '../../../broker/partition/record-deletions.ts';
import type { PlacedConfiguration } from '../../../broker/raft/configuration.ts';
import type { MemberId } from '../../../broker/raft/member.ts';
import type { HardState } from '../../../broker/raft/raft.ts';
import type { Disk } from '../../../platform/disk.ts';
import { batchField, readBatchHeader } from '../../../protocol/index.ts';
import { check } from '../simulation-failure.ts';
import type { ClusterGroup } from './cluster-life.ts';

/** What the simulation learns of the members on one node. */
export interface GroupObserver {
  /** Found at the opening, before anything else. */
  opened(group: number, state: HardState): void;
  damaged(group: number, damage: LogDamage): void;
  /** A term or vote is durable. */
  promised(group: number, state: HardState): void;
  /** Something went wrong that nothing but a failing disk explains. */
  troubled(what: string, error: unknown): void;
  roleChanged(group: ClusterGroup): void;
  committed(group: ClusterGroup): void;
  /** Stands in the log from `index` on. */
  appended(group: ClusterGroup, index: number, batch: { term: number; crc: string }): void;
  truncated(group: ClusterGroup): void;
  configured(group: ClusterGroup, placed: PlacedConfiguration): void;
  configurationCommitted(group: ClusterGroup, placed: PlacedConfiguration): void;
  /** The file has this one, durably. */
  configurationKept(group: ClusterGroup, placed: PlacedConfiguration): void;
  transferEnded(group: ClusterGroup, reason: 'handed-over' | 'timed-out' | 'aborted'): void;
  /** A read that was asked for may be served once `endIndex` is covered; undefined: by another leader. */
  readConfirmed(token: number, endIndex: number | undefined): void;
  repaired(group: ClusterGroup): void;
  dataLost(group: ClusterGroup, fromIndex: number): void;
  /** It lacks what its leader has no longer. */
  catchUpRefused(group: ClusterGroup): void;
  catchUpFailed(group: ClusterGroup, error: unknown): void;
  /** It holds a copy of its leader's log now. */
  logReplaced(group: ClusterGroup): void;
  /** The member has left its group, until it is opened again. */
  failed(group: ClusterGroup, cause: unknown): void;
}

export interface GroupListenerOptions {
  readonly observer: GroupObserver;
  readonly disk: Disk;
  readonly number: number;
  /** What the configuration's file has. */
  readonly kept: PlacedConfiguration;
}

export class GroupListener implements ConsensusListener {
  readonly #options: GroupListenerOptions;
  #group: ClusterGroup | undefined;
  #deletions: RecordDeletions | undefined;
  #highWatermark = 0;
  #kept: KeptConfiguration | undefined;

  constructor(options: GroupListenerOptions) {
    this.#options = options;
  }

  /** Before the member joins its group. */
  attach(group: ClusterGroup): void {
    const { disk, kept } = this.#options;
    this.#group = group;
    this.#kept = new KeptConfiguration(disk, group.log.directory, kept);
    this.#deletions = this.#newDeletions(group);
  }

  #newDeletions({ log }: ClusterGroup): RecordDeletions {
    const deletable = {
      get logStartOffset(): number {
        return log.logStartOffset;
      },
      advanceLogStart: (offset: number) => this.#shorten(() => log.advanceLogStart(offset)),
    };
    const deletions = new RecordDeletions(deletable, (error) =>
      this.#options.observer.troubled('a deletion of records', error),
    );
    for (const entry of log.raftOnlyEntries()) noteDeletion(deletions, entry);
    return deletions;
  }

  /** Retention: what is past it, below `limitOffset`, goes. */
  async retain(limitOffset: number): Promise<void> {
    await this.#shorten(async () => {
      await this.#opened.log.deleteOldSegments(limitOffset);
    });
  }

  roleChanged(): void {
    this.#options.observer.roleChanged(this.#opened);
  }

  committed(): void {
    const { consensus, number, member } = this.#opened;
    check(
      consensus.highWatermark >= this.#highWatermark,
      () => `the high watermark of ${number} on ${member} goes back`,
    );
    this.#highWatermark = consensus.highWatermark;
    this.#options.observer.committed(this.#opened);
    this.#deletions!.committed(consensus.committedEndIndex, consensus.highWatermark);
  }

  stored(): void {}

  batchReceived(batch: Buffer): void {
    const { log, producers } = this.#opened;
    const header = readBatchHeader(batch);
    producers.appended(header, header.baseOffset);
    this.#noteAppended(log.endIndex - header.lastOffsetDelta - 1, header.partitionLeaderEpoch, batch);
  }

  raftOnlyAppended(entry: PlacedRaftOnlyEntry): void {
    noteDeletion(this.#deletions!, entry);
    const { index, term, kind, payload } = entry;
    const content = { term, crc: Buffer.concat([Buffer.from(kind), payload]).toString('hex') };
    this.#options.observer.appended(this.#opened, index, content);
  }

  /** A leader has taken this batch. */
  batchAppended(batch: Buffer, baseIndex: number): void {
    const header = readBatchHeader(batch);
    this.#opened.producers.appended(header, header.baseOffset);
    this.#noteAppended(baseIndex, header.partitionLeaderEpoch, batch);
  }

  truncated(endIndex: number): Promise<void> {
    this.#options.observer.truncated(this.#opened);
    this.#deletions!.truncated(endIndex);
    return this.#opened.producers.truncated();
  }

  configurationChanged(configuration: PlacedConfiguration['configuration'], index: number): void {
    this.#options.observer.configured(this.#opened, { configuration, index });
  }

  configurationCommitted(placed: PlacedConfiguration): void {
    this.#options.observer.configurationCommitted(this.#opened, placed);
    this.#keepInPassing();
  }

  transferEnded(_to: MemberId, reason: 'handed-over' | 'timed-out' | 'aborted'): void {
    this.#options.observer.transferEnded(this.#opened, reason);
  }

  readConfirmed(token: number, endIndex: number | undefined): void {
    this.#options.observer.readConfirmed(token, endIndex);
  }

  dataLost(fromIndex: number): void {
    const { consensus } = this.#opened;
    this.#highWatermark = Math.min(this.#highWatermark, consensus.highWatermark);
    this.#options.observer.dataLost(this.#opened, fromIndex);
    this.#keepInPassing();
  }

  repaired(): void {
    const { disk, observer } = this.#options;
    removeRepairFloor(disk, this.#opened.log.directory).catch((error: unknown) =>
      observer.troubled('the end of a repair', error),
    );
    observer.repaired(this.#opened);
  }

  catchUpFailed(error: unknown): void {
    this.#options.observer.catchUpFailed(this.#opened, error);
  }

  /** What went with the old log is of no use. */
  async logReplaced(kept: PlacedConfiguration): Promise<void> {
    const group = this.#opened;
    this.#kept!.replaced(kept);
    this.#deletions = this.#newDeletions(group);
    await group.producers.truncated();
    this.#options.observer.logReplaced(group);
  }

  catchUpRefused(): void {
    this.#options.observer.catchUpRefused(this.#opened);
  }

  readFailed(error: unknown): void {
    this.#options.observer.troubled('a read for a follower', error);
  }

  failed(cause: unknown): void {
    this.#options.observer.failed(this.#opened, cause);
  }

  get #opened(): ClusterGroup {
    return this.#group!;
  }

  #noteAppended(index: number, term: number, batch: Buffer): void {
    this.#options.observer.appended(this.#opened, index, { term, crc: String(batchField.crc(batch)) });
  }

  /** The configuration has to be in its file before the log loses the part in which it stands. */
  async #shorten(shorten: () => Promise<void>): Promise<void> {
    await this.#keep();
    await shorten();
    this.#opened.consensus.logStartMoved();
  }

  #keepInPassing(): void {
    this.#keep().catch((error: unknown) => this.#options.observer.troubled('a configuration', error));
  }

  async #keep(): Promise<void> {
    const group = this.#opened;
    const kept = this.#kept!;
    await kept.keep(group.consensus.durableConfiguration());
    this.#options.observer.configurationKept(group, kept.placed);
  }
}

function noteDeletion(deletions: RecordDeletions, { kind, payload, index }: PlacedRaftOnlyEntry): void {
  const offset = kind === 'delete-records' ? decodeDeleteRecords(payload) : undefined;
  if (offset !== undefined) deletions.add(index + 1, offset);
}

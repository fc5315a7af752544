/**
 * One partition that is being read: where reading stands, and what is fetched and not yet handed out.
 *
 * Three offsets, position <= readOffset <= fetchOffset: all before `position` was finished by the application and may
 * be committed; all before `readOffset` was handed out; all before `fetchOffset` was fetched.
 */
import type { KafkaError } from '../errors.ts';
import type { OffsetSpec } from '../options.ts';
import type { TopicPartition } from '../messages.ts';
import type { FetchedRecords } from './fetched-records.ts';

export class PartitionState implements TopicPartition {
  readonly topic: string;
  readonly partition: number;
  /** Reading ends before this offset. */
  readonly endOffset: number;
  position = -1;
  readOffset = -1;
  fetchOffset = -1;
  /** The leader epoch of the last record that was finished; -1 where unknown. */
  positionEpoch = -1;
  /** What the group's coordinator has; -1 where nothing, or not known. */
  committed = -1;
  /** Where to go, once it is looked up; undefined when the offsets above hold. 'committed': the group's commit. */
  target: OffsetSpec | 'committed' | undefined;
  isPaused = false;
  /** Not handed out while the application's callback is told of it. */
  isWithheld = false;
  /** Grows when what was fetched no longer counts, by a seek or when the partition is taken away. */
  fetchEpoch = 0;
  /** Grows with each seek: what was handed out before says nothing about the position any more. */
  seekEpoch = 0;
  /** Not fetched before this time, after an error. */
  retryAtMs = 0;
  failures = 0;
  /** When it was last answered for as it should; and what has gone wrong since. */
  answeredAtMs = -1;
  trouble: KafkaError | undefined;
  /** The partition's end and its last stable offset, as the leader, or who is read in its place, last said; -1 where unknown. */
  highWatermark = -1;
  lastStableOffset = -1;
  readonly #fetched: FetchedRecords[] = [];
  #bufferedBytes = 0;

  constructor(at: TopicPartition, target: OffsetSpec | 'committed', endOffset: number = Infinity) {
    this.topic = at.topic;
    this.partition = at.partition;
    this.endOffset = endOffset;
    this.seek(target);
    this.seekEpoch = 0;
    this.fetchEpoch = 0;
  }

  get name(): string {
    return `${this.topic}-${this.partition}`;
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  get hasFetched(): boolean {
    return this.#fetched.length > 0;
  }

  /** All that was to be read was handed out. */
  get isAtEnd(): boolean {
    return this.target === undefined && this.readOffset >= this.endOffset;
  }

  /** Goes elsewhere: what was fetched is dropped. An offset holds at once, anything else is to be looked up. */
  seek(target: OffsetSpec | 'committed'): void {
    this.seekEpoch++;
    this.drop();
    this.positionEpoch = -1;
    if (typeof target === 'number') this.moveTo(target);
    else this.target = target;
  }

  /** Sets all offsets, when the target was looked up. */
  moveTo(offset: number, leaderEpoch = -1): void {
    this.target = undefined;
    this.position = offset;
    this.readOffset = offset;
    this.fetchOffset = offset;
    this.positionEpoch = leaderEpoch;
  }

  /** Forgets what was fetched and not handed out; fetching goes on from there. */
  drop(): void {
    this.fetchEpoch++;
    this.#fetched.length = 0;
    this.#bufferedBytes = 0;
    this.fetchOffset = this.readOffset;
  }

  /** Hands out again from `offset` on. */
  rewind(offset: number): void {
    this.readOffset = offset;
    this.drop();
  }

  push(records: FetchedRecords): void {
    this.#fetched.push(records);
    this.#bufferedBytes += records.sizeBytes;
    this.fetchOffset = records.nextOffset;
  }

  /** The oldest records that are not used up. */
  get head(): FetchedRecords | undefined {
    return this.#fetched[0];
  }

  /** The head is used up. */
  shift(): void {
    const head = this.#fetched.shift();
    if (head !== undefined) this.#bufferedBytes -= head.sizeBytes;
  }

  /** The application has finished all before `offset`. */
  finish(offset: number, leaderEpoch: number): void {
    this.position = offset;
    if (leaderEpoch >= 0) this.positionEpoch = leaderEpoch;
  }
}

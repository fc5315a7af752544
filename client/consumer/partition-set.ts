/** The partitions of one consumer: those that are read, and those that are being given up and may still be committed. */
import { invalidArgument } from '../errors.ts';
import type { TopicPartition } from '../messages.ts';
import type { PartitionState } from './partition-state.ts';

export class PartitionSet {
  /** In the order in which they are served; rotated. */
  #read: PartitionState[];
  readonly #leaving = new Set<PartitionState>();

  constructor(states: readonly PartitionState[]) {
    this.#read = [...states];
  }

  get read(): readonly PartitionState[] {
    return this.#read;
  }

  /** What offsets can be committed of. */
  get held(): readonly PartitionState[] {
    return this.#leaving.size === 0 ? this.#read : [...this.#read, ...this.#leaving];
  }

  isHeld(state: PartitionState): boolean {
    return this.#leaving.has(state) || this.#read.includes(state);
  }

  findHeld({ topic, partition }: TopicPartition): PartitionState | undefined {
    const isIt = (state: PartitionState): boolean => state.topic === topic && state.partition === partition;
    return this.#read.find(isIt) ?? [...this.#leaving].find(isIt);
  }

  /** Throws INVALID_ARGUMENT where it is not read. */
  at({ topic, partition }: TopicPartition): PartitionState {
    const state = this.#read.find((item) => item.topic === topic && item.partition === partition);
    if (state === undefined) throw invalidArgument(`${topic}-${partition} is not assigned to this consumer.`);
    return state;
  }

  add(states: readonly PartitionState[]): void {
    this.#read.push(...states);
  }

  /** These are not read any more, and may be committed until they are released. What was fetched of them is dropped. */
  giveUp(partitions: readonly TopicPartition[]): PartitionState[] {
    const gone = this.#remove(partitions);
    for (const state of gone) this.#leaving.add(state);
    return gone;
  }

  release(states: readonly PartitionState[]): void {
    for (const state of states) this.#leaving.delete(state);
  }

  /** These are neither read nor held any more, whether they were being given up or not. */
  lose(partitions: readonly TopicPartition[]): PartitionState[] {
    const leaving = [...this.#leaving].filter((state) => isAmong(state, partitions));
    this.release(leaving);
    return [...this.#remove(partitions), ...leaving];
  }

  /** It goes to the end of the line. */
  rotate(state: PartitionState): void {
    this.#read.push(...this.#read.splice(this.#read.indexOf(state), 1));
  }

  #remove(partitions: readonly TopicPartition[]): PartitionState[] {
    const gone = this.#read.filter((state) => isAmong(state, partitions));
    for (const state of gone) state.drop();
    this.#read = this.#read.filter((state) => !gone.includes(state));
    return gone;
  }
}

function isAmong(state: TopicPartition, partitions: readonly TopicPartition[]): boolean {
  return partitions.some(({ topic, partition }) => topic === state.topic && partition === state.partition);
}

/**
 * What is appended in a simulated cluster, by members that believe to lead: until it is known to be committed, or never can be
 * known by the one who took it.
 */
import { nodeOf } from '../../../broker/raft/member.ts';
import type { Random } from '../../../platform/random.ts';
import { encodeBatch } from '../../../protocol/index.ts';
import { check } from '../simulation-failure.ts';
import type { ClusterChecker } from './cluster-checker.ts';
import type { ClusterGroup } from './cluster-life.ts';

/** A batch that a leader has taken, where it will stand if that comes to hold. */
export interface TakenBatch {
  /** Its base sequence, which no other batch has. */
  readonly value: number;
  readonly count: number;
  readonly offset: number;
}

interface PendingAppend {
  readonly endIndex: number;
  readonly baseIndex: number;
  readonly baseOffset: number;
  readonly term: number;
  readonly bytes: Buffer;
  readonly acknowledged: () => void;
}

type TakenByDefault = (group: ClusterGroup, batch: TakenBatch) => () => void;

export class ClusterAppends {
  readonly #checker: ClusterChecker;
  readonly #say: (line: string) => void;
  readonly #taken: TakenByDefault;
  /** By the member that took them: neither known to be committed nor given up. */
  readonly #pending = new Map<ClusterGroup, PendingAppend[]>();
  #values = 0;

  /** `taken` is told of what nobody else wants to be told of. */
  constructor(checker: ClusterChecker, say: (line: string) => void, taken: TakenByDefault) {
    this.#checker = checker;
    this.#say = say;
    this.#taken = taken;
  }

  /**
   * One new batch. `taken` is told of it where it is not refused, and may give what is to be called when it is acknowledged;
   * that is never called where it cannot be known.
   */
  append(
    group: ClusterGroup,
    { random, valueBytesMax }: { readonly random: Random; readonly valueBytesMax: number },
    taken?: (batch: TakenBatch) => () => void,
  ): boolean {
    const { consensus, listener, member, number } = group;
    const count = 1 + random.below(3);
    const value = this.#values + 1;
    const records = Array.from({ length: count }, () => ({
      timestamp: 1_704_067_200_000 + this.#values,
      key: null,
      value: Buffer.concat([Buffer.from(`${++this.#values}:`), random.bytes(random.below(valueBytesMax))]),
      headers: [],
    }));
    // Producers start over as they like: what counts is that all members see the same of them.
    const batch = encodeBatch(records, {
      producerId: random.below(4),
      producerEpoch: 0,
      baseSequence: value,
    });
    const outcome = consensus.append(batch);
    const result = outcome.kind === 'appended' ? outcome.baseIndex : outcome.reason;
    this.#say(`append to ${number} on ${nodeOf(member)}: ${result}`);
    if (outcome.kind === 'refused') return false;
    const { baseIndex, endIndex, baseOffset, term } = outcome;
    listener.batchAppended(batch, baseIndex);
    const takenBatch = { value, count, offset: baseOffset };
    const acknowledged = taken?.(takenBatch) ?? this.#taken(group, takenBatch);
    const pending = this.#pending.get(group) ?? [];
    this.#pending.set(group, pending);
    pending.push({ baseIndex, endIndex, baseOffset, term, bytes: Buffer.from(batch), acknowledged });
    return true;
  }

  /** More is committed, as this member knows: a leader answers for it. */
  committed(group: ClusterGroup): void {
    const pending = this.#pending.get(group);
    const { committedEndIndex, raft } = group.consensus;
    if (pending === undefined || raft.role !== 'leader') return;
    while (pending.length > 0) {
      const { endIndex, baseIndex, baseOffset, bytes, term, acknowledged } = pending[0]!;
      if (endIndex > committedEndIndex) break;
      pending.shift();
      check(term === raft.term, () => 'what was appended in a former term is acknowledged');
      this.#checker.acknowledge(group.number, { baseIndex, baseOffset, bytes }, term);
      acknowledged();
    }
  }

  /** The member leads no more: what becomes of its appends nobody there can tell. */
  gone(group: ClusterGroup): void {
    this.#pending.delete(group);
  }
}

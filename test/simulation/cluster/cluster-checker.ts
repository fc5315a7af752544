/** What must hold in a simulated cluster, whatever happens: told of every step, it throws a SimulationFailure at the first that breaks it. */
import { batchField } from '../../../protocol/index.ts';
import { isRaftOnly, raftOnlyIndex } from '../../../broker/log/raft-only.ts';
import { check } from '../simulation-failure.ts';
import type { ClusterGroup } from './cluster-life.ts';

export interface Acknowledged {
  readonly group: number;
  readonly baseIndex: number;
  readonly baseOffset: number;
  /** A copy of the batch. */
  readonly bytes: Buffer;
}

export class ClusterChecker {
  /** By group and index: the term that it has been committed with. */
  readonly #terms = new Map<number, number[]>();
  /** By group and term: who has led. */
  readonly #leaders = new Map<string, number>();
  readonly acknowledged: Acknowledged[] = [];
  readonly counts = { elections: 0, commits: 0, acknowledged: 0 };

  /** Election safety: a term has one leader. */
  leads(nodeId: number, group: number, term: number): void {
    const key = `${group}/${term}`;
    const known = this.#leaders.get(key);
    check(
      known === undefined || known === nodeId,
      () => `term ${term} of group ${group} has two leaders, ${known} and ${nodeId}`,
    );
    if (known === undefined) this.counts.elections++;
    this.#leaders.set(key, nodeId);
  }

  /** State machine safety: what is committed at an index is the same for all, for ever. */
  committed(nodeId: number, { number, log, consensus }: ClusterGroup): void {
    const terms = this.#terms.get(number) ?? [];
    this.#terms.set(number, terms);
    const endIndex = Math.min(consensus.committedEndIndex, consensus.placedEndIndex);
    for (let index = Math.max(1, Math.min(endIndex, terms.length) - 20); index < endIndex; index++) {
      const term = log.termAt(index);
      const known = (terms[index] ??= term);
      check(
        known === term,
        () =>
          `index ${index} of group ${number} is committed in terms ${known} and, on node ${nodeId}, ${term}`,
      );
    }
    this.counts.commits = Math.max(this.counts.commits, endIndex);
  }

  acknowledge(acknowledged: Acknowledged): void {
    this.counts.acknowledged++;
    this.acknowledged.push(acknowledged);
  }

  /** All logs of a group hold the same, to the byte, and all that was acknowledged. */
  equal(group: number, logs: readonly (readonly Buffer[])[]): void {
    const [first, ...others] = logs.map(byIndex);
    check(first !== undefined, () => 'there are logs');
    for (const [place, other] of others.entries()) {
      check(first.size === other.size, () => {
        return `the logs of group ${group} have ${first.size} and, on node ${place + 1}, ${other.size} batches`;
      });
      for (const [index, batch] of first) {
        check(
          other.get(index)?.equals(batch) === true,
          () => `index ${index} of group ${group} is not the same on nodes 0 and ${place + 1}`,
        );
      }
    }
    for (const { group: its, baseIndex, bytes } of this.acknowledged) {
      if (its !== group) continue;
      check(
        first.get(baseIndex)?.equals(bytes) === true,
        () => `what was acknowledged at index ${baseIndex} of group ${group} is lost`,
      );
    }
  }
}

/** A log's batches, Raft's own among them, by the index of their first entry; segments from the first one on. */
function byIndex(segments: readonly Buffer[]): Map<number, Buffer> {
  const batches = new Map<number, Buffer>();
  let next = 1;
  for (const segment of segments) {
    for (let position = 0; position < segment.length;) {
      const sizeBytes = batchField.sizeBytes(segment, position);
      if (isRaftOnly(segment, position)) {
        check(raftOnlyIndex(segment, position) === next, () => `an entry that is not at its index, ${next}`);
      }
      batches.set(next, segment.subarray(position, position + sizeBytes));
      next += isRaftOnly(segment, position) ? 1 : batchField.lastOffsetDelta(segment, position) + 1;
      position += sizeBytes;
    }
  }
  return batches;
}

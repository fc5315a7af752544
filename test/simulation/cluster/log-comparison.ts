/** The end of every history: all logs of a group hold the same, to the byte, and all that was acknowledged. */
import { batchField } from '../../../protocol/index.ts';
import { isRaftOnly, raftOnlyIndex } from '../../../broker/log/raft-only.ts';
import { check } from '../simulation-failure.ts';
import type { Acknowledged } from './cluster-checker.ts';

/** One member's log, as its files are. */
export interface LogFiles {
  readonly name: string;
  /** From the first one that is left on. */
  readonly segments: readonly Buffer[];
  readonly startOffset: number;
  readonly indexOfOffset: (offset: number) => number;
}

interface Batches {
  readonly byIndex: ReadonlyMap<number, Buffer>;
  readonly startIndex: number;
  readonly endIndex: number;
}

export interface Expected {
  readonly acknowledged: readonly Acknowledged[];
  /** Records below this offset may have been deleted. */
  readonly deletedBelow: number;
}

export function checkSame(group: number, logs: readonly LogFiles[], expected: Expected): void {
  const all = logs.map((log) => ({ log, batches: batchesOf(log) }));
  const [first, ...others] = all;
  check(first !== undefined, () => 'there are logs');
  for (const { log, batches } of others) {
    const pair = `${first.log.name} and ${log.name}`;
    check(
      batches.endIndex === first.batches.endIndex,
      () => `the logs of group ${group} on ${pair} end at ${first.batches.endIndex} and ${batches.endIndex}`,
    );
    const from = Math.max(batches.startIndex, first.batches.startIndex);
    for (const [index, batch] of first.batches.byIndex) {
      check(
        index < from || batches.byIndex.get(index)?.equals(batch) === true,
        () => `index ${index} of group ${group} is not the same on ${pair}`,
      );
    }
  }
  for (const { log, batches } of all) {
    check(
      log.startOffset <= expected.deletedBelow,
      () => `the log of group ${group} on ${log.name} starts at ${log.startOffset}, which nobody asked for`,
    );
    for (const { baseIndex, baseOffset, bytes } of expected.acknowledged) {
      if (baseOffset < log.startOffset) continue;
      check(
        batches.byIndex.get(baseIndex)?.equals(bytes) === true,
        () => `what was acknowledged at index ${baseIndex} of group ${group} is lost on ${log.name}`,
      );
    }
  }
}

/** A log's batches, Raft's own among them, by the index of their first entry. */
function batchesOf({ name, segments, indexOfOffset }: LogFiles): Batches {
  const byIndex = new Map<number, Buffer>();
  let startIndex: number | undefined;
  let next = 0;
  for (const segment of segments) {
    for (let position = 0; position < segment.length;) {
      const sizeBytes = batchField.sizeBytes(segment, position);
      const isOwn = isRaftOnly(segment, position);
      if (startIndex === undefined) {
        next = isOwn
          ? raftOnlyIndex(segment, position)
          : indexOfOffset(batchField.baseOffset(segment, position));
        startIndex = next;
      }
      if (isOwn) {
        const index = raftOnlyIndex(segment, position);
        check(index === next, () => `${name} has an entry of index ${index} at index ${next}`);
      }
      byIndex.set(next, segment.subarray(position, position + sizeBytes));
      next += isOwn ? 1 : batchField.lastOffsetDelta(segment, position) + 1;
      position += sizeBytes;
    }
  }
  return { byIndex, startIndex: startIndex ?? 1, endIndex: next };
}

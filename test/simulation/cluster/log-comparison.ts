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
  readonly endIndex: number;
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

/** A log's batches, Raft's own among them, by the index of their first entry: counted from the end, as the log says where that is. */
function batchesOf({ name, segments, endIndex }: LogFiles): Batches {
  const batches: { readonly bytes: Buffer; readonly entries: number }[] = [];
  for (const segment of segments) {
    for (let position = 0; position < segment.length;) {
      const bytes = segment.subarray(position, position + batchField.sizeBytes(segment, position));
      const entries = isRaftOnly(bytes, 0) ? 1 : batchField.lastOffsetDelta(bytes) + 1;
      batches.push({ bytes, entries });
      position += bytes.length;
    }
  }
  const byIndex = new Map<number, Buffer>();
  let startIndex = endIndex;
  for (const { bytes, entries } of batches.toReversed()) {
    startIndex -= entries;
    if (isRaftOnly(bytes, 0)) {
      const index = raftOnlyIndex(bytes, 0);
      check(index === startIndex, () => `${name} has an entry of index ${index} at index ${startIndex}`);
    }
    byIndex.set(startIndex, bytes);
  }
  return { byIndex, startIndex, endIndex };
}

/** A simulated member's disk: what survives a crash, and what recovery reads from it. */
import type { Configuration, PlacedConfiguration } from '../../broker/raft/configuration.ts';
import type { Snapshot } from '../../broker/raft/messages.ts';
import type { HardState } from '../../broker/raft/raft.ts';
import type { TermLogState } from '../../broker/raft/term-log.ts';
import type { Entry } from './checker.ts';

/** What survives a crash. */
export interface SimDisk {
  directory: string;
  hardState: HardState;
  start: { index: number; term: number; configuration: PlacedConfiguration };
  entries: Entry[];
  /** By id, the newest last. */
  readonly snapshots: Map<string, SimSnapshot>;
}

interface SimSnapshot {
  readonly snapshot: Snapshot;
  readonly start: SimDisk['start'];
}

export function emptyDisk(directory: string, configuration: Configuration): SimDisk {
  return {
    directory,
    hardState: { term: 0, votedFor: undefined },
    start: { index: 1, term: 0, configuration: { index: 0, configuration } },
    entries: [],
    snapshots: new Map(),
  };
}

/** Where terms begin in a log. */
export function termsOf(start: SimDisk['start'], log: readonly Entry[]): TermLogState {
  const terms: { index: number; term: number }[] = [];
  let last = start.term;
  log.forEach(({ term }, place) => {
    if (term > last) terms.push({ index: start.index + place, term });
    last = term;
  });
  return { startIndex: start.index, startTerm: start.term, endIndex: start.index + log.length, terms };
}

export function configurationsOf(start: SimDisk['start'], log: readonly Entry[]): PlacedConfiguration[] {
  const placed = [start.configuration];
  log.forEach(({ configuration }, place) => {
    if (configuration !== undefined) placed.push({ index: start.index + place, configuration });
  });
  return placed;
}

/** Whether a cut before `place` would part a batch. */
export function isBatchCut(entries: readonly Entry[], place: number): boolean {
  const before = entries[place - 1];
  const after = entries[place];
  return before !== undefined && after !== undefined && before.batch === after.batch;
}

/** Each seed is a world of its own: first it draws how large things are, how slow the disk is, and what happens how often. */
import type { Random } from '../../../platform/random.ts';
import type { DiskBehaviour } from '../simulated-disk.ts';

/** What can happen in a history. */
export const stepKinds = [
  'append',
  'raft-only',
  'new-term',
  'sync',
  'wait',
  'commit',
  'read',
  'look-up',
  'verify',
  'truncate',
  'log-start',
  'retention',
  'roll',
  'clean',
  'scrub',
  'clock-jump',
  'clean-stop',
  'kill',
  'power-loss',
  'io-error',
  'lose-indexes',
] as const;

export type StepKind = (typeof stepKinds)[number];

export interface LogSimulationOptions {
  readonly logs: number;
  readonly steps: number;
  readonly segmentBytes: number;
  readonly segmentMs: number;
  readonly segmentIndexBytes: number;
  readonly indexIntervalBytes: number;
  readonly tailBytes: number;
  readonly blockBytes: number;
  readonly poolBlocks: number;
  readonly syncConcurrencyMax: number;
  /** 0: there is no journal. */
  readonly journalBytes: number;
  readonly retentionMs: number;
  readonly retentionBytes: number;
  readonly fileDeleteDelayMs: number;
  readonly deletes: boolean;
  readonly compacts: boolean;
  readonly deleteRetentionMs: number;
  /** Of the cleaner's map of keys: a log with more keys takes several passes. */
  readonly dedupeBufferBytes: number;
  /** Whether the history ends with a flipped bit below the floor, which the next opening has to report. */
  readonly endsWithRot: boolean;
  readonly valueBytesMax: number;
  readonly recordsMax: number;
  readonly keys: number;
  /** How far timestamps scatter round the clock; 0: they ascend. */
  readonly timestampSpreadMs: number;
  readonly disk: DiskBehaviour;
  readonly weights: Readonly<Record<StepKind, number>>;
}

/** Longer than any history: tombstones stay. */
export const deleteRetentionForever = 1e12;

/** Out of how often each thing happens in an average world. */
const usualWeights: Readonly<Record<StepKind, number>> = {
  append: 30,
  'raft-only': 3,
  'new-term': 3,
  sync: 8,
  wait: 14,
  commit: 6,
  read: 6,
  'look-up': 2,
  verify: 1,
  truncate: 3,
  'log-start': 2,
  retention: 2,
  roll: 1,
  clean: 4,
  scrub: 1,
  'clock-jump': 1,
  'clean-stop': 2,
  kill: 2,
  'power-loss': 3,
  'io-error': 2,
  'lose-indexes': 1,
};

/** What some worlds do not have at all. */
const optional: ReadonlySet<StepKind> = new Set([
  'truncate',
  'log-start',
  'retention',
  'roll',
  'clock-jump',
  'clean-stop',
  'kill',
  'io-error',
  'lose-indexes',
]);

/** `focus` is a kind of step that is to happen often, or 'rot' for histories that all end with it. */
export function drawOptions(random: Random, focus: string | undefined): LogSimulationOptions {
  const oneOf = <T>(...values: readonly T[]): T => values[random.below(values.length)]!;
  const weights = { ...usualWeights };
  for (const kind of stepKinds) {
    weights[kind] *= optional.has(kind) ? oneOf(0, 1, 1, 3) : oneOf(1, 1, 2);
  }
  for (const kind of stepKinds) if (kind === focus) weights[kind] = 4 * usualWeights[kind];
  // A journal takes rounds of many logs.
  const hasJournal = random.below(8) === 0 || focus === 'journal';
  const compacts = random.below(3) === 0 || focus === 'clean';
  if (!compacts) weights.clean = 0;
  return {
    logs: hasJournal ? 4 + random.below(4) : oneOf(1, 1, 2, 3),
    steps: 30 + random.below(oneOf(20, 50, 120)),
    segmentBytes: oneOf(400, 700, 1500, 4000),
    segmentMs: oneOf(50, 2000, 3_600_000),
    segmentIndexBytes: oneOf(48, 120, 10_000),
    indexIntervalBytes: oneOf(1, 100, 300, 1000),
    tailBytes: oneOf(0, 0, 2000, 100_000),
    blockBytes: oneOf(128, 512, 4096),
    poolBlocks: oneOf(1, 4, 64),
    syncConcurrencyMax: 1 + random.below(3),
    journalBytes: hasJournal ? oneOf(48 * 1024, 96 * 1024) : 0,
    retentionMs: oneOf(-1, 100, 5000),
    retentionBytes: oneOf(-1, 0, 2000, 10_000),
    fileDeleteDelayMs: oneOf(0, 10, 60_000),
    compacts,
    deletes: !compacts || random.below(2) === 0,
    deleteRetentionMs: oneOf(0, 500, deleteRetentionForever),
    dedupeBufferBytes: oneOf(100, 400, 10_000),
    endsWithRot: random.below(6) === 0 || focus === 'rot',
    valueBytesMax: oneOf(20, 60, 300, 1200),
    recordsMax: 1 + random.below(5),
    keys: oneOf(2, 5, 30),
    timestampSpreadMs: oneOf(0, 10, 1000),
    disk: {
      latencyMs: oneOf(0.05, 0.3, 3),
      spikeOneIn: oneOf(0, 0, 40, 200),
      shortReadOneIn: oneOf(0, 0, 4),
      evicts: oneOf(true, false),
    },
    weights,
  };
}

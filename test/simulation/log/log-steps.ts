/** What can happen in a history, one function for each kind of step. */
import type { DiskErrorCode } from '../../../platform/disk.ts';
import type { Random } from '../../../platform/random.ts';
import { scrubSegment } from '../../../broker/log/recovery/scrub-segment.ts';
import { encodeBatch } from '../../../protocol/index.ts';
import type { BatchOptions } from '../../../protocol/index.ts';
import type { SimulatedOperation } from '../life-disk.ts';
import { checkRead, checkTimestamp } from './log-checks.ts';
import { check, checkEqual } from '../simulation-failure.ts';
import { logDirectory } from './log-life.ts';
import type { AppendedBatch, LogModel } from './log-model.ts';
import { stepKinds } from './log-options.ts';
import type { StepKind } from './log-options.ts';
import type { LogSimulation } from './log-simulation.ts';

export function drawStep(weights: Readonly<Record<StepKind, number>>, random: Random): StepKind {
  let total = 0;
  for (const kind of stepKinds) total += weights[kind];
  let drawn = random.below(total);
  for (const kind of stepKinds) {
    if (drawn < weights[kind]) return kind;
    drawn -= weights[kind];
  }
  return 'wait';
}

/** Starts the step and lets some events pass, so that the next one meets it half done. */
export async function takeStep(simulation: LogSimulation, kind: StepKind): Promise<void> {
  const { random } = simulation;
  await steps[kind](simulation, simulation.drawModel());
  if (random.below(2) === 0) await simulation.pass(random.below([4, 20, 100][random.below(3)]!));
}

type Step = (simulation: LogSimulation, model: LogModel) => void | Promise<void>;

const steps: Readonly<Record<StepKind, Step>> = {
  append,
  'raft-only': (simulation, model) => appendRaftOnly(simulation, model, 'configuration'),
  'new-term': (simulation, model) => appendRaftOnly(simulation, model, 'term-start'),
  sync: (simulation, model) => {
    if (takesAppends(simulation, model)) simulation.logOf(model).requestSync();
  },
  wait: async (simulation) => {
    const { random } = simulation;
    if (random.below(3) === 0) await simulation.rest();
    else await simulation.pass(random.below(200));
  },
  commit: (simulation, model) => {
    model.noteFlushed(simulation.logOf(model).flushedEndIndex);
    model.commit(simulation.random);
  },
  read,
  'look-up': lookUp,
  verify,
  truncate,
  'log-start': moveStart,
  retention,
  roll: (simulation, model) => {
    const rolling = simulation.logOf(model).maybeRoll();
    simulation.start(rolling.then(() => undefined));
  },
  clean,
  scrub,
  'clock-jump': (simulation) => {
    const { random } = simulation;
    const byMs =
      (random.below(2) === 0 ? 1 : -1) * random.below([100, 100_000, 10_000_000][random.below(3)]!);
    simulation.say(`wall clock jumps by ${byMs} ms`);
    simulation.clock.jumpWall(byMs);
  },
  'clean-stop': (simulation) => simulation.cleanStop(),
  kill: (simulation) => simulation.crash('kill'),
  'power-loss': (simulation) => simulation.crash('power'),
  'io-error': armFault,
  'lose-indexes': loseIndexes,
};

function takesAppends(simulation: LogSimulation, model: LogModel): boolean {
  return simulation.logOf(model).failure === undefined && model.truncatingTo === undefined;
}

function append(simulation: LogSimulation, model: LogModel): void {
  const { random } = simulation;
  const log = simulation.logOf(model);
  if (!takesAppends(simulation, model)) return;
  if (model.lastTerm === 0) appendRaftOnly(simulation, model, 'term-start');
  const batches = 1 + random.below(4);
  for (let count = 0; count < batches; count++) {
    const records = drawRecords(simulation);
    const options = drawBatchOptions(random);
    const bytes = encodeBatch(
      records.map(({ timestamp, key, value }) => ({
        timestamp,
        key: Buffer.from(key),
        value: value ?? null,
      })),
      options,
    );
    log.append(bytes, model.lastTerm);
    model.addData({ bytes, term: model.lastTerm, producerId: options.producerId ?? -1, records });
  }
  simulation.say(`${model.name} appended ${batches} batches up to ${model.endIndex}`);
  if (random.below(3) > 0) log.requestSync();
}

function drawRecords({ random, options, clock }: LogSimulation): AppendedBatch['records'] {
  const { recordsMax, valueBytesMax, keys, timestampSpreadMs } = options;
  return Array.from({ length: 1 + random.below(recordsMax) }, () => ({
    timestamp: Math.max(0, clock.wallMs() - random.below(timestampSpreadMs + 1)),
    key: `k${random.below(keys)}`,
    value:
      random.below(10) === 0 ? undefined : Buffer.alloc(random.below(valueBytesMax + 1), random.below(256)),
  }));
}

function drawBatchOptions(random: Random): BatchOptions {
  const drawn = random.below(20);
  if (drawn === 0) return { compression: 'gzip' };
  if (drawn < 4) return { producerId: random.below(3), producerEpoch: 0, baseSequence: random.below(1000) };
  return {};
}

function appendRaftOnly(
  simulation: LogSimulation,
  model: LogModel,
  kind: 'configuration' | 'term-start',
): void {
  if (!takesAppends(simulation, model)) return;
  if (kind === 'configuration' && model.lastTerm === 0) return;
  const { random } = simulation;
  const term = kind === 'term-start' ? model.lastTerm + 1 + random.below(3) : model.lastTerm;
  const entry = { kind, term, payload: random.bytes(random.below(40)) };
  const log = simulation.logOf(model);
  log.appendRaftOnly(entry);
  model.addRaftOnly(entry);
  simulation.say(`${model.name} appended a ${kind} of term ${term} at ${model.endIndex - 1}`);
  if (random.below(2) > 0) log.requestSync();
}

function read(simulation: LogSimulation, model: LogModel): void {
  const { random } = simulation;
  const log = simulation.logOf(model);
  // Consumers read what is committed, followers all that is appended.
  const endOffset =
    model.truncatingTo === undefined && random.below(2) === 0 ? model.endOffset : model.committedEndOffset;
  if (endOffset <= log.logStartOffset || model.truncatingTo !== undefined) return;
  if (log.failure !== undefined) return;
  const offset = log.logStartOffset + random.below(endOffset - log.logStartOffset);
  const request = { offset, endOffset, maxBytes: random.below(3000) };
  const { version } = model;
  const reading = checkRead(log, model, request).catch((error: unknown) => {
    if (model.version === version) throw error;
  });
  simulation.start(reading.then(() => undefined));
}

function lookUp(simulation: LogSimulation, model: LogModel): void {
  const { random } = simulation;
  const log = simulation.logOf(model);
  if (model.truncatingTo !== undefined || log.failure !== undefined) return;
  const records = model.entries.flatMap((entry) => entry.records);
  if (records.length === 0) return;
  const { timestamp } = records[random.below(records.length)]!;
  const { version } = model;
  const looking = checkTimestamp(log, model, { timestamp, endOffset: model.endOffset });
  simulation.start(
    looking.catch((error: unknown) => {
      if (model.version === version) throw error;
    }),
  );
}

async function verify(simulation: LogSimulation, model: LogModel): Promise<void> {
  await simulation.rest();
  if (simulation.logOf(model).failure !== undefined) return;
  simulation.disk.repair();
  await simulation.checkQuietly(model);
}

function truncate(simulation: LogSimulation, model: LogModel): void {
  if (!takesAppends(simulation, model)) return;
  const { random } = simulation;
  const targets = model.truncationTargets();
  const endIndex = targets[Math.max(0, targets.length - 1 - random.below(12))];
  if (endIndex === undefined) return;
  model.beginTruncation(endIndex);
  simulation.say(`${model.name} is cut to ${endIndex}`);
  const log = simulation.logOf(model);
  simulation.start(log.truncateTo(endIndex).then(() => model.cutTo(endIndex)));
}

function moveStart(simulation: LogSimulation, model: LogModel): void {
  const { random } = simulation;
  const log = simulation.logOf(model);
  if (log.failure !== undefined) return;
  const roomMax = model.committedEndOffset - log.logStartOffset;
  // Now and then an offset that is below the start already.
  const offset = Math.max(0, log.logStartOffset + random.below(roomMax + 3) - 2);
  model.allowStart(offset);
  simulation.say(`${model.name} is to start at ${offset}`);
  const isCutting = model.truncatingTo !== undefined;
  const moving = log.advanceLogStart(offset).then(() => {
    if (!simulation.isCurrent(log) || isCutting || log.failure !== undefined) return;
    model.noteStart(log.logStartOffset);
    check(model.truncatingTo !== undefined || log.logStartOffset >= offset, () => {
      return `${model.name}: starts at ${log.logStartOffset} after it was to start at ${offset}`;
    });
  });
  simulation.start(moving);
}

/** By size and time, as the world's settings have it. */
function retention(simulation: LogSimulation, model: LogModel): void {
  const { clock, options } = simulation;
  const log = simulation.logOf(model);
  if (log.failure !== undefined) return;
  const limitOffset = model.committedEndOffset;
  const { logStartOffset: before } = log;
  const isAlone = simulation.isIdle;
  const latestMs = clock.wallMs();
  model.allowStart(limitOffset);
  const { startMoves, version } = model;
  simulation.say(`${model.name} retention below ${limitOffset}`);
  const deleting = log.deleteOldSegments(limitOffset).then((deleted) => {
    if (!simulation.isCurrent(log)) return;
    const { retentionMs, retentionBytes } = options;
    const reasons = deleted.map(({ reason }) => reason);
    const isSole =
      isAlone && model.startMoves === startMoves && model.version === version && reasons.length === 1;
    if (isSole && reasons[0] === 'size') {
      check(log.sizeBytes >= retentionBytes, () => `${model.name}: retention left ${log.sizeBytes} bytes`);
    } else if (isSole && reasons[0] === 'time') {
      const youngest =
        model.latest({ offset: before, endOffset: log.logStartOffset, isCertain: true })?.timestamp ?? 0;
      const nowMs = Math.max(latestMs, clock.wallMs());
      check(youngest < nowMs - retentionMs, () => `${model.name}: retention took a young record`);
    }
    if (log.failure === undefined) model.noteStart(log.logStartOffset);
  });
  simulation.start(deleting);
}

function clean(simulation: LogSimulation, model: LogModel): void {
  const log = simulation.logOf(model);
  if (log.failure !== undefined) return;
  const endOffset = model.committedEndOffset;
  model.allowCleaning(endOffset);
  simulation.say(`${model.name} is cleaned below ${endOffset}`);
  const limits = {
    endOffset,
    endIndex: model.committedEndIndex,
    lastOffsetsOfProducers: model.lastOffsetsOfProducers(endOffset),
  };
  const cleaning = simulation.cleaner.cleanLog(log, limits).then((outcome) => {
    if (!simulation.isCurrent(log)) return;
    simulation.say(`${model.name}: ${outcome.kind}`);
    if (outcome.kind === 'failed') throw outcome.error;
    check(outcome.kind !== 'uncleanable', () => `${model.name}: found damage where there is none`);
  });
  simulation.start(cleaning);
}

/** Reads the full segments as the scrubber does; half of the time one bit has just been flipped. */
async function scrub(simulation: LogSimulation, model: LogModel): Promise<void> {
  const { random, disk } = simulation;
  await simulation.rest();
  disk.repair();
  const log = simulation.logOf(model);
  const segments = log.fullSegments();
  if (log.failure !== undefined || segments.length === 0) return;
  const damaged = random.below(2) === 0 ? segments[random.below(segments.length)] : undefined;
  const position = damaged === undefined ? 0 : random.below(damaged.writtenBytes);
  const bit = random.below(8);
  if (damaged !== undefined) disk.flipBit(damaged.path, position, bit);
  for (const segment of segments) {
    const scrubbing = scrubSegment(log, segment, {
      disk: simulation.lifeDisk,
      pace: () => Promise.resolve(true),
    });
    const { kind } = await simulation.settle(scrubbing);
    if (segment !== damaged && model.lostIndexes.has(segment.path)) continue;
    const expected = segment === damaged ? 'damaged' : 'sound';
    checkEqual(kind, expected, () => {
      return `${model.name}: scrubbing of segment ${segment.baseOffset} (${JSON.stringify(log.damage)})`;
    });
  }
  if (damaged === undefined) return;
  simulation.say(`${model.name} had byte ${position} of segment ${damaged.baseOffset} flipped, and back`);
  check(
    log.damage.some(({ file }) => file === damaged.path),
    () => `${model.name}: the damage is not reported`,
  );
  disk.flipBit(damaged.path, position, bit);
}

const injectable: readonly (readonly [SimulatedOperation, readonly DiskErrorCode[]])[] = [
  ['open', ['io', 'too-many-open-files', 'no-space']],
  ['read', ['io']],
  ['write', ['io', 'no-space']],
  ['truncate', ['io']],
  ['sync', ['io', 'no-space']],
  ['rename', ['io']],
  ['remove', ['io']],
  ['list', ['io']],
  ['sync-directory', ['io']],
];

function armFault(simulation: LogSimulation): void {
  const { random, disk } = simulation;
  const drawn = random.below(10);
  if (drawn === 0) {
    simulation.say('the disk becomes read-only');
    disk.becomeReadOnly();
  } else if (drawn === 1) {
    simulation.say('the disk is nearly full');
    disk.limitSpace(random.below(3000));
  } else {
    const [operation, codes] = injectable[random.below(injectable.length)]!;
    const fault = { operation, code: codes[random.below(codes.length)]!, skip: random.below(8) };
    simulation.say(`${operation} will fail with ${fault.code} after ${fault.skip} more`);
    disk.arm(fault);
  }
}

/** Between two lives the index files of a log are lost: they can be made anew. */
async function loseIndexes(simulation: LogSimulation, model: LogModel): Promise<void> {
  const { random, disk } = simulation;
  const directory = logDirectory(model.name);
  simulation.say(`${model.name} loses index files after this`);
  await simulation.crash('kill', () => {
    for (const name of disk.namesIn(directory)) {
      if (!/\.(index|timeindex)$/.test(name) || random.below(2) === 0) continue;
      disk.loseFile(`${directory}/${name}`);
      model.lostIndexes.add(`${directory}/${name.slice(0, 20)}.log`);
    }
  });
}

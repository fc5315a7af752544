/**
 * Opens a log's files: finds what is there, checks what the last recovery point does not vouch for, cuts a torn tail.
 *
 * Everything before the recovery point was synced and checked, and `replica-state` names the full segments with their sizes; after
 * a clean stop that is everything, and no segment is read. What follows the point is checked batch by batch (LogChecker). The
 * first bytes that fail end the log. If that is in a full segment, or below what was once durable (the floor, the recovery point,
 * the log start), it is damage: what is bad is set aside, never cut. Otherwise it is a torn tail. What was checked is written
 * anew from the floor on before it is synced, as after a failed sync the page cache may show bytes that the disk lacks and that
 * a second sync would not write.
 */
import type { DiskFile } from '../../../platform/disk.ts';
import { scanBatches } from '../reading/batch-scan.ts';
import { knownSegment, pointAtEnd } from './checkpoints.ts';
import { reachOf } from './damage-extent.ts';
import type { Floor } from '../sync/durable-floors.ts';
import { setSize, takeFull } from './found-segment.ts';
import { LogChecker } from './log-checker.ts';
import type { LogDamage, LogOptions, RecoveryReport } from '../log-types.ts';
import { PositionTable, firstLogStart } from '../segments/position-table.ts';
import { setAside } from './recovery-damage.ts';
import { removeSegments, settleLeftovers } from './recovery-leftovers.ts';
import type { FoundFiles } from './recovery-leftovers.ts';
import { findLogStart } from './recovery-start.ts';
import { restOf } from './recovery-tail.ts';
import type { Rest } from './recovery-tail.ts';
import { readReplicaState, stateBefore, writeReplicaState } from './replica-state-file.ts';
import type { KnownSegment, RecoveryPoint, ReplicaState } from './replica-state-file.ts';
import { accountFor, loadIndexes } from '../segments/segment-files.ts';
import type { SegmentIndexes } from '../segments/segment-files.ts';
import { Segment } from '../segments/segment.ts';

export interface RecoveredLog {
  /** At least one; the last is the active one. */
  readonly segments: Segment[];
  /** The active segment's file, open for writing, where it had to be opened. */
  readonly file: DiskFile | undefined;
  readonly table: PositionTable;
  readonly logStartOffset: number;
  readonly cleanedEndOffset: number;
  readonly endIndex: number;
  readonly endOffset: number;
  /** As `replica-state` has it, or would have it. */
  readonly point: RecoveryPoint;
  /** Names in the log's directory. */
  readonly names: ReadonlySet<string>;
  readonly report: RecoveryReport;
}

const scanChunkBytes = 4 * 1024 * 1024;
/** Files that are measured at a time. */
const measuredMax = 32;

/**
 * Rejects with a DiskError; what is wrong with the files' contents is in the report. `doubtedOffset`: base offset of a segment that is
 * checked, with all after it, though the recovery point vouches for it.
 */
export async function recoverLog(
  options: LogOptions,
  indexes: SegmentIndexes,
  doubtedOffset?: number,
): Promise<RecoveredLog> {
  const found = await settleLeftovers(options);
  const state = found.hasState ? await readReplicaState(options.disk, options.directory) : undefined;
  const known = typeof state === 'object' ? state : undefined;
  const floor = furthest(options.floor?.current() ?? { term: 0, endIndex: 0 }, known);
  const relied = known && doubtedOffset !== undefined ? stateBefore(known, doubtedOffset) : known;
  return new Recovery(options, indexes, found, { state: relied, floor }).run();
}

/** Where the checks stopped before the end of the files. */
interface Fault {
  /** Place among the segments. */
  readonly place: number;
  readonly position: number;
  readonly reason: string;
  /** The segment does not follow on the one before: none of its bytes is in question. */
  readonly isBetween: boolean;
}

class Recovery {
  readonly #options: LogOptions;
  readonly #indexes: SegmentIndexes;
  readonly #found: FoundFiles;
  readonly #state: ReplicaState | undefined;
  #segments: Segment[] = [];
  readonly #sizes = new Map<Segment, number>();
  #checker: LogChecker;
  #scannedBytes = 0;
  /** Index files of full segments have been made. */
  #hasCompleted = false;
  /** In the newest segment: where bytes begin that were not known to be durable. */
  #unsurePosition = 0;
  /** The furthest that is known to have been durable, by the floor, the recovery point, or what follows a fault. */
  #floor: Floor;

  constructor(
    options: LogOptions,
    indexes: SegmentIndexes,
    found: FoundFiles,
    { state, floor }: { readonly state: ReplicaState | undefined; readonly floor: Floor },
  ) {
    this.#options = options;
    this.#indexes = indexes;
    this.#found = found;
    this.#state = state;
    this.#floor = floor;
    this.#checker = this.#checkerAt(state?.table.start ?? firstLogStart);
  }

  async run(): Promise<RecoveredLog> {
    await this.#findSegments();
    if (this.#segments.length === 0) return this.#startAnew();
    const from = await this.#startingPoint();
    const fault = await this.#scan(from.place, from.position);
    const hasRead = this.#scannedBytes > 0 || fault !== undefined || from.place < this.#segments.length - 1;
    return this.#finish(fault, this.#state !== undefined && !hasRead && this.#found.swaps.length === 0);
  }

  /** Segments below the log's beginning were about to be deleted. */
  async #findSegments(): Promise<void> {
    const { disk, directory, clock } = this.#options;
    const beginning = this.#state?.table.start.offset ?? 0;
    const old = this.#found.bases.filter((base) => base < beginning);
    await removeSegments(disk, directory, old);
    const bases = this.#found.bases.filter((base) => base >= beginning);
    this.#segments = bases.map((base) => new Segment(directory, base, clock.wallMs()));
    const queue = this.#segments.values();
    const workers = Array.from({ length: Math.min(measuredMax, bases.length) }, async () => {
      for (const segment of queue) this.#sizes.set(segment, (await disk.sizeOf(segment.path)) ?? 0);
    });
    await Promise.all(workers);
  }

  async #startAnew(): Promise<RecoveredLog> {
    const { disk, directory, syncer } = this.#options;
    // Before there is a file in it, and also where it was there: a process that was killed may have made it.
    await disk.syncDirectory(directory.slice(0, Math.max(1, directory.lastIndexOf('/'))));
    // Records of an earlier log of this name would be written into this one's segment by the next start.
    await syncer.discard(directory.slice(directory.lastIndexOf('/') + 1));
    const { active, file } = await this.#addSegment();
    await disk.syncDirectory(directory);
    const isDamaged =
      this.#floor.endIndex > this.#checker.endIndex || this.#found.damaged.length > 0 || this.#endsBelowStart;
    if (!isDamaged) return this.#result(file, 'new', { point: pointAtEnd(active, this.#checker.endIndex) });
    const damage = this.#damageAt(active.path, 0, 'all segments are gone');
    return this.#result(file, 'damaged', { point: pointAtEnd(active, this.#checker.endIndex), damage });
  }

  /** A new, empty segment at the end of what is there. */
  async #addSegment(): Promise<{ active: Segment; file: DiskFile }> {
    const { disk, directory, clock } = this.#options;
    const active = new Segment(directory, this.#checker.endOffset, clock.wallMs());
    active.startIndex = this.#checker.endIndex;
    const file = await disk.open(active.path, 'create');
    await file.truncate(0);
    this.#segments.push(active);
    this.#sizes.set(active, 0);
    return { active, file };
  }

  /** Takes over what needs no check, and says where the checks begin. */
  async #startingPoint(): Promise<{ readonly place: number; readonly position: number }> {
    const state = this.#state;
    if (state === undefined) {
      const sized = this.#segments.map((segment) => ({ segment, sizeBytes: this.#sizes.get(segment)! }));
      this.#checker = this.#checkerAt(await findLogStart(this.#options.disk, sized, this.#found.isAdopted));
      return { place: 0, position: 0 };
    }
    const place = await this.#takeKnown(state);
    if (typeof place === 'object') return { place: place.mismatch, position: 0 };
    const { point, table } = state;
    const isAsKnown = this.#segments[place]?.baseOffset === point.segmentBaseOffset;
    if (isAsKnown && this.#sizes.get(this.#segments[place]!)! >= point.position) {
      await this.#takeUpTo(this.#segments[place]!, point, table);
      return { place, position: point.position };
    }
    const start = { endOffset: point.segmentBaseOffset, endIndex: point.segmentStartIndex };
    this.#checker = new LogChecker(table.upTo(start.endIndex), start, this.#found.isAdopted);
    if (place === this.#segments.length) {
      // Its name may have been lost with all that it held. If that was something, it is missed below.
      await (await this.#addSegment()).file.close();
      await this.#options.disk.syncDirectory(this.#options.directory);
    }
    return { place, position: 0 };
  }

  /**
   * Full segments as the state has them; resolves with the place after them. Or with that of the first which is not as the state
   * says, where the checks begin.
   */
  async #takeKnown(state: ReplicaState): Promise<number | { readonly mismatch: number }> {
    const { swaps } = this.#found;
    const listed = state.segments.filter(
      ({ baseOffset }) =>
        baseOffset < state.point.segmentBaseOffset &&
        !swaps.some((swap) => baseOffset > swap.baseOffset && baseOffset < swap.endOffset),
    );
    for (const [place, known] of listed.entries()) {
      const segment = this.#segments[place];
      const isThere = segment?.baseOffset === known.baseOffset;
      const isSwapped = swaps.some(({ baseOffset }) => baseOffset === known.baseOffset);
      if (isThere && isSwapped && (await this.#takeSwapped(segment, known, state))) continue;
      if (isThere && !isSwapped && this.#sizes.get(segment) === known.sizeBytes) {
        takeFull(segment, known, listed[place + 1]?.baseOffset ?? state.point.segmentBaseOffset);
        continue;
      }
      const start = { endOffset: known.baseOffset, endIndex: known.startIndex };
      this.#checker = new LogChecker(state.table.upTo(start.endIndex), start, this.#found.isAdopted);
      return { mismatch: place };
    }
    return listed.length;
  }

  /** The swap was finished just now: whether the state was written before or after, the segment is checked and taken as it is. */
  async #takeSwapped(segment: Segment, known: KnownSegment, state: ReplicaState): Promise<boolean> {
    const start = { endOffset: known.baseOffset, endIndex: known.startIndex };
    const checker = new LogChecker(state.table.upTo(start.endIndex), start, this.#found.isAdopted);
    const fault = checker.begin(segment) ?? (await this.#check(checker, segment, 0)).fault;
    if (fault !== undefined) return false;
    await this.#complete(segment);
    return true;
  }

  async #takeUpTo(segment: Segment, point: RecoveryPoint, table: PositionTable): Promise<void> {
    setSize(segment, point.position);
    segment.endOffset = point.endOffset;
    segment.startIndex = point.segmentStartIndex;
    Object.assign(segment.totals, point.totals);
    this.#checker = new LogChecker(table, point, this.#found.isAdopted);
    this.#unsurePosition = point.position;
    const isAtEnd = this.#sizes.get(segment) === point.position;
    const loaded = await loadIndexes(this.#options.disk, segment, { ...point, isAtEnd });
    if (loaded === undefined) {
      await this.#indexes.rebuild(segment);
    } else {
      segment.setIndexes(loaded.offsetIndex, loaded.timeIndex);
      segment.offsetIndexFileBytes = point.offsetIndexBytes;
      segment.timeIndexFileBytes = point.timeIndexBytes;
    }
  }

  /** Checks everything from here on; the result says where that ended early. */
  async #scan(fromPlace: number, fromPosition: number): Promise<Fault | undefined> {
    for (let place = fromPlace; place < this.#segments.length; place++) {
      const segment = this.#segments[place]!;
      const from = place === fromPlace ? fromPosition : 0;
      if (from === 0) {
        this.#unsurePosition = 0;
        const reason = this.#checker.begin(segment);
        if (reason !== undefined) return { place, position: 0, reason, isBetween: true };
        // Kafka's own compaction may have left a gap between two segments; after a clean stop it is told like this too.
        const before = this.#segments[place - 1];
        if (before !== undefined) before.endOffset = segment.baseOffset;
      }
      const { position, fault } = await this.#check(this.#checker, segment, from);
      this.#scannedBytes += position - from;
      if (fault !== undefined) return { place, position, reason: fault, isBetween: false };
      if (place + 1 < this.#segments.length || segment.isCleaned) await this.#complete(segment);
    }
    return undefined;
  }

  /** Checks a segment's batches from a position on, and takes them into its books. */
  async #check(
    checker: LogChecker,
    segment: Segment,
    from: number,
  ): Promise<{ position: number; fault: string | undefined }> {
    const { disk, config, floor } = this.#options;
    const floorEndIndex = floor?.current()?.endIndex ?? 0;
    const file = await disk.open(segment.path, 'read');
    try {
      const range = { from, to: this.#sizes.get(segment)!, chunkBytes: scanChunkBytes };
      const scanned = await scanBatches(file, range, (batch) => {
        const fault = checker.take(segment, batch);
        if (fault !== undefined) return fault;
        accountFor(segment, batch, config().indexIntervalBytes);
        if (checker.endIndex <= floorEndIndex) this.#unsurePosition = batch.position + batch.sizeBytes;
        return undefined;
      });
      setSize(segment, segment.appendedBytes);
      const fault = scanned.fault ?? checker.end(segment);
      // The header of a cleaned segment that does not fit says nothing of where the fault lies.
      return { position: scanned.fault === undefined && fault !== undefined ? 0 : scanned.position, fault };
    } finally {
      await file.close();
    }
  }

  async #complete(segment: Segment): Promise<void> {
    await this.#indexes.complete(segment);
    await this.#indexes.cutFiles(segment);
    segment.isFull = true;
    this.#options.readPool.indexes.used(segment);
    this.#hasCompleted = true;
  }

  async #finish(fault: Fault | undefined, isClean: boolean): Promise<RecoveredLog> {
    const active = this.#segments.at(-1)!;
    const rest = fault && (await this.#restAfter(fault));
    if (this.#isDamaged(fault, rest)) return this.#finishDamaged(fault);
    if (isClean && this.#state!.isClosed)
      return this.#result(undefined, 'clean', { point: this.#state!.point });
    const { disk, directory } = this.#options;
    const file = await disk.open(active.path, 'write');
    // A loss of power may have kept the state that the last roll wrote, and not the names of the index files made before.
    await this.#indexes.ensureFiles(this.#segments.at(-2));
    if (isClean) {
      // A process that was killed may have left names, and an end that it had cut, that only the operating system's memory
      // knows. One that died while it cut the log may have left index entries for what is gone.
      await file.sync();
      await this.#indexes.cutFiles(active);
      await disk.syncDirectory(directory);
      return this.#result(file, 'clean', { point: this.#state!.point });
    }
    if (fault !== undefined) await file.truncate(active.writtenBytes);
    await this.#writeAnew(file, active);
    await file.sync();
    await this.#indexes.write(active, active.offsetIndex.sizeBytes, active.timeIndex.sizeBytes);
    await this.#indexes.cutFiles(active);
    let newest = { active, file };
    if (active.isCleaned) {
      // Its header counts its batches: nothing can follow there.
      await file.close();
      newest = await this.#addSegment();
    }
    const point = pointAtEnd(newest.active, this.#checker.endIndex);
    // A state that holds must find the index files that it tells of.
    if (this.#hasCompleted) await disk.syncDirectory(directory);
    await writeReplicaState(disk, directory, {
      ...this.#positions(),
      segments: this.#known(),
      point,
      isClosed: false,
    });
    return this.#result(newest.file, 'recovered', { point, reason: fault?.reason, ...rest });
  }

  /**
   * A fault in a segment that another one follows is damage, as that one was begun when this one was whole. So is a log that ends
   * below what was durable, and one that Kafka wrote and that is not whole: there is no floor to tell how much there was.
   */
  #isDamaged(fault: Fault | undefined, rest: Rest | undefined): boolean {
    const isFollowed = fault !== undefined && (fault.isBetween || fault.place + 1 < this.#segments.length);
    const isForeign = this.#found.isAdopted && this.#state === undefined && (rest?.tornBytes ?? 0) > 0;
    const endsEarly = this.#checker.endIndex < this.#floor.endIndex || this.#endsBelowStart;
    return isFollowed || isForeign || endsEarly || this.#found.damaged.length > 0;
  }

  get #endsBelowStart(): boolean {
    return this.#state !== undefined && this.#checker.endOffset < this.#state.logStartOffset;
  }

  /** Sets aside what is bad. `replica-state` stays as it is: it says how much there was. */
  async #finishDamaged(fault: Fault | undefined): Promise<RecoveredLog> {
    const { disk, directory, readPool } = this.#options;
    let damage: LogDamage;
    if (fault === undefined) {
      const { path, writtenBytes } = this.#segments.at(-1)!;
      const earlier = this.#found.damaged.map((name) => `${directory}/${name}`)[0];
      damage =
        earlier === undefined
          ? this.#damageAt(path, writtenBytes, 'the file ends early')
          : this.#damageAt(earlier, writtenBytes, 'set aside when the log was opened before');
    } else {
      const segment = this.#segments[fault.place]!;
      await this.#raiseFloor(fault);
      const later = this.#segments.splice(fault.place + (fault.isBetween ? 0 : 1));
      const cut = fault.isBetween
        ? undefined
        : { segment, validBytes: this.#cutBooks(segment, fault.position) };
      damage = this.#damageAt(segment.path, fault.position, fault.reason);
      await setAside(disk, directory, { cut, later });
    }
    let active = this.#segments.at(-1);
    if (active === undefined) {
      const added = await this.#addSegment();
      await added.file.close();
      await disk.syncDirectory(directory);
      active = added.active;
    }
    if (active.isFull) await this.#indexes.of(active);
    readPool.indexes.forget(active);
    active.isFull = false;
    const file = await disk.open(active.path, 'write');
    await file.sync();
    return this.#result(file, 'damaged', { point: pointAtEnd(active, this.#checker.endIndex), damage });
  }

  /** Of a cleaned segment whose header does not fit nothing is valid. */
  #cutBooks(segment: Segment, position: number): number {
    if (segment.writtenBytes === position) return position;
    const start = { offset: segment.baseOffset, index: segment.startIndex };
    this.#checker = new LogChecker(
      this.#checker.table.upTo(start.index),
      { endOffset: start.offset, endIndex: start.index },
      this.#found.isAdopted,
    );
    const empty = new Segment(segment.directory, segment.baseOffset, segment.totals.createdMs);
    empty.startIndex = start.index;
    this.#segments[this.#segments.indexOf(segment)] = empty;
    return position;
  }

  #restAfter({ place, position }: Fault): Promise<Rest> {
    const segment = this.#segments[place]!;
    return restOf(this.#options.disk, segment.path, position, this.#sizes.get(segment)!);
  }

  /** What follows a fault may tell that the log was longer than its floor says: whoever goes by that goes by this, from now on. */
  async #raiseFloor(fault: Fault): Promise<void> {
    const { disk, floor } = this.#options;
    const parts = this.#segments.slice(fault.place).map((segment, at) => ({
      path: segment.path,
      baseOffset: segment.baseOffset,
      position: at === 0 ? fault.position : 0,
      sizeBytes: this.#sizes.get(segment)!,
    }));
    const { table, endIndex, endOffset } = this.#checker;
    const reached = await reachOf(disk, parts, { term: table.lastTerm, endIndex, endOffset });
    if (reached.endIndex <= this.#floor.endIndex) return;
    this.#floor = reached;
    await floor?.lower(reached);
  }

  async #writeAnew(file: DiskFile, active: Segment): Promise<void> {
    const from = Math.min(this.#unsurePosition, active.writtenBytes);
    const chunk = Buffer.allocUnsafeSlow(Math.min(scanChunkBytes, active.writtenBytes - from));
    for (let position = from; position < active.writtenBytes; position += chunk.length) {
      const read = await file.read(chunk.subarray(0, active.writtenBytes - position), position);
      await file.write([chunk.subarray(0, read)], position);
    }
  }

  #checkerAt(start: { readonly offset: number; readonly index: number; readonly term: number }): LogChecker {
    const from = { endOffset: start.offset, endIndex: start.index };
    return new LogChecker(new PositionTable(start), from, this.#found.isAdopted);
  }

  #damageAt(file: string, position: number, reason: string): LogDamage {
    return {
      kind: 'corrupt',
      foundBy: 'recovery',
      file,
      position,
      reason,
      validEndIndex: this.#checker.endIndex,
      validEndOffset: this.#checker.endOffset,
      floorTerm: this.#floor.term,
      floorEndIndex: this.#floor.endIndex,
    };
  }

  #known(): KnownSegment[] {
    return this.#segments.slice(0, -1).map(knownSegment);
  }

  #positions(): Pick<RecoveredLog, 'table' | 'logStartOffset' | 'cleanedEndOffset'> {
    const { table, endOffset } = this.#checker;
    const first = table.start.offset;
    return {
      table,
      // A damaged log may end below its start.
      logStartOffset: Math.max(first, Math.min(endOffset, this.#state?.logStartOffset ?? 0)),
      cleanedEndOffset: Math.max(first, Math.min(endOffset, this.#state?.cleanedEndOffset ?? 0)),
    };
  }

  #result(
    file: DiskFile | undefined,
    kind: RecoveryReport['kind'],
    more: Partial<Rest> & { point: RecoveryPoint; damage?: LogDamage; reason?: string | undefined },
  ): RecoveredLog {
    return {
      segments: this.#segments,
      file,
      ...this.#positions(),
      endIndex: this.#checker.endIndex,
      endOffset: this.#checker.endOffset,
      point: more.point,
      names: this.#found.names,
      report: {
        kind,
        scannedBytes: this.#scannedBytes,
        tornBytes: more.tornBytes ?? 0,
        zeroBytes: more.zeroBytes ?? 0,
        tornReason: more.reason,
        damage: more.damage,
      },
    };
  }
}

/** Both were durable, each at its time. */
function furthest(floor: Floor, state: ReplicaState | undefined): Floor {
  if (state === undefined || state.point.endIndex <= floor.endIndex) return floor;
  return { term: state.table.lastTerm, endIndex: state.point.endIndex };
}

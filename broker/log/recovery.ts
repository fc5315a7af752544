/**
 * Opens a log's files: finds what is there, checks what the last recovery point does not vouch for, cuts a torn tail.
 *
 * Everything before the recovery point was synced and checked; after a clean stop that is everything, and no segment is read.
 * What follows it is checked batch by batch: framing, CRC, and, as the CRC does not cover them, base offset and term against
 * the batch before and the last Raft-only entry. The first bytes that are no such batch end the log. If that is below what
 * was once durable (the floor, or the recovery point itself), it is damage: it is reported and nothing is cut. What was
 * checked is written anew from the floor on before it is synced, as after a failed sync the page cache may show bytes that
 * the disk lacks and that a second sync would not write.
 */
import type { DiskFile } from '../../platform/disk.ts';
import { batchField, verifyBatchCrc } from '../../protocol/index.ts';
import { scanBatches } from './batch-scan.ts';
import type { ScannedBatch } from './batch-scan.ts';
import type { LogOptions, RecoveryReport } from './log-types.ts';
import { PositionTable, firstLogStart } from './position-table.ts';
import type { LogStart } from './position-table.ts';
import { isRaftOnly, readRaftOnly } from './raft-only.ts';
import { readReplicaState, writeReplicaState } from './replica-state-file.ts';
import type { RecoveryPoint, ReplicaState } from './replica-state-file.ts';
import { accountFor, loadIndexes } from './segment-files.ts';
import type { SegmentIndexes } from './segment-files.ts';
import { Segment, segmentPath } from './segment.ts';

export interface RecoveredLog {
  /** At least one; the last is the active one. */
  readonly segments: Segment[];
  /** The active segment's file, open for writing. */
  readonly file: DiskFile;
  readonly table: PositionTable;
  readonly endIndex: number;
  readonly endOffset: number;
  readonly report: RecoveryReport;
}

const scanChunkBytes = 4 * 1024 * 1024;

/** Rejects with a DiskError; what is wrong with the files' contents is in the report. */
export async function recoverLog(options: LogOptions, indexes: SegmentIndexes): Promise<RecoveredLog> {
  return new Recovery(options, indexes).run();
}

/** Where the checks stopped before the end of the files. */
interface Fault {
  readonly segment: Segment;
  readonly position: number;
  readonly reason: string;
  readonly tornBytes: number;
  readonly zeroBytes: number;
}

class Recovery {
  readonly #options: LogOptions;
  readonly #indexes: SegmentIndexes;
  #segments: Segment[] = [];
  #sizes: number[] = [];
  #table = new PositionTable(firstLogStart);
  #endIndex = firstLogStart.index;
  #endOffset = firstLogStart.offset;
  #scannedBytes = 0;
  /** In the newest segment: where bytes begin that were not known to be durable. */
  #unsurePosition = 0;
  #floorEndIndex = 0;

  constructor(options: LogOptions, indexes: SegmentIndexes) {
    this.#options = options;
    this.#indexes = indexes;
  }

  async run(): Promise<RecoveredLog> {
    const { disk, directory, floor } = this.#options;
    await this.#makeDirectory();
    const state = await readReplicaState(disk, directory);
    const bases = await this.#listSegments();
    this.#floorEndIndex = floor?.current()?.endIndex ?? 0;
    if (typeof state === 'object') this.#floorEndIndex = Math.max(this.#floorEndIndex, state.point.endIndex);
    if (bases.length === 0) return this.#startAnew();
    this.#segments = bases.map((base) => new Segment(directory, base, this.#options.clock.wallMs()));
    for (const segment of this.#segments) this.#sizes.push(await this.#sizeOf(segment));
    const from = await this.#startingPoint(state);
    const fault = await this.#scan(from.place, from.position);
    const hasRead = this.#scannedBytes > 0 || fault !== undefined || from.place < this.#segments.length - 1;
    return this.#finish(fault, typeof state === 'object' && !hasRead);
  }

  async #makeDirectory(): Promise<void> {
    const { disk, directory } = this.#options;
    if (await disk.exists(directory)) return;
    await disk.makeDirectory(directory);
    await disk.syncDirectory(directory.slice(0, Math.max(1, directory.lastIndexOf('/'))));
  }

  /** Base offsets, ascending. Temporary files of an interrupted replacement are removed. */
  async #listSegments(): Promise<number[]> {
    const { disk, directory } = this.#options;
    const bases: number[] = [];
    for (const name of await disk.list(directory)) {
      if (/^\d{20}\.log$/.test(name)) bases.push(Number(name.slice(0, 20)));
      if (name === 'replica-state.tmp') await disk.remove(`${directory}/${name}`);
    }
    return bases.sort((a, b) => a - b);
  }

  async #startAnew(): Promise<RecoveredLog> {
    const { disk, directory, clock } = this.#options;
    const segment = new Segment(directory, 0, clock.wallMs());
    const file = await disk.open(segment.path, 'create');
    await disk.syncDirectory(directory);
    const isDamaged = this.#floorEndIndex > firstLogStart.index;
    const fault = { segment, position: 0, reason: 'all segments are gone', tornBytes: 0, zeroBytes: 0 };
    this.#segments = [segment];
    return this.#result(file, isDamaged ? 'damaged' : 'new', isDamaged ? fault : undefined);
  }

  async #sizeOf(segment: Segment): Promise<number> {
    const file = await this.#options.disk.open(segment.path, 'read');
    try {
      return await file.size();
    } finally {
      await file.close();
    }
  }

  /** Takes over what needs no check, and says where the checks begin. */
  async #startingPoint(
    state: ReplicaState | 'none' | 'corrupt',
  ): Promise<{ readonly place: number; readonly position: number }> {
    if (typeof state === 'object') {
      const { point, table } = state;
      const place = this.#segments.findIndex(({ baseOffset }) => baseOffset === point.segmentBaseOffset);
      if (place >= 0 && this.#sizes[place]! >= point.position) {
        for (let before = 0; before < place; before++) await this.#takeFull(before);
        this.#table = table;
        await this.#takeUpTo(place, point);
        return { place, position: point.position };
      }
    }
    const isStartKnown =
      typeof state === 'object' && state.table.start.offset === this.#segments[0]!.baseOffset;
    const start = isStartKnown ? state.table.start : await this.#findStart();
    this.#table = new PositionTable(start);
    this.#endIndex = start.index;
    this.#endOffset = this.#segments[0]!.baseOffset;
    return { place: 0, position: 0 };
  }

  /** A segment before the one that holds the recovery point. */
  async #takeFull(place: number): Promise<void> {
    const segment = this.#segments[place]!;
    setSize(segment, this.#sizes[place]!);
    segment.endOffset = this.#segments[place + 1]!.baseOffset;
    segment.isFull = true;
    segment.unloadIndexes();
    const last = await this.#indexes.lastTimeEntry(segment);
    if (last === undefined) return;
    segment.totals.maxTimestamp = last.timestamp;
    segment.totals.maxTimestampOffset = segment.baseOffset + last.relativeOffset;
  }

  async #takeUpTo(place: number, point: RecoveryPoint): Promise<void> {
    const segment = this.#segments[place]!;
    setSize(segment, point.position);
    segment.endOffset = point.endOffset;
    Object.assign(segment.totals, point.totals);
    const loaded = await loadIndexes(this.#options.disk, segment, point);
    if (loaded === undefined) {
      await this.#indexes.rebuild(segment);
    } else {
      segment.setIndexes(loaded.offsetIndex, loaded.timeIndex);
      segment.offsetIndexFileBytes = point.offsetIndexBytes;
      segment.timeIndexFileBytes = point.timeIndexBytes;
    }
    this.#endIndex = point.endIndex;
    this.#endOffset = point.endOffset;
    this.#unsurePosition = point.position;
  }

  /** Without a state file, the first Raft-only entry there is says where the log begins. */
  async #findStart(): Promise<LogStart> {
    const baseOffset = this.#segments[0]!.baseOffset;
    let firstEpoch: number | undefined;
    let start: LogStart | undefined;
    for (const [place, segment] of this.#segments.entries()) {
      await this.#walk(segment, 0, this.#sizes[place]!, ({ buffer, at }) => {
        if (isRaftOnly(buffer, at)) {
          const entry = verifyBatchCrc(buffer, at) ? readRaftOnly(buffer, at) : undefined;
          if (entry === undefined) return 'a Raft-only entry that is damaged';
          start = {
            offset: baseOffset,
            index: entry.index - (entry.offset - baseOffset),
            term: firstEpoch ?? 0,
          };
          return 'stop';
        }
        firstEpoch ??= batchField.leaderEpoch(buffer, at);
        return undefined;
      });
      if (start !== undefined) return start;
    }
    return { offset: baseOffset, index: baseOffset + 1, term: firstEpoch ?? 0 };
  }

  /** Checks everything from here on; the result says where that ended early. */
  async #scan(fromPlace: number, fromPosition: number): Promise<Fault | undefined> {
    for (let place = fromPlace; place < this.#segments.length; place++) {
      const segment = this.#segments[place]!;
      const sizeBytes = this.#sizes[place]!;
      const from = place === fromPlace ? fromPosition : 0;
      if (place > fromPlace) this.#unsurePosition = 0;
      if (place > fromPlace && segment.baseOffset !== this.#endOffset) {
        const reason = `the segment begins at offset ${segment.baseOffset}, not at ${this.#endOffset}`;
        return this.#fault(place, 0, reason);
      }
      const { position, fault } = await this.#walk(segment, from, sizeBytes, (batch) =>
        this.#take(segment, batch),
      );
      this.#scannedBytes += position - from;
      segment.writtenBytes = segment.appendedBytes;
      segment.flushedBytes = segment.appendedBytes;
      if (fault !== undefined) return this.#fault(place, position, fault);
      if (place + 1 === this.#segments.length) break;
      await this.#indexes.complete(segment);
      await this.#indexes.cutFiles(segment);
      segment.isFull = true;
    }
    return undefined;
  }

  /** Checks one batch and takes it into the books; otherwise says what is wrong with it. */
  #take(segment: Segment, batch: ScannedBatch): string | undefined {
    const { buffer, at, sizeBytes } = batch;
    if (!verifyBatchCrc(buffer, at)) return 'the CRC does not fit the batch';
    if (batchField.baseOffset(buffer, at) !== this.#endOffset)
      return `the batch does not begin at offset ${this.#endOffset}`;
    const epoch = batchField.leaderEpoch(buffer, at);
    if (isRaftOnly(buffer, at)) {
      const entry = readRaftOnly(buffer, at);
      if (entry === undefined || entry.index !== this.#endIndex)
        return `the Raft-only entry is not number ${this.#endIndex}`;
      if (entry.term < this.#table.lastTerm) return 'the term goes back';
      this.#table.add(entry);
      this.#endIndex++;
    } else {
      const offsets = batchField.lastOffsetDelta(buffer, at) + 1;
      if (epoch !== this.#table.lastTerm) return `the batch's term is ${epoch}, not ${this.#table.lastTerm}`;
      if (offsets < 1) return 'the batch has no offsets';
      this.#endOffset += offsets;
      this.#endIndex += offsets;
    }
    accountFor(segment, batch, this.#options.config().indexIntervalBytes);
    if (this.#endIndex <= (this.#options.floor?.current()?.endIndex ?? 0)) {
      this.#unsurePosition = batch.position + sizeBytes;
    }
    return undefined;
  }

  async #fault(place: number, position: number, reason: string): Promise<Fault> {
    const segment = this.#segments[place]!;
    const restBytes = this.#sizes[place]! - position;
    const isZero = await this.#isZero(segment, position, this.#sizes[place]!);
    let laterBytes = 0;
    for (const sizeBytes of this.#sizes.slice(place + 1)) laterBytes += sizeBytes;
    return {
      segment,
      position,
      reason,
      tornBytes: (isZero ? 0 : restBytes) + laterBytes,
      zeroBytes: isZero ? restBytes : 0,
    };
  }

  async #isZero(segment: Segment, from: number, to: number): Promise<boolean> {
    const chunk = Buffer.alloc(64 * 1024);
    const zeros = Buffer.alloc(chunk.length);
    const file = await this.#options.disk.open(segment.path, 'read');
    try {
      for (let position = from; position < to; position += chunk.length) {
        const read = await file.read(chunk.subarray(0, Math.min(chunk.length, to - position)), position);
        if (chunk.compare(zeros, 0, read, 0, read) !== 0) return false;
      }
      return true;
    } finally {
      await file.close();
    }
  }

  async #finish(fault: Fault | undefined, isClean: boolean): Promise<RecoveredLog> {
    const { disk } = this.#options;
    const isDamaged = this.#endIndex < this.#floorEndIndex;
    const later = fault === undefined ? [] : this.#segments.splice(this.#segments.indexOf(fault.segment) + 1);
    const active = this.#segments.at(-1)!;
    const file = await disk.open(active.path, 'write');
    if (isDamaged) {
      const missing = {
        segment: active,
        position: active.writtenBytes,
        reason: 'the file ends early',
        tornBytes: 0,
        zeroBytes: 0,
      };
      return this.#result(file, 'damaged', fault ?? missing);
    }
    if (isClean) {
      // A process that was killed may have left names, and an end that it had cut, that only the operating system's memory
      // knows. One that died while it cut the log may have left index entries for what is gone.
      await file.sync();
      await this.#indexes.cutFiles(active);
      await disk.syncDirectory(this.#options.directory);
      return this.#result(file, 'clean', undefined);
    }
    for (const segment of later.reverse()) await this.#removeSegment(segment);
    if (fault !== undefined) await file.truncate(active.writtenBytes);
    await this.#writeAnew(file, active);
    await file.sync();
    await this.#indexes.write(active, active.offsetIndex.sizeBytes, active.timeIndex.sizeBytes);
    await this.#indexes.cutFiles(active);
    await writeReplicaState(disk, this.#options.directory, {
      table: this.#table,
      point: pointAtEnd(active, this.#endIndex),
    });
    return this.#result(file, 'recovered', fault);
  }

  async #writeAnew(file: DiskFile, active: Segment): Promise<void> {
    const from = Math.min(this.#unsurePosition, active.writtenBytes);
    const chunk = Buffer.allocUnsafeSlow(Math.min(scanChunkBytes, active.writtenBytes - from));
    for (let position = from; position < active.writtenBytes; position += chunk.length) {
      const read = await file.read(chunk.subarray(0, active.writtenBytes - position), position);
      await file.write([chunk.subarray(0, read)], position);
    }
  }

  async #removeSegment(segment: Segment): Promise<void> {
    const { disk, directory } = this.#options;
    for (const kind of ['timeindex', 'index', 'log'] as const) {
      const path = segmentPath(directory, segment.baseOffset, kind);
      if (await disk.exists(path)) await disk.remove(path);
    }
    await disk.syncDirectory(directory);
  }

  #result(file: DiskFile, kind: RecoveryReport['kind'], fault: Fault | undefined): RecoveredLog {
    const isDamaged = kind === 'damaged';
    return {
      segments: this.#segments,
      file,
      table: this.#table,
      endIndex: this.#endIndex,
      endOffset: this.#endOffset,
      report: {
        kind,
        scannedBytes: this.#scannedBytes,
        tornBytes: fault !== undefined && !isDamaged ? fault.tornBytes : 0,
        zeroBytes: fault !== undefined && !isDamaged ? fault.zeroBytes : 0,
        tornReason: isDamaged ? undefined : fault?.reason,
        damage:
          fault === undefined || !isDamaged
            ? undefined
            : {
                kind: 'corrupt',
                foundBy: 'recovery',
                file: fault.segment.path,
                position: fault.position,
                reason: fault.reason,
                validEndIndex: this.#endIndex,
                validEndOffset: this.#endOffset,
                floorEndIndex: this.#floorEndIndex,
              },
      },
    };
  }

  async #walk(
    segment: Segment,
    from: number,
    to: number,
    visit: (batch: ScannedBatch) => string | undefined,
  ): ReturnType<typeof scanBatches> {
    const file = await this.#options.disk.open(segment.path, 'read');
    try {
      return await scanBatches(file, { from, to, chunkBytes: scanChunkBytes }, visit);
    } finally {
      await file.close();
    }
  }
}

function setSize(segment: Segment, sizeBytes: number): void {
  segment.appendedBytes = sizeBytes;
  segment.writtenBytes = sizeBytes;
  segment.flushedBytes = sizeBytes;
}

/** The recovery point at a segment's present end; its index files must hold all of its indexes. */
export function pointAtEnd(segment: Segment, endIndex: number): RecoveryPoint {
  return {
    segmentBaseOffset: segment.baseOffset,
    position: segment.appendedBytes,
    endOffset: segment.endOffset,
    endIndex,
    totals: { ...segment.totals },
    offsetIndexBytes: segment.offsetIndex.sizeBytes,
    timeIndexBytes: segment.timeIndex.sizeBytes,
  };
}

/**
 * Brings what `sync-journal` holds into the segments, before any log of the directory is opened. Afterwards the journal is
 * done with: all of it is in the segments, durably.
 *
 * Records are written in the order of their frames, whether or not the segment seems to have them already: after a failed
 * sync the page cache may show bytes that the disk lacks, and a second sync of the same pages would not write them. Writing
 * them anew does. A crash in the middle repeats all of it at the next start.
 *
 * A segment or directory that is missing was removed: a segment's name is durable before its first record is in a journal.
 */
import type { Disk, DiskFile } from '../../../platform/disk.ts';
import { segmentPath } from '../segments/segment.ts';
import {
  blockBytes,
  decodeFrame,
  decodeHeaders,
  encodeHeader,
  halvesPosition,
  paddedBytes,
} from './sync-journal-format.ts';
import type { JournalFrame, JournalHeader, JournalRecord } from './sync-journal-format.ts';

export const journalName = 'sync-journal';

/** Something below a whole frame is not as it was written, or nothing says which frames count. */
export interface JournalDamage {
  readonly file: string;
  readonly position: number;
  readonly reason: string;
}

export interface JournalReplay {
  readonly frames: number;
  /** Bytes written into segments. */
  readonly bytes: number;
  readonly files: number;
  /** Logs whose records may be lost are found damaged, or cut, by their own recovery. */
  readonly damage: readonly JournalDamage[];
}

/** Files that are written at one time. */
const filesAtOnceMax = 8;

const nothing: JournalReplay = { frames: 0, bytes: 0, files: 0, damage: [] };

export interface ReplayedJournal {
  /** To go on with; undefined where there is none that can be used. */
  readonly journal: { readonly file: DiskFile; readonly header: JournalHeader } | undefined;
  readonly replay: JournalReplay;
}

/** Leaves the journal's file open. Rejects with a DiskError; then no log of the directory may be opened. */
export async function replayJournal(disk: Disk, directory: string): Promise<ReplayedJournal> {
  const path = `${directory}/${journalName}`;
  if (!(await disk.exists(path))) return { journal: undefined, replay: nothing };
  // A process that was killed may have left the name in the operating system's memory alone.
  await disk.syncDirectory(directory);
  const file = await disk.open(path, 'write');
  let replayed: ReplayedJournal = { journal: undefined, replay: nothing };
  try {
    const header = decodeHeaders(await readRange(file, 0, halvesPosition));
    if (header === undefined) replayed = await setAside(disk, directory);
    else if (header !== 'empty' && header.isInUse) replayed = await new Replay(disk, file, header).run();
    else if (header !== 'empty') replayed = { journal: { file, header }, replay: nothing };
    // Empty: it was being made when the machine stopped, and is made again when it is needed.
  } finally {
    if (replayed.journal === undefined) await file.close();
  }
  return replayed;
}

/** Both headers are bad. Which frames count is not known, and one that does not would harm: none is replayed. */
async function setAside(disk: Disk, directory: string): Promise<ReplayedJournal> {
  const path = `${directory}/${journalName}`;
  await disk.rename(path, `${path}.damaged`);
  await disk.syncDirectory(directory);
  const reason = 'neither copy of the header is whole; nothing was replayed, the file was set aside';
  return { journal: undefined, replay: { ...nothing, damage: [{ file: path, position: 0, reason }] } };
}

async function readRange(file: DiskFile, position: number, sizeBytes: number): Promise<Buffer> {
  const bytes = Buffer.alloc(sizeBytes);
  return bytes.subarray(0, await file.read(bytes, position));
}

class Replay {
  readonly #disk: Disk;
  readonly #file: DiskFile;
  readonly #header: JournalHeader;
  readonly #damage: JournalDamage[] = [];
  #bytes = 0;
  #files = 0;

  constructor(disk: Disk, file: DiskFile, header: JournalHeader) {
    this.#disk = disk;
    this.#file = file;
    this.#header = header;
  }

  async run(): Promise<ReplayedJournal> {
    const header = this.#header;
    const frames: JournalFrame[] = [];
    // The generation after the one that is done comes first: its frames have the lower numbers.
    for (const generation of [header.doneGeneration + 1, header.doneGeneration + 2]) {
      frames.push(...(await this.#framesOf(generation)));
    }
    await this.#write(liveRecords(frames));
    const done: JournalHeader = {
      ...header,
      doneGeneration: header.doneGeneration + 2,
      isInUse: false,
      sequence: header.sequence + 1,
    };
    await writeHeader(this.#file, done);
    const replay = { frames: frames.length, bytes: this.#bytes, files: this.#files, damage: this.#damage };
    return { journal: { file: this.#file, header: done }, replay };
  }

  /**
   * The whole frames of one generation, in order. One write is in flight at a time, so only the last one can be torn; a whole
   * one after a bad place means damage. What is whole is replayed all the same: it was acknowledged.
   */
  async #framesOf(generation: number): Promise<JournalFrame[]> {
    const header = this.#header;
    const start = halvesPosition + (generation % 2) * header.halfBytes;
    const half = await readRange(this.#file, start, header.halfBytes);
    const frames: JournalFrame[] = [];
    let bad: number | undefined;
    for (let position = 0; position < half.length;) {
      const found = decodeFrame(half, position, header.salt);
      if (found?.frame.generation !== generation) {
        bad ??= position;
        position += blockBytes;
        continue;
      }
      if (bad !== undefined) this.#report(start + bad, 'a frame below a whole one is damaged');
      bad = undefined;
      frames.push(found.frame);
      position += paddedBytes(found.sizeBytes);
    }
    return frames;
  }

  #report(position: number, reason: string): void {
    this.#damage.push({ file: this.#file.path, position, reason });
  }

  async #write(records: ReadonlyMap<string, readonly JournalRecord[]>): Promise<void> {
    const queue = records.entries();
    const workers = Array.from({ length: filesAtOnceMax }, async () => {
      for (const [name, ofFile] of queue) await this.#writeFile(name, ofFile);
    });
    // All have to come to an end: nothing may write into a directory that could not be opened.
    for (const outcome of await Promise.allSettled(workers)) {
      if (outcome.status === 'rejected') throw outcome.reason;
    }
  }

  async #writeFile(name: string, records: readonly JournalRecord[]): Promise<void> {
    const directory = this.#file.path.slice(0, -journalName.length);
    const path = `${directory}${name}`;
    if (!(await this.#disk.exists(path))) return;
    const file = await this.#disk.open(path, 'write');
    try {
      for (const { parts, position, sizeBytes } of records) {
        await file.write(parts, position);
        this.#bytes += sizeBytes;
      }
      await file.sync();
      this.#files++;
    } finally {
      await file.close();
    }
  }
}

/** By segment file, in order; without those that a later frame declares void. */
function liveRecords(frames: readonly JournalFrame[]): Map<string, JournalRecord[]> {
  const voidUpTo = new Map<string, number>();
  for (const { forgets } of frames) {
    for (const { name, frame } of forgets) voidUpTo.set(name, Math.max(frame, voidUpTo.get(name) ?? 0));
  }
  const records = new Map<string, JournalRecord[]>();
  for (const frame of frames) {
    for (const record of frame.records) {
      if (frame.number <= (voidUpTo.get(record.name) ?? 0)) continue;
      const file = segmentPath(record.name, record.segmentBaseOffset, 'log');
      const ofFile = records.get(file);
      if (ofFile === undefined) records.set(file, [record]);
      else ofFile.push(record);
    }
  }
  return records;
}

/** In turn into its two places: a torn write leaves the other copy, by which more counts and nothing is lost. */
export async function writeHeader(file: DiskFile, header: JournalHeader): Promise<void> {
  await file.write([encodeHeader(header)], (header.sequence % 2) * blockBytes);
  await file.sync();
}

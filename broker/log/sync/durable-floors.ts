/**
 * How far each log of a directory was once durable: (term, end index), written only after that data's own sync and at most
 * 100 ms behind it. Recovery takes bad bytes above a log's floor for a torn tail and a valid end below it for damage.
 *
 * One file, `floors`, with a slot of 128 bytes for each log (storage-format.md, "floors"). A slot holds two copies that are
 * written in turn, so that a torn write leaves the other one. All logs that have moved share one write and one sync.
 */
import type { Clock, Timer } from '../../../platform/clock.ts';
import type { Disk, DiskFile } from '../../../platform/disk.ts';
import { crc32c } from '../../../protocol/index.ts';
import { readInt64, writeInt64 } from '../raft-only.ts';
import type { Syncer } from './syncer.ts';

export interface Floor {
  /** Of the last durable entry; 0 where there is none. */
  readonly term: number;
  /** Exclusive. */
  readonly endIndex: number;
}

/** One log's floor. */
export interface DurableFloor {
  /** What recovery may rely on; undefined for a log that has had none. */
  current(): Floor | undefined;
  /** The data up to here is durable; the floor follows within 100 ms. */
  raise(floor: Floor): void;
  /** Before a truncation: resolves when the lower floor is durable. */
  lower(floor: Floor): Promise<void>;
  /** Before a log is removed: resolves when the floor is gone for good. */
  forget(): Promise<void>;
}

export interface FloorGroup {
  readonly topicId: string;
  readonly partition: number;
}

export interface DurableFloorsOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly directory: string;
  readonly syncer: Syncer;
  /** Told once when floors can no longer be written: from then on they stand still. */
  readonly onFailure: (error: unknown) => void;
}

const header = Buffer.from('KLFLOOR1', 'latin1');
const slotBytes = 128;
const copyBytes = 64;
const usedBytes = 40;
/** Slots (16 KiB) that are written along rather than begin another write. */
const gapSlotsMax = 128;
/** With the sync after it, this keeps a floor within 100 ms of its data. */
const delayMs = 50;

interface Slot {
  readonly number: number;
  readonly group: FloorGroup;
  sequence: number;
  floor: Floor | undefined;
}

export class DurableFloors {
  readonly #options: DurableFloorsOptions;
  readonly #file: DiskFile;
  readonly #slots = new Map<string, Slot>();
  readonly #free: number[] = [];
  /** What the file holds, and is about to. */
  #image: Buffer;
  /** Slots that have ever been taken; the image has room for more. */
  #slotCount: number;
  /** Slots changed since the last write began. */
  readonly #dirty = new Set<Slot>();
  #timer: Timer | undefined;
  /** The write in flight and those in line behind it. */
  #last: Promise<void> = Promise.resolve();
  #failure: unknown;
  #isClosed = false;
  /** Slots of which neither copy could be read: logs whose floor is lost. */
  readonly damagedSlots: number;

  private constructor(options: DurableFloorsOptions, file: DiskFile, image: Buffer) {
    this.#options = options;
    this.#file = file;
    this.#image = image;
    let damagedSlots = 0;
    for (let number = 0; (number + 2) * slotBytes <= image.length; number++) {
      const slot = readSlot(image, number);
      if (slot === 'damaged') damagedSlots++;
      if (slot === 'free' || slot === 'damaged') this.#free.push(number);
      else this.#slots.set(keyOf(slot.group), slot);
    }
    this.#slotCount = image.length / slotBytes - 1;
    this.damagedSlots = damagedSlots;
  }

  /** Rejects with a DiskError. */
  static async open(options: DurableFloorsOptions): Promise<DurableFloors> {
    const { disk, directory } = options;
    const file = await disk.open(`${directory}/floors`, 'create');
    const sizeBytes = await file.size();
    const image = Buffer.alloc(Math.max(slotBytes, sizeBytes - (sizeBytes % slotBytes)));
    await file.read(image, 0);
    if (!image.subarray(0, header.length).equals(header)) {
      header.copy(image);
      await file.write([image], 0);
      await file.sync();
    }
    // Where it was there, too: a process that was killed may have made it.
    await disk.syncDirectory(directory);
    return new DurableFloors(options, file, image);
  }

  /** The floor of one log; no other may be using it. */
  floor(group: FloorGroup): DurableFloor {
    return new LogFloor(this, group, this.#slots.get(keyOf(group)));
  }

  /** Resolves when all floors are durable as they are now. */
  flush(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    const next = this.#last.then(() => this.#write());
    this.#last = next.catch((error: unknown) => {
      if (this.#failure !== undefined) return;
      this.#failure = error;
      this.#options.onFailure(error);
    });
    return next;
  }

  /** The logs that use it are closed. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    try {
      if (this.#failure === undefined) await this.flush();
    } finally {
      await this.#last;
      await this.#file.close();
    }
  }

  /** These four are for LogFloor. */
  raise(slot: Slot, floor: Floor): void {
    if (slot.floor !== undefined && floor.endIndex <= slot.floor.endIndex) return;
    this.#set(slot, floor);
    if (this.#failure !== undefined || this.#timer !== undefined || this.#isClosed) return;
    this.#timer = this.#options.clock.after(delayMs, () => {
      // The failure has been told to onFailure; nobody waits for this flush.
      this.flush().catch(() => undefined);
    });
  }

  lower(slot: Slot, floor: Floor): Promise<void> {
    this.#set(slot, floor);
    return this.flush();
  }

  async forget(slot: Slot): Promise<void> {
    this.#slots.delete(keyOf(slot.group));
    this.#set(slot, undefined);
    await this.flush();
    this.#free.push(slot.number);
  }

  slotOf(group: FloorGroup): Slot {
    const known = this.#slots.get(keyOf(group));
    if (known !== undefined) return known;
    const number = this.#free.pop() ?? this.#grow();
    const sequence = readSequence(this.#image, number);
    const slot: Slot = { number, group, sequence, floor: undefined };
    this.#slots.set(keyOf(group), slot);
    return slot;
  }

  /** The image doubles: thousands of logs are added one by one. The file grows only as far as slots are written. */
  #grow(): number {
    const number = this.#slotCount++;
    const neededBytes = (number + 2) * slotBytes;
    if (neededBytes > this.#image.length) {
      const larger = Buffer.alloc(Math.max(neededBytes, 2 * this.#image.length));
      this.#image.copy(larger);
      this.#image = larger;
    }
    return number;
  }

  #set(slot: Slot, floor: Floor | undefined): void {
    slot.floor = floor;
    this.#dirty.add(slot);
  }

  async #write(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#dirty.size === 0) return;
    for (const slot of this.#dirty) {
      slot.sequence++;
      writeCopy(this.#image, slot);
    }
    const numbers = [...this.#dirty].map((slot) => slot.number).sort((a, b) => a - b);
    this.#dirty.clear();
    // The runs as they are now: what changes while they are written belongs to the next write.
    const runs = runsOf(numbers).map(({ first, last }) => ({
      position: (first + 1) * slotBytes,
      bytes: Buffer.from(this.#image.subarray((first + 1) * slotBytes, (last + 2) * slotBytes)),
    }));
    for (const { position, bytes } of runs) await this.#file.write([bytes], position);
    await this.#options.syncer.sync(this.#file);
  }
}

/** One log's side. It takes a slot when it has something to keep. */
class LogFloor implements DurableFloor {
  readonly #floors: DurableFloors;
  readonly #group: FloorGroup;
  #slot: Slot | undefined;

  constructor(floors: DurableFloors, group: FloorGroup, slot: Slot | undefined) {
    this.#floors = floors;
    this.#group = group;
    this.#slot = slot;
  }

  current(): Floor | undefined {
    return this.#slot?.floor;
  }

  raise(floor: Floor): void {
    this.#slot ??= this.#floors.slotOf(this.#group);
    this.#floors.raise(this.#slot, floor);
  }

  lower(floor: Floor): Promise<void> {
    this.#slot ??= this.#floors.slotOf(this.#group);
    return this.#floors.lower(this.#slot, floor);
  }

  async forget(): Promise<void> {
    const slot = this.#slot;
    this.#slot = undefined;
    if (slot !== undefined) await this.#floors.forget(slot);
  }
}

/** Slots, ascending, in runs that one write takes each: bytes between near ones are written along, far ones are not. */
function runsOf(numbers: readonly number[]): { readonly first: number; last: number }[] {
  const runs: { readonly first: number; last: number }[] = [];
  for (const number of numbers) {
    const run = runs.at(-1);
    if (run !== undefined && number - run.last <= gapSlotsMax) run.last = number;
    else runs.push({ first: number, last: number });
  }
  return runs;
}

/** What a file of floors holds: for who only looks. `damagedSlots`: where slots begin of which neither copy is whole. */
export function readFloors(bytes: Buffer): {
  readonly floors: readonly { readonly group: FloorGroup; readonly floor: Floor }[];
  readonly damagedSlots: readonly number[];
} {
  const floors: { group: FloorGroup; floor: Floor }[] = [];
  const damagedSlots: number[] = [];
  for (let number = 0; (number + 2) * slotBytes <= bytes.length; number++) {
    const slot = readSlot(bytes, number);
    if (slot === 'damaged') damagedSlots.push((number + 1) * slotBytes);
    else if (slot !== 'free' && slot.floor !== undefined)
      floors.push({ group: slot.group, floor: slot.floor });
  }
  return { floors, damagedSlots };
}

function keyOf(group: FloorGroup): string {
  return `${group.topicId}:${group.partition}`;
}

function writeCopy(image: Buffer, slot: Slot): void {
  const position = (slot.number + 1) * slotBytes + (slot.sequence % 2) * copyBytes;
  const copy = image.subarray(position, position + usedBytes);
  Buffer.from(slot.group.topicId, 'base64url').copy(copy, 4, 0, 16);
  copy.writeInt32BE(slot.group.partition, 20);
  copy.writeInt32BE(slot.floor?.term ?? 0, 24);
  copy.writeUInt32BE(slot.sequence, 28);
  writeInt64(copy, slot.floor?.endIndex ?? 0, 32);
  copy.writeUInt32BE(crc32c(copy.subarray(4)), 0);
}

function readSlot(image: Buffer, number: number): Slot | 'free' | 'damaged' {
  const position = (number + 1) * slotBytes;
  const copies = [readCopy(image, position, number), readCopy(image, position + copyBytes, number)];
  const good = copies.filter((copy) => typeof copy === 'object').sort((a, b) => b.sequence - a.sequence);
  const newest = good[0];
  if (newest !== undefined) return newest.floor === undefined ? 'free' : newest;
  return copies.includes('bad') ? 'damaged' : 'free';
}

function readCopy(image: Buffer, position: number, number: number): Slot | 'bad' | 'empty' {
  const copy = image.subarray(position, position + usedBytes);
  if (copy.every((byte) => byte === 0)) return 'empty';
  if (copy.readUInt32BE(0) !== crc32c(copy.subarray(4))) return 'bad';
  const endIndex = readInt64(copy, 32);
  return {
    number,
    group: { topicId: copy.toString('base64url', 4, 20), partition: copy.readInt32BE(20) },
    sequence: copy.readUInt32BE(28),
    floor: endIndex === 0 ? undefined : { term: copy.readInt32BE(24), endIndex },
  };
}

/** The sequence that a slot taken anew goes on from: its copies must stay older than what is written next. */
function readSequence(image: Buffer, number: number): number {
  const position = (number + 1) * slotBytes;
  const copies = [readCopy(image, position, number), readCopy(image, position + copyBytes, number)];
  return Math.max(0, ...copies.map((copy) => (typeof copy === 'object' ? copy.sequence : 0)));
}

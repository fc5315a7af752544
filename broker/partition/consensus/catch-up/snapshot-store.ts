/**
 * The snapshots of one replicated state machine, as files in the directory of its log: `<end offset>-<term>.checkpoint`, named and
 * laid out as Kafka's (storage-format.md, "Snapshots"). Writes them, reads them, passes them on in pieces, and takes pieces.
 *
 * A snapshot that is being received lies in `catch-up/` under its whole identity, so that after a crash, or from another leader
 * that has the same one, it goes on where it stopped; it counts only when it has been put in together with the log that begins
 * after it. Invariant: the newest one is whole, was durable before anybody was told of it, and never goes back.
 */
import { assert } from '../../../../platform/assert.ts';
import type { Disk } from '../../../../platform/disk.ts';
import { stagingDirectory } from '../../../log/log-replacement.ts';
import type { Snapshot } from '../../../raft/messages.ts';
import { encodeSnapshot, readSnapshotFile } from './snapshot-format.ts';
import type { SnapshotContent, SnapshotPoint } from './snapshot-format.ts';

export type { SnapshotPoint } from './snapshot-format.ts';

/** A whole snapshot on this disk; the fields that are not of its place are what Raft sends along. */
export interface StoredSnapshot extends Snapshot, SnapshotPoint {}

/** The newest, and one behind it: it may be on its way to a member, or the newest may be damaged. */
const keptCount = 2;
const ending = '.checkpoint';
const namePattern = /^\d{20}-\d{10}\.checkpoint$/;
const partEnding = '.part';

export class SnapshotStore {
  readonly #disk: Disk;
  readonly #directory: string;
  /** Oldest first. */
  #stored: StoredSnapshot[] = [];
  /** Writes and removals, one after the other. */
  #line: Promise<void> = Promise.resolve();

  private constructor(disk: Disk, directory: string) {
    this.#disk = disk;
    this.#directory = directory;
  }

  /** `directory` is the log's, which has been opened: what a crash interrupted is settled. Rejects with a DiskError. */
  static async open(disk: Disk, directory: string): Promise<SnapshotStore> {
    const store = new SnapshotStore(disk, directory);
    await store.reload();
    return store;
  }

  /** Undefined before the first. */
  get newest(): StoredSnapshot | undefined {
    return this.#stored.at(-1);
  }

  /** Looks again what is there: snapshots have been put in from another node. One that is not whole is set aside. Rejects with a DiskError. */
  async reload(): Promise<void> {
    const stored: StoredSnapshot[] = [];
    for (const name of await this.#disk.list(this.#directory)) {
      if (!namePattern.test(name)) continue;
      const path = `${this.#directory}/${name}`;
      const content = await readAt(this.#disk, path);
      if (content !== undefined && nameOf(content.point) === name) stored.push(storedOf(content));
      else {
        await this.#disk.rename(path, `${path}.damaged`);
        await this.#disk.syncDirectory(this.#directory);
      }
    }
    this.#stored = stored;
  }

  /**
   * Keeps the state at `point`: the values of the records that make it, in order. Durable when it resolves; the oldest ones are
   * removed. One that is there already, or is older than the newest, is not written again. Rejects with a DiskError.
   */
  write(point: SnapshotPoint, timestampMs: number, records: Iterable<Buffer>): Promise<StoredSnapshot> {
    return this.#inLine(async () => {
      const { newest } = this;
      if (newest !== undefined && point.endOffset <= newest.endOffset) return newest;
      const name = nameOf(point);
      const temporary = `${this.#directory}/${name}.tmp`;
      await this.#writeFile(temporary, encodeSnapshot(point, timestampMs, records));
      const content = await readAt(this.#disk, temporary);
      assert(content !== undefined, 'a snapshot that was written can be read');
      await this.#disk.rename(temporary, `${this.#directory}/${name}`);
      await this.#disk.syncDirectory(this.#directory);
      const stored = storedOf(content);
      this.#stored.push(stored);
      await this.#removeOld();
      return stored;
    });
  }

  /** The values of its records, in order, as they were given to `write`. Rejects with a DamagedSnapshot or a DiskError. */
  async records(snapshot: StoredSnapshot): Promise<Buffer[]> {
    const records: Buffer[] = [];
    const path = `${this.#directory}/${nameOf(snapshot)}`;
    const content = await readAt(this.#disk, path, (value) => records.push(Buffer.from(value)));
    if (content?.checksum !== snapshot.checksum) throw new DamagedSnapshot(path);
    return records;
  }

  /** Bytes of a snapshot, fewer at its end; none where it is no longer there. Rejects with a DiskError. */
  async readChunk(id: string, position: number, sizeBytes: number): Promise<Buffer> {
    const snapshot = this.#stored.find((stored) => stored.id === id);
    if (snapshot === undefined) return Buffer.alloc(0);
    const file = await this.#disk.open(`${this.#directory}/${nameOf(snapshot)}`, 'read');
    try {
      const bytes = Buffer.alloc(sizeBytes);
      return bytes.subarray(0, await file.read(bytes, position));
    } finally {
      await file.close();
    }
  }

  /**
   * Puts a piece of another node's snapshot at `position`; resolves with where the next one is wanted, which is further on where
   * an earlier attempt has left more. Of any other snapshot nothing is kept. Rejects with a DiskError.
   */
  receive(snapshot: Snapshot, position: number, bytes: Buffer): Promise<number> {
    return this.#inLine(async () => {
      const path = this.#partPath(snapshot);
      const presentBytes = (await this.#disk.sizeOf(path)) ?? 0;
      if (presentBytes > position && presentBytes <= snapshot.sizeBytes) return presentBytes;
      if (presentBytes === 0) await this.#beginStaging();
      const file = await this.#disk.open(path, 'create');
      try {
        if (presentBytes > snapshot.sizeBytes) await file.truncate(0);
        if (position > Math.min(presentBytes, await file.size())) return await file.size();
        await file.write([bytes], position);
      } finally {
        await file.close();
      }
      return position + bytes.length;
    });
  }

  /**
   * All pieces are there: checks them and makes the file durable in `catch-up/`, under its final name. Undefined, and nothing
   * kept, where it is not what was announced. Rejects with a DiskError.
   */
  complete(snapshot: Snapshot): Promise<StoredSnapshot | undefined> {
    return this.#inLine(async () => {
      const path = this.#partPath(snapshot);
      const content = await readAt(this.#disk, path);
      if (content === undefined || !isAnnounced(content, snapshot)) {
        await this.#disk.remove(path);
        return undefined;
      }
      const file = await this.#disk.open(path, 'write');
      try {
        await file.sync();
      } finally {
        await file.close();
      }
      await this.#disk.rename(path, `${stagingDirectory(this.#directory)}/${nameOf(content.point)}`);
      return storedOf(content);
    });
  }

  /** Nothing is being written or received. */
  settled(): Promise<void> {
    return this.#line;
  }

  async #writeFile(path: string, parts: Iterable<Buffer>): Promise<void> {
    const file = await this.#disk.open(path, 'create');
    try {
      await file.truncate(0);
      let position = 0;
      for (const part of parts) {
        await file.write([part], position);
        position += part.length;
      }
      await file.sync();
    } finally {
      await file.close();
    }
  }

  async #removeOld(): Promise<void> {
    while (this.#stored.length > keptCount) {
      const [oldest] = this.#stored;
      await this.#disk.remove(`${this.#directory}/${nameOf(oldest!)}`);
      this.#stored.shift();
    }
  }

  async #beginStaging(): Promise<void> {
    const staging = stagingDirectory(this.#directory);
    await this.#disk.removeDirectory(staging);
    await this.#disk.makeDirectory(staging);
  }

  #partPath(snapshot: Snapshot): string {
    return `${stagingDirectory(this.#directory)}/${snapshot.id}${ending}${partEnding}`;
  }

  #inLine<T>(action: () => Promise<T>): Promise<T> {
    const done = this.#line.then(action);
    this.#line = done.then(
      () => undefined,
      // Whoever asked has the rejection; the next one must only not overlap it.
      () => undefined,
    );
    return done;
  }
}

/** The file is not what it was when it was written. */
export class DamagedSnapshot extends Error {
  constructor(path: string) {
    super(`${path} is damaged`);
    this.name = 'DamagedSnapshot';
  }
}

async function readAt(
  disk: Disk,
  path: string,
  visit?: (value: Buffer) => void,
): Promise<SnapshotContent | undefined> {
  const file = await disk.open(path, 'read');
  try {
    return await readSnapshotFile(file, visit);
  } finally {
    await file.close();
  }
}

function storedOf({ point, checksum, sizeBytes }: SnapshotContent): StoredSnapshot {
  const id = `${nameOf(point).slice(0, -ending.length)}-${checksum.toString(16).padStart(8, '0')}`;
  return { ...point, id, checksum, sizeBytes };
}

function isAnnounced(content: SnapshotContent, snapshot: Snapshot): boolean {
  const { id, checksum, sizeBytes, lastIndex, lastTerm, configuration } = storedOf(content);
  return (
    id === snapshot.id &&
    checksum === snapshot.checksum &&
    sizeBytes === snapshot.sizeBytes &&
    lastIndex === snapshot.lastIndex &&
    lastTerm === snapshot.lastTerm &&
    configuration.index === snapshot.configuration.index
  );
}

/** Kafka's name. */
function nameOf({ endOffset, lastTerm }: Pick<SnapshotPoint, 'endOffset' | 'lastTerm'>): string {
  return `${String(endOffset).padStart(20, '0')}-${String(lastTerm).padStart(10, '0')}${ending}`;
}

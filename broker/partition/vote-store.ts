/**
 * The terms and votes of all groups of one log directory, in one small file that survives a crash at any byte.
 *
 * The file is a header and records of a fixed size, appended; the last record of a group counts (storage-format.md,
 * "votes"). A record that is cut off or fails its CRC at the very end is a torn append, which nobody was told of; one with
 * a good record after it is damage, and then no vote in the file can be trusted: the directory's identity has to retire.
 * Opening rewrites the file when most of it is superseded.
 */
import { crc32c } from '../../protocol/index.ts';
import type { Disk, DiskFile } from '../../platform/disk.ts';
import { readWholeFile, replaceFile } from '../../platform/whole-files.ts';
import type { HardState } from '../raft/raft-group.ts';

/** Which group: a partition of a topic, by the topic's id. */
export interface GroupId {
  readonly topicId: string;
  readonly partition: number;
}

export interface Vote {
  readonly group: GroupId;
  readonly state: HardState;
}

const header = Buffer.from('KLVOTES1', 'latin1');
const recordBytes = 32;

export class VoteStore {
  readonly #file: DiskFile;
  readonly #votes: Map<string, Vote>;
  #endPosition: number;
  /** The append in flight, if any: appends go one after the other. */
  #last: Promise<void> = Promise.resolve();

  private constructor(file: DiskFile, votes: Map<string, Vote>, endPosition: number) {
    this.#file = file;
    this.#votes = votes;
    this.#endPosition = endPosition;
  }

  /** Rejects with a DamagedVotes where a record inside the file is bad, and with a DiskError. */
  static async open(disk: Disk, directory: string): Promise<VoteStore> {
    const path = `${directory}/votes`;
    const bytes = (await disk.exists(path)) ? await readWholeFile(disk, path) : Buffer.alloc(0);
    const votes = parse(bytes, path);
    const live = votes.size * recordBytes;
    if (bytes.length < header.length || bytes.length > header.length + 4 * live + 4096) {
      await rewrite(disk, directory, votes);
    }
    const file = await disk.open(path, 'write');
    const whole =
      header.length + Math.floor(((await file.size()) - header.length) / recordBytes) * recordBytes;
    await file.truncate(await endOfGoodRecords(file, whole));
    await file.sync();
    return new VoteStore(file, votes, await file.size());
  }

  get(group: GroupId): HardState | undefined {
    return this.#votes.get(keyOf(group))?.state;
  }

  /** Makes all of these durable with one sync, then resolves. A failure leaves none of them usable. */
  put(votes: readonly Vote[]): Promise<void> {
    const next = this.#last.then(async () => {
      const records = Buffer.concat(votes.map(encodeRecord));
      await this.#file.write([records], this.#endPosition);
      await this.#file.sync();
      this.#endPosition += records.length;
      for (const vote of votes) this.#votes.set(keyOf(vote.group), vote);
    });
    this.#last = next.catch(() => {
      // The caller has the rejection; the next append must only not start before this one has ended.
    });
    return next;
  }

  async close(): Promise<void> {
    await this.#last;
    await this.#file.close();
  }
}

/** A vote that was given may be lost: this directory must not vote again under its identity. */
export class DamagedVotes extends Error {
  constructor(path: string, position: number) {
    super(
      `${path} is damaged at byte ${position}: votes that this directory gave cannot be known. ` +
        'Restore the file from a backup, or remove the data directory and let the node join as a new one.',
    );
    this.name = 'DamagedVotes';
  }
}

/** What a file of votes holds, and what is wrong with it: for who only looks. A bad record at the very end is a torn append, no fault. */
export function readVotes(bytes: Buffer): {
  readonly votes: readonly Vote[];
  readonly faults: readonly { readonly position: number; readonly reason: string }[];
} {
  if (bytes.length === 0) return { votes: [], faults: [] };
  if (!bytes.subarray(0, header.length).equals(header))
    return { votes: [], faults: [{ position: 0, reason: 'this is no file of votes' }] };
  const votes = new Map<string, Vote>();
  const faults: { position: number; reason: string }[] = [];
  let bad: number | undefined;
  for (let position = header.length; position + recordBytes <= bytes.length; position += recordBytes) {
    const vote = decodeRecord(bytes.subarray(position, position + recordBytes));
    if (vote === undefined) {
      bad ??= position;
      continue;
    }
    if (bad !== undefined) faults.push({ position: bad, reason: 'a record below a good one is damaged' });
    bad = undefined;
    votes.set(keyOf(vote.group), vote);
  }
  return { votes: [...votes.values()], faults };
}

function keyOf(group: GroupId): string {
  return `${group.topicId}:${group.partition}`;
}

function parse(bytes: Buffer, path: string): Map<string, Vote> {
  const votes = new Map<string, Vote>();
  if (bytes.length < header.length) return votes;
  if (!bytes.subarray(0, header.length).equals(header)) throw new DamagedVotes(path, 0);
  let badPosition: number | undefined;
  for (let position = header.length; position + recordBytes <= bytes.length; position += recordBytes) {
    const vote = decodeRecord(bytes.subarray(position, position + recordBytes));
    if (vote === undefined) {
      badPosition ??= position;
    } else if (badPosition !== undefined) {
      throw new DamagedVotes(path, badPosition);
    } else {
      votes.set(keyOf(vote.group), vote);
    }
  }
  return votes;
}

async function endOfGoodRecords(file: DiskFile, end: number): Promise<number> {
  const record = Buffer.alloc(recordBytes);
  let position = end;
  while (position > header.length) {
    await file.read(record, position - recordBytes);
    if (decodeRecord(record) !== undefined) return position;
    position -= recordBytes;
  }
  return header.length;
}

async function rewrite(disk: Disk, directory: string, votes: ReadonlyMap<string, Vote>): Promise<void> {
  const records = [...votes.values()].map(encodeRecord);
  await replaceFile(disk, directory, 'votes', Buffer.concat([header, ...records]));
}

function encodeRecord(vote: Vote): Buffer {
  const record = Buffer.alloc(recordBytes);
  Buffer.from(vote.group.topicId, 'base64url').copy(record, 4, 0, 16);
  record.writeInt32BE(vote.group.partition, 20);
  record.writeInt32BE(vote.state.term, 24);
  record.writeInt32BE(vote.state.votedFor, 28);
  record.writeUInt32BE(crc32c(record.subarray(4)), 0);
  return record;
}

function decodeRecord(record: Buffer): Vote | undefined {
  if (record.readUInt32BE(0) !== crc32c(record.subarray(4))) return undefined;
  return {
    group: { topicId: record.toString('base64url', 4, 20), partition: record.readInt32BE(20) },
    state: { term: record.readInt32BE(24), votedFor: record.readInt32BE(28) },
  };
}

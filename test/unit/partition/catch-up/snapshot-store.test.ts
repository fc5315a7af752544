import * as fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  DamagedSnapshot,
  SnapshotStore,
} from '../../../../broker/partition/consensus/catch-up/snapshot-store.ts';
import type {
  SnapshotPoint,
  StoredSnapshot,
} from '../../../../broker/partition/consensus/catch-up/snapshot-store.ts';
import { memberId } from '../../../../broker/raft/member.ts';
import { MemoryDisk } from '../../../../platform/memory-disk.ts';
import { readWholeFile } from '../../../../platform/whole-files.ts';
import { decodeBatch, decodeControlRecord, iterateBatches } from '../../../../protocol/index.ts';

const directory = '/data/t-0';
const member = memberId(1, 'AAAAAAAAAAAAAAAAAAAAAQ');

function pointAt(endOffset: number): SnapshotPoint {
  const configuration = { voters: [member], outgoing: [], learners: [], revision: 3 };
  return { endOffset, lastIndex: endOffset + 4, lastTerm: 5, configuration: { index: 2, configuration } };
}

function values(...texts: string[]): Buffer[] {
  return texts.map((text) => Buffer.from(text));
}

let disk: MemoryDisk;
let store: SnapshotStore;

beforeEach(async () => {
  disk = new MemoryDisk();
  await disk.makeDirectory(directory);
  store = await SnapshotStore.open(disk, directory);
});

describe('writing', () => {
  it('keeps the records and the place, also for the next opening', async () => {
    expect(store.newest).toBeUndefined();
    const written = await store.write(pointAt(42), 1000, values('a', 'b', 'c'));
    expect(written).toMatchObject({
      ...pointAt(42),
      id: expect.stringMatching(/^0{18}42-0{9}5-[0-9a-f]{8}$/),
    });
    expect((await store.records(written)).map(String)).toEqual(['a', 'b', 'c']);
    const again = await SnapshotStore.open(disk, directory);
    expect(again.newest).toEqual(written);
    expect((await again.records(again.newest!)).map(String)).toEqual(['a', 'b', 'c']);
  });

  it('is in the format of Kafka: a header, the records, a footer, in batches with offsets from 0', async () => {
    await store.write(pointAt(42), 1000, values('a', 'b'));
    const bytes = await readWholeFile(disk, `${directory}/00000000000000000042-0000000005.checkpoint`);
    const batches = [...iterateBatches(bytes)];
    expect(batches.map(({ header }) => [header.baseOffset, header.lastOffset, header.isControl])).toEqual([
      [0, 0, true],
      [1, 2, false],
      [3, 3, true],
    ]);
    expect(batches.map(({ header }) => header.partitionLeaderEpoch)).toEqual([5, 5, 5]);
    const [first] = decodeBatch(batches[0]!.bytes);
    expect(decodeControlRecord(first!)).toMatchObject({
      type: 'SNAPSHOT_HEADER',
      body: { version: 0, lastContainedLogTimestamp: 1000 },
    });
    const [last] = decodeBatch(batches[2]!.bytes);
    expect(decodeControlRecord(last!)).toMatchObject({ type: 'SNAPSHOT_FOOTER', body: { version: 0 } });
  });

  it('keeps the newest two', async () => {
    for (const endOffset of [10, 20, 30]) await store.write(pointAt(endOffset), 0, values('x'));
    expect(await disk.list(directory)).toEqual([
      '00000000000000000020-0000000005.checkpoint',
      '00000000000000000030-0000000005.checkpoint',
    ]);
  });

  it('does not go back', async () => {
    const newest = await store.write(pointAt(30), 0, values('new'));
    expect(await store.write(pointAt(20), 0, values('old'))).toBe(newest);
    expect(await store.write(pointAt(30), 0, values('again'))).toBe(newest);
    expect((await store.records(newest)).map(String)).toEqual(['new']);
  });

  it('makes several batches of many records', async () => {
    const many = Array.from({ length: 40 }, (_, at) => Buffer.alloc(64 * 1024, at));
    const stored = await store.write(pointAt(99), 0, many);
    expect(stored.sizeBytes).toBeGreaterThan(40 * 64 * 1024);
    expect(Buffer.concat(await store.records(stored)).equals(Buffer.concat(many))).toBe(true);
  });
});

describe('damage', () => {
  async function flip(name: string, position: number): Promise<void> {
    const file = await disk.open(`${directory}/${name}`, 'write');
    const byte = Buffer.alloc(1);
    await file.read(byte, position);
    byte[0]! ^= 1;
    await file.write([byte], position);
    await file.close();
  }

  it('is found wherever it is; the snapshot before counts then', async () => {
    const older = await store.write(pointAt(10), 0, values('older'));
    const newer = await store.write(pointAt(20), 0, values('newer'));
    const name = '00000000000000000020-0000000005.checkpoint';
    for (let position = 21; position < newer.sizeBytes; position++) {
      await flip(name, position);
      await expect(store.records(newer)).rejects.toThrow(DamagedSnapshot);
      await flip(name, position);
    }
    expect((await store.records(newer)).map(String)).toEqual(['newer']);
    await flip(name, newer.sizeBytes - 1);
    const again = await SnapshotStore.open(disk, directory);
    expect(again.newest).toEqual(older);
    expect(await disk.list(directory)).toContain(`${name}.damaged`);
  });
});

describe('passing on', () => {
  let other: SnapshotStore;
  let sent: StoredSnapshot;
  const there = '/data/other-0';

  beforeEach(async () => {
    await disk.makeDirectory(there);
    other = await SnapshotStore.open(disk, there);
    sent = await store.write(pointAt(42), 7, values('a'.repeat(500), 'b'.repeat(500), 'c'.repeat(500)));
  });

  it('takes pieces of any size, and what was sent twice', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1 }), async (sizes) => {
        await disk.removeDirectory(`${there}/catch-up`);
        let position = 0;
        for (let at = 0; position < sent.sizeBytes; at++) {
          const bytes = await store.readChunk(sent.id, position, sizes[at % sizes.length]!);
          const next = await other.receive(sent, position, bytes);
          expect(next).toBe(position + bytes.length);
          expect(await other.receive(sent, position, bytes)).toBe(next);
          position = next;
        }
        const done = await other.complete(sent);
        expect(done).toEqual(sent);
        const name = '00000000000000000042-0000000005.checkpoint';
        const staged = await readWholeFile(disk, `${there}/catch-up/${name}`);
        expect(staged).toEqual(await readWholeFile(disk, `${directory}/${name}`));
      }),
      { numRuns: 30 },
    );
  });

  it('goes on where it stopped, also after a start', async () => {
    const half = await store.readChunk(sent.id, 0, 600);
    await other.receive(sent, 0, half);
    const again = await SnapshotStore.open(disk, there);
    expect(again.newest).toBeUndefined();
    expect(await again.receive(sent, 0, half.subarray(0, 100))).toBe(600);
    expect(await again.receive(sent, 900, half)).toBe(600);
  });

  it('begins anew with another snapshot', async () => {
    await other.receive(sent, 0, await store.readChunk(sent.id, 0, 600));
    const next = await store.write(pointAt(50), 7, values('z'));
    expect(await other.receive(next, 0, await store.readChunk(next.id, 0, 100))).toBe(100);
    expect(await disk.list(`${there}/catch-up`)).toEqual([`${next.id}.checkpoint.part`]);
  });

  it('refuses what is not what was announced, and forgets it', async () => {
    const bytes = await store.readChunk(sent.id, 0, sent.sizeBytes);
    for (const position of [20, 70, 300, bytes.length - 1]) {
      const wrong = Buffer.from(bytes);
      wrong[position]! ^= 4;
      await other.receive(sent, 0, wrong);
      expect(await other.complete(sent)).toBeUndefined();
      expect(await disk.list(`${there}/catch-up`)).toEqual([]);
    }
    await other.receive(sent, 0, bytes);
    expect(await other.complete(sent)).toEqual(sent);
  });

  it('has nothing of a snapshot that is gone', async () => {
    for (const endOffset of [50, 60]) await store.write(pointAt(endOffset), 0, values('x'));
    expect(await store.readChunk(sent.id, 0, 100)).toHaveLength(0);
  });
});

import { describe, expect, it } from 'vitest';
import { OpenFiles } from '../../../broker/log/reading/open-files.ts';
import { Syncer } from '../../../broker/log/sync/syncer.ts';
import type { SyncTarget } from '../../../broker/log/sync/sync-target.ts';
import { TailCache } from '../../../broker/log/reading/tail-cache.ts';
import type { Lease } from '../../../platform/buffer-pool.ts';
import { unpooled } from '../../../platform/buffer-pool.ts';
import type { DiskFile } from '../../../platform/disk.ts';
import { MemoryDisk } from '../../../platform/memory-disk.ts';

/** Files whose syncs end when the test says so. */
class HeldSyncs {
  readonly log: string[] = [];
  readonly #held = new Map<string, PromiseWithResolvers<void>>();

  target(name: string): SyncTarget {
    const file: DiskFile = {
      path: name,
      size: () => Promise.resolve(0),
      read: () => Promise.resolve(0),
      write: () => Promise.resolve(),
      sync: () => {
        const held = Promise.withResolvers<void>();
        this.#held.set(name, held);
        return held.promise;
      },
      truncate: () => Promise.resolve(),
      close: () => Promise.resolve(),
    };
    return {
      syncBegins: () => {
        this.log.push(`${name} begins`);
        return file;
      },
      syncEnded: (error) => this.log.push(error === undefined ? `${name} ends` : `${name} fails`),
    };
  }

  async end(name: string, error?: Error): Promise<void> {
    const held = this.#held.get(name)!;
    if (error === undefined) held.resolve();
    else held.reject(error);
    for (let turn = 0; turn < 5; turn++) await Promise.resolve();
  }
}

describe('Syncer', () => {
  it('runs a few at a time, first come first served, and each once however often it is asked', async () => {
    const syncs = new HeldSyncs();
    const syncer = new Syncer({ concurrencyMax: 2 });
    const [a, b, c] = ['a', 'b', 'c'].map((name) => syncs.target(name));
    for (const target of [a!, b!, c!, c!]) syncer.request(target);
    expect(syncs.log).toEqual(['a begins', 'b begins']);
    await syncs.end('b');
    expect(syncs.log).toEqual(['a begins', 'b begins', 'b ends', 'c begins']);
    expect([syncer.syncCount, syncer.pendingCount]).toEqual([3, 2]);
  });

  it('syncs once more what is asked for while it runs, behind those that wait', async () => {
    const syncs = new HeldSyncs();
    const syncer = new Syncer({ concurrencyMax: 1 });
    const [a, b] = [syncs.target('a'), syncs.target('b')];
    for (const target of [a, b, a, a]) syncer.request(target);
    await syncs.end('a');
    await syncs.end('b');
    await syncs.end('a');
    expect(syncs.log).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'a begins', 'a ends']);
    expect(syncer.pendingCount).toBe(0);
  });

  it('tells a failure to its target alone, and does not try it again', async () => {
    const syncs = new HeldSyncs();
    const syncer = new Syncer({ concurrencyMax: 1 });
    const [a, b] = [syncs.target('a'), syncs.target('b')];
    for (const target of [a, a, b]) syncer.request(target);
    await syncs.end('a', new Error('disk'));
    await syncs.end('b');
    expect(syncs.log).toEqual(['a begins', 'a fails', 'b begins', 'b ends']);
  });

  it('forgets a target that is cancelled while it waits', async () => {
    const syncs = new HeldSyncs();
    const syncer = new Syncer({ concurrencyMax: 1 });
    const [a, b] = [syncs.target('a'), syncs.target('b')];
    for (const target of [a, b, a]) syncer.request(target);
    syncer.cancel(b);
    syncer.cancel(a);
    await syncs.end('a');
    expect(syncs.log).toEqual(['a begins', 'a ends']);
  });
});

/** Counts the references to one batch's memory. */
class CountedLease implements Lease {
  references = 0;

  retain(): void {
    this.references++;
  }

  release(): void {
    this.references--;
  }

  charge(usedBytes: number): number {
    return usedBytes;
  }
}

describe('TailCache', () => {
  const batch = (sizeBytes: number, offset: number, lease: Lease = unpooled) => ({
    buffer: Buffer.alloc(sizeBytes, offset),
    lease,
    baseOffset: offset,
    lastOffset: offset,
  });

  it('drops the oldest of all logs first, and never what is not written', () => {
    const cache = new TailCache({ maxBytes: 3 * (1000 + 256) });
    const [one, other] = [cache.openTail(), cache.openTail()];
    const holds = (tail: typeof one, offset: number): boolean => {
      const read = tail.read({ offset, endOffset: 100, maxBytes: 1, minOneBatch: true });
      return read !== undefined && read.parts.length > 0;
    };
    for (let offset = 0; offset < 6; offset++) one.add(batch(1000, offset));
    expect([cache.sizeBytes, holds(one, 0)]).toEqual([0, true]);
    one.written(2);
    other.add(batch(1000, 0));
    other.written(1);
    expect(cache.sizeBytes).toBe(3 * 1256);
    one.written(3);
    expect([holds(one, 0), holds(one, 1), holds(other, 0)]).toEqual([false, true, true]);
    one.written(5);
    expect([holds(one, 1), holds(one, 2), holds(one, 5), holds(other, 0)]).toEqual([
      false,
      true,
      true,
      false,
    ]);
    one.clear();
    expect(holds(one, 5)).toBe(false);
    for (let offset = 6; offset < 20; offset++) one.add(batch(1000, offset));
    one.written(20);
    expect([cache.sizeBytes, holds(one, 16), holds(one, 17)]).toEqual([3 * 1256, false, true]);
  });

  it('refers to a batch’s memory while it holds the batch, and for each read of it', () => {
    const cache = new TailCache({ maxBytes: 0 });
    const tail = cache.openTail();
    const lease = new CountedLease();
    tail.add(batch(10, 0, lease));
    const read = tail.read({ offset: 0, endOffset: 1, maxBytes: 100, minOneBatch: true })!;
    expect(lease.references).toBe(2);
    tail.written(1);
    expect(lease.references).toBe(1);
    read.release();
    expect(lease.references).toBe(0);
  });

  it('joins small batches into one part, leaving the bytes as they are', () => {
    const tail = new TailCache({ maxBytes: 1e6 }).openTail();
    const sizes = [100, 100, 2000, 100, 100, 100];
    sizes.forEach((sizeBytes, offset) => tail.add(batch(sizeBytes, offset)));
    const read = tail.read({ offset: 0, endOffset: 6, maxBytes: 1e6, minOneBatch: true })!;
    expect(read.parts.map(({ length }) => length)).toEqual([200, 2000, 300]);
    expect(
      Buffer.concat(read.parts).equals(
        Buffer.concat(sizes.map((size, offset) => Buffer.alloc(size, offset))),
      ),
    ).toBe(true);
  });
});

describe('OpenFiles', () => {
  it('keeps a bounded number open, the least recently used closed first, those in use never', async () => {
    const disk = new MemoryDisk();
    for (const name of ['/a', '/b', '/c']) await disk.open(name, 'create');
    const files = new OpenFiles(disk, 2);
    const a = await files.lease('/a');
    for (const name of ['/b', '/c']) (await files.lease(name)).release();
    expect(files.count).toBe(2);
    const again = await files.lease('/a');
    expect(again.file).toBe(a.file);
    a.release();
    again.release();
    await files.forget('/a');
    const anew = await files.lease('/a');
    expect(anew.file).not.toBe(a.file);
    anew.release();
    await expect(files.lease('/none')).rejects.toMatchObject({ code: 'not-found' });
    await files.close();
    expect(files.count).toBe(0);
  });
});

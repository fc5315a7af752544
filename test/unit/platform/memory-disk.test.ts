import { describe, expect, it } from 'vitest';
import { MemoryDisk } from '../../../platform/memory-disk.ts';
import { SeededRandom } from '../../../platform/seeded-random.ts';

async function contentOf(disk: MemoryDisk, path: string): Promise<Buffer> {
  const file = await disk.open(path, 'read');
  const bytes = Buffer.alloc(await file.size());
  await file.read(bytes, 0);
  return bytes;
}

describe('a crash', () => {
  it('keeps what was synced and, over many crashes, loses, keeps and tears what was not', async () => {
    const outcomes = new Set<string>();
    for (let seed = 0; seed < 100; seed++) {
      const disk = new MemoryDisk({ crashes: new SeededRandom(seed) });
      const file = await disk.open('/a', 'create');
      await file.write([Buffer.alloc(2000, 'o')], 0);
      await file.sync();
      await disk.syncDirectory('/');
      await file.write([Buffer.alloc(3000, 'n')], 2000);
      const after = disk.crash();
      const bytes = await contentOf(after, '/a');
      expect(bytes.subarray(0, 2000).equals(Buffer.alloc(2000, 'o'))).toBe(true);
      const rest = bytes.subarray(2000).toString('latin1');
      expect(rest).toMatch(/^[n\0]*$/);
      outcomes.add(
        rest === '' ? 'lost' : rest === 'n'.repeat(3000) ? 'kept' : rest.includes('\0') ? 'holes' : 'short',
      );
    }
    expect([...outcomes].sort()).toEqual(['holes', 'kept', 'lost', 'short']);
  });

  it('may lose names that were not synced, the later ones first', async () => {
    const outcomes = new Set<string>();
    for (let seed = 0; seed < 100; seed++) {
      const disk = new MemoryDisk({ crashes: new SeededRandom(seed) });
      await disk.makeDirectory('/d');
      await disk.syncDirectory('/');
      await disk.open('/d/a', 'create');
      await disk.syncDirectory('/d');
      await disk.open('/d/b', 'create');
      await disk.rename('/d/a', '/d/c');
      const after = disk.crash();
      outcomes.add((await after.list('/d')).join(','));
    }
    expect([...outcomes].sort()).toEqual(['a', 'a,b', 'b,c']);
  });

  it('is the end for whoever used the disk before', async () => {
    const disk = new MemoryDisk({ crashes: new SeededRandom(1) });
    const file = await disk.open('/a', 'create');
    await file.sync();
    await disk.syncDirectory('/');
    const after = disk.crash();
    await expect(file.write([Buffer.from('x')], 0)).rejects.toMatchObject({ code: 'io' });
    await expect(file.sync()).rejects.toMatchObject({ code: 'io' });
    await expect(disk.remove('/a')).rejects.toMatchObject({ code: 'io' });
    expect(await after.list('/')).toEqual(['a']);
    expect((await contentOf(after, '/a')).length).toBe(0);
  });

  it('is the same for the same seed', async () => {
    const run = async (): Promise<string> => {
      const disk = new MemoryDisk({ crashes: new SeededRandom('same') });
      const file = await disk.open('/a', 'create');
      await disk.syncDirectory('/');
      for (let count = 0; count < 20; count++) await file.write([Buffer.alloc(700, count)], count * 700);
      return (await contentOf(disk.crash(), '/a')).toString('base64');
    };
    expect(await run()).toBe(await run());
  });
});

describe('a kill', () => {
  it('loses nothing, and leaves it unsynced', async () => {
    let wasLost = false;
    for (let seed = 0; seed < 20; seed++) {
      const disk = new MemoryDisk({ crashes: new SeededRandom(seed) });
      const file = await disk.open('/a', 'create');
      await disk.syncDirectory('/');
      await file.write([Buffer.from('page cache')], 0);
      const after = disk.kill();
      expect((await contentOf(after, '/a')).toString()).toBe('page cache');
      wasLost ||= (await contentOf(after.crash(), '/a')).length === 0;
    }
    expect(wasLost).toBe(true);
  });
});

describe('faults', () => {
  it('a full disk takes a part of a write', async () => {
    const disk = new MemoryDisk({ capacityBytes: 1000 });
    const file = await disk.open('/a', 'create');
    await file.write([Buffer.alloc(600)], 0);
    await expect(file.write([Buffer.alloc(300), Buffer.alloc(300)], 600)).rejects.toMatchObject({
      code: 'no-space',
    });
    expect([await file.size(), disk.usedBytes]).toEqual([1000, 1000]);
    await disk.remove('/a');
    expect(disk.usedBytes).toBe(0);
  });

  it('a sync that has failed fails for good', async () => {
    let fail = true;
    const disk = new MemoryDisk({ faults: (operation) => (operation === 'sync' && fail ? 'io' : undefined) });
    const file = await disk.open('/a', 'create');
    await expect(file.sync()).rejects.toMatchObject({ code: 'io' });
    fail = false;
    await expect(file.sync()).rejects.toMatchObject({ code: 'io' });
  });
});

/** One suite over the machine's disk and the one in memory: what the log and the stores beside it rely on. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Clock } from '../../platform/clock.ts';
import { DiskError } from '../../platform/disk.ts';
import type { Disk } from '../../platform/disk.ts';
import { MemoryDisk } from '../../platform/memory-disk.ts';
import { RealDisk } from '../../platform/real/real-disk.ts';
import { SeededRandom } from '../../platform/seeded-random.ts';
import { SimulatedDisk } from '../simulation/simulated-disk.ts';
import { Trace } from '../simulation/trace.ts';

/** Operations end in the next turn, instead of when simulated time has come. */
const nextTurn: Clock = {
  monotonicMs: () => 0,
  wallMs: () => 0,
  after: (_, action) => {
    const immediate = setImmediate(action);
    return { cancel: () => clearImmediate(immediate) };
  },
};

function simulatedDisk(): Disk {
  const behaviour = { latencyMs: 1, spikeOneIn: 0, shortReadOneIn: 2, evicts: true };
  const trace = new Trace({ keepsLines: false });
  return new SimulatedDisk({ clock: nextTurn, random: new SeededRandom(1), behaviour, trace }).boot();
}

describe.each([
  { name: 'the machine', makeDisk: (): Disk => new RealDisk(), isReal: true },
  { name: 'memory', makeDisk: (): Disk => new MemoryDisk(), isReal: false },
  {
    name: 'memory with an account of what is unsynced',
    makeDisk: (): Disk => new MemoryDisk({ crashes: new SeededRandom(1) }),
    isReal: false,
  },
  { name: 'a simulated machine', makeDisk: simulatedDisk, isReal: false },
])('the disk of $name', ({ makeDisk, isReal }) => {
  let disk: Disk;
  let root: string;
  let made = 0;

  beforeAll(async () => {
    disk = makeDisk();
    root = isReal ? mkdtempSync(join(tmpdir(), 'kappalog-disk-')) : '/root';
    await disk.makeDirectory(root);
  });

  afterAll(() => {
    if (isReal) rmSync(root, { recursive: true, force: true });
  });

  const fresh = (): string => `${root}/f${made++}`;

  async function contentOf(path: string): Promise<Buffer> {
    const file = await disk.open(path, 'read');
    const bytes = Buffer.alloc(await file.size());
    expect(await file.read(bytes, 0)).toBe(bytes.length);
    await file.close();
    return bytes;
  }

  async function writeFile(path: string, text: string): Promise<void> {
    const file = await disk.open(path, 'create');
    await file.write([Buffer.from(text)], 0);
    await file.sync();
    await file.close();
  }

  it('reads back what was written, at any position, in any parts', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            position: fc.nat(200_000),
            parts: fc.array(fc.nat(3000), { maxLength: 6 }),
            truncate: fc.option(fc.nat(220_000)),
          }),
          { minLength: 1, maxLength: 8 },
        ),
        async (writes) => {
          const random = new SeededRandom(made);
          const file = await disk.open(fresh(), 'create');
          let model = Buffer.alloc(0);
          for (const { position, parts, truncate } of writes) {
            const buffers = parts.map((sizeBytes) => random.bytes(sizeBytes));
            const bytes = Buffer.concat(buffers);
            await file.write(buffers, position);
            if (bytes.length > 0) {
              const larger = Buffer.alloc(Math.max(model.length, position + bytes.length));
              model.copy(larger);
              bytes.copy(larger, position);
              model = larger;
            }
            if (truncate !== null) {
              await file.truncate(truncate);
              const cut = Buffer.alloc(truncate);
              model.copy(cut);
              model = cut;
            }
          }
          await file.sync();
          expect(await file.size()).toBe(model.length);
          const seen = Buffer.alloc(model.length + 10);
          expect(await file.read(seen, 0)).toBe(model.length);
          expect(seen.subarray(0, model.length).equals(model)).toBe(true);
          const from = Math.floor(model.length / 3);
          const middle = Buffer.alloc(Math.floor(model.length / 3));
          expect(await file.read(middle, from)).toBe(middle.length);
          expect(middle.equals(model.subarray(from, from + middle.length))).toBe(true);
          await file.close();
        },
      ),
      { numRuns: 60 },
    );
  });

  it('writes more parts than a system call takes', async () => {
    const path = fresh();
    const file = await disk.open(path, 'create');
    const parts = Array.from({ length: 5000 }, (_, place) => Buffer.from(`${place},`));
    await file.write(parts, 3);
    await file.close();
    expect((await contentOf(path)).subarray(3).equals(Buffer.concat(parts))).toBe(true);
  });

  it('opens by mode: read and write need the file, create makes it and keeps what it has', async () => {
    const path = fresh();
    for (const mode of ['read', 'write'] as const) {
      const opening = disk.open(path, mode);
      await expect(opening).rejects.toBeInstanceOf(DiskError);
      await expect(opening).rejects.toMatchObject({ code: 'not-found', path });
    }
    await writeFile(path, 'abc');
    const again = await disk.open(path, 'create');
    await again.write([Buffer.from('Z')], 1);
    await again.close();
    expect((await contentOf(path)).toString()).toBe('aZc');
    const reader = await disk.open(path, 'read');
    await expect(reader.write([Buffer.from('x')], 0)).rejects.toBeInstanceOf(DiskError);
    await reader.close();
  });

  it('lists names sorted, renames over what is there, removes', async () => {
    const directory = `${fresh()}/deep/er`;
    expect(await disk.exists(directory)).toBe(false);
    await disk.makeDirectory(directory);
    await disk.makeDirectory(directory);
    await writeFile(`${directory}/b`, 'b');
    await writeFile(`${directory}/a`, 'a');
    await writeFile(`${directory}/c.tmp`, 'new');
    await disk.rename(`${directory}/c.tmp`, `${directory}/b`);
    await disk.syncDirectory(directory);
    expect(await disk.list(directory)).toEqual(['a', 'b']);
    const sizes = ['a', 'b', 'none', 'a/b', ''].map((name) => disk.sizeOf(`${directory}/${name}`));
    expect(await Promise.all(sizes)).toEqual([1, 3, undefined, undefined, undefined]);
    expect((await contentOf(`${directory}/b`)).toString()).toBe('new');
    await disk.remove(`${directory}/a`);
    expect([await disk.exists(`${directory}/a`), await disk.exists(`${directory}/b`)]).toEqual([false, true]);
    await expect(disk.remove(`${directory}/a`)).rejects.toMatchObject({ code: 'not-found' });
    await expect(disk.list(`${directory}/none`)).rejects.toMatchObject({ code: 'not-found' });
    await expect(disk.rename(`${directory}/none`, `${directory}/x`)).rejects.toMatchObject({
      code: 'not-found',
    });
    await expect(disk.syncDirectory(`${directory}/none`)).rejects.toMatchObject({ code: 'not-found' });
  });

  it('renames and removes directories with all that is in them', async () => {
    const from = fresh();
    await disk.makeDirectory(`${from}/inner`);
    await writeFile(`${from}/inner/a`, 'a');
    await disk.rename(from, `${from}-delete`);
    expect(await disk.exists(from)).toBe(false);
    expect((await contentOf(`${from}-delete/inner/a`)).toString()).toBe('a');
    await disk.removeDirectory(`${from}-delete`);
    await disk.removeDirectory(`${from}-delete`);
    expect(await disk.exists(`${from}-delete`)).toBe(false);
  });

  it('lets one who has a file open go on when its name is gone', async () => {
    const path = fresh();
    await writeFile(path, 'still here');
    const file = await disk.open(path, 'read');
    await disk.remove(path);
    const bytes = Buffer.alloc(10);
    expect(await file.read(bytes, 0)).toBe(10);
    expect(bytes.toString()).toBe('still here');
    await file.close();
  });

  it('says how much space there is, and for which directory there is none to say', async () => {
    const { totalBytes, usableBytes } = await disk.space(root);
    expect(usableBytes).toBeGreaterThan(0);
    expect(totalBytes).toBeGreaterThanOrEqual(usableBytes);
    expect(Number.isSafeInteger(totalBytes)).toBe(true);
    await expect(disk.space(`${root}/none`)).rejects.toMatchObject({ code: 'not-found' });
  });
});

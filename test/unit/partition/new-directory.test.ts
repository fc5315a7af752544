import { beforeEach, describe, expect, it } from 'vitest';
import { NewDirectory } from '../../../broker/partition/new-directory.ts';
import { MemoryDisk } from '../../../platform/memory-disk.ts';
import { SeededRandom } from '../../../platform/seeded-random.ts';
import { readWholeFile, replaceFile } from '../../../platform/whole-files.ts';

describe('a directory that is new', () => {
  let disk: MemoryDisk;
  let made: NewDirectory;
  beforeEach(async () => {
    disk = new MemoryDisk({ crashes: new SeededRandom(1) });
    await disk.makeDirectory('/data');
    await disk.syncDirectory('/');
    expect(await disk.makeDirectory('/data/t-0')).toBe(true);
    expect(await disk.makeDirectory('/data/t-0')).toBe(false);
    made = new NewDirectory(disk, '/data/t-0');
  });

  it('holds what was made in it, and nothing else', async () => {
    expect(await made.list('/data/t-0')).toEqual([]);
    await expect(made.open('/data/t-0/boot', 'read')).rejects.toMatchObject({ code: 'not-found' });
    await expect(made.open('/data/t-0/boot', 'write')).rejects.toMatchObject({ code: 'not-found' });
    await expect(made.remove('/data/t-0/boot')).rejects.toMatchObject({ code: 'not-found' });
    await expect(made.list('/data/t-0/snapshots')).rejects.toMatchObject({ code: 'not-found' });
    expect([await made.exists('/data/t-0/boot'), await made.sizeOf('/data/t-0/boot')]).toEqual([
      false,
      undefined,
    ]);

    await replaceFile(made, '/data/t-0', 'boot', Buffer.from('abc'));
    await made.makeDirectory('/data/t-0/snapshots');
    const file = await made.open('/data/t-0/gone', 'create');
    await file.close();
    await made.remove('/data/t-0/gone');
    expect(await made.list('/data/t-0')).toEqual(['boot', 'snapshots']);
    expect(await made.list('/data/t-0')).toEqual(await disk.list('/data/t-0'));
    expect(await made.list('/data/t-0/snapshots')).toEqual([]);
    expect([await made.exists('/data/t-0/boot'), await made.sizeOf('/data/t-0/boot')]).toEqual([true, 3]);
    expect(String(await readWholeFile(made, '/data/t-0/boot'))).toBe('abc');
    await made.removeDirectory('/data/t-0/snapshots');
    expect(await made.list('/data/t-0')).toEqual(['boot']);
  });

  it('is asked about what lies elsewhere', async () => {
    await replaceFile(disk, '/data', 'votes', Buffer.from('v'));
    expect(await made.exists('/data/votes')).toBe(true);
    expect(await made.list('/data')).toEqual(['t-0', 'votes']);
  });

  it('has its names when it is settled, and may have lost them before', async () => {
    await replaceFile(made, '/data/t-0', 'boot', Buffer.from('abc'));
    await disk.syncDirectory('/data');
    const left = new Set<number>();
    for (let seed = 0; seed < 20; seed++) {
      const crashed = await makeAndCrash(seed, false);
      left.add((await crashed.list('/data/t-0')).length);
      expect(await (await makeAndCrash(seed, true)).list('/data/t-0')).toEqual(['boot']);
    }
    expect(left).toEqual(new Set([0, 1]));
    await made.settle();
    // From here on it is the disk.
    await replaceFile(disk, '/data/t-0', 'other', Buffer.from('y'));
    expect(await made.list('/data/t-0')).toEqual(['boot', 'other']);
    expect(await made.exists('/data/t-0/other')).toBe(true);
  });

  it('takes no file under its name once it is given up: a log that is closed then leaves no word of that', async () => {
    await replaceFile(made, '/data/t-0', 'boot', Buffer.from('abc'));
    made.giveUp();
    const closing = replaceFile(made, '/data/t-0', 'replica-state', Buffer.from('closed'));
    await expect(closing).rejects.toMatchObject({ code: 'io', path: '/data/t-0/replica-state' });
    expect(await disk.exists('/data/t-0/replica-state')).toBe(false);
    expect(await disk.exists('/data/t-0/boot')).toBe(true);
  });

  it('syncs its directory once, whoever asks', async () => {
    const synced: string[] = [];
    disk.syncDirectory = (path) => {
      synced.push(path);
      return Promise.resolve();
    };
    const counted = new NewDirectory(disk, '/data/t-0');
    await replaceFile(counted, '/data/t-0', 'a', Buffer.from('a'));
    await replaceFile(counted, '/data/t-0', 'b', Buffer.from('b'));
    await counted.syncDirectory('/data');
    expect(synced).toEqual([]);
    await counted.syncDirectory('/');
    expect(synced.splice(0)).toEqual(['/']);
    await counted.settle();
    expect(synced).toEqual(['/data/t-0']);
    await replaceFile(counted, '/data/t-0', 'c', Buffer.from('c'));
    expect(synced).toEqual(['/data/t-0', '/data/t-0']);
  });
});

async function makeAndCrash(seed: number, isSettled: boolean): Promise<MemoryDisk> {
  const disk = new MemoryDisk({ crashes: new SeededRandom(seed) });
  await disk.makeDirectory('/data/t-0');
  await disk.syncDirectory('/');
  await disk.syncDirectory('/data');
  const made = new NewDirectory(disk, '/data/t-0');
  await replaceFile(made, '/data/t-0', 'boot', Buffer.from('abc'));
  if (isSettled) await made.settle();
  return disk.crash();
}

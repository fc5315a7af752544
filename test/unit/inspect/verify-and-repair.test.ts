import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemoryDisk } from '../../../platform/memory-disk.ts';
import type { Disk } from '../../../platform/disk.ts';
import { readWholeFile, replaceFile } from '../../../platform/whole-files.ts';
import { appendValues, directory, expectedRecords, flushed, readAll } from '../log/log-harness.ts';
import {
  appendBytes,
  build,
  dataDirectory,
  openWithFloor,
  pathOf,
  repair,
  truncateFile,
  verify,
} from './inspect-harness.ts';

/** All files of a directory by name, to show that nothing was changed. */
async function contentOf(disk: Disk, path: string): Promise<Record<string, string>> {
  const content: Record<string, string> = {};
  for (const name of await disk.list(path)) {
    if (/^(t-\d+)$/.test(name)) Object.assign(content, await contentOf(disk, `${path}/${name}`));
    else content[`${path}/${name}`] = (await readWholeFile(disk, `${path}/${name}`)).toString('hex');
  }
  return content;
}

/** The log opens, holds exactly these records, and takes another one. */
async function expectUsable(disk: Disk, endOffset: number): Promise<void> {
  const { log, recovery, close } = await openWithFloor(disk);
  expect(recovery.damage).toBeUndefined();
  expect(await readAll(log)).toEqual(expectedRecords(endOffset));
  expect(appendValues(log, ['next'])).toBe(endOffset);
  await flushed(log);
  await close();
}

describe('verify', () => {
  it('finds nothing in a sound directory, and changes nothing', async () => {
    const { disk, bases } = await build();
    expect(bases.length).toBeGreaterThan(3);
    const before = await contentOf(disk, dataDirectory);
    expect(await verify(disk)).toEqual([]);
    expect(await contentOf(disk, dataDirectory)).toEqual(before);
  });

  it('sees every flipped bit in a segment or index, and calls it damage in the log and repairable in an index', async () => {
    const { disk, bases } = await build();
    const kinds = ['log', 'index', 'timeindex'] as const;
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.constantFrom(...kinds),
        fc.nat(),
        fc.nat(7),
        async (place, kind, at, bit) => {
          const path = pathOf(bases[place % (bases.length - 1)]!, kind);
          const { length } = await readWholeFile(disk, path);
          disk.flipBit(path, at % length, bit);
          const findings = await verify(disk);
          disk.flipBit(path, at % length, bit);
          const [first] = findings;
          expect(first).toMatchObject({ file: path, kind: kind === 'log' ? 'damage' : 'repairable' });
        },
      ),
      { numRuns: 200 },
    );
    expect(await verify(disk)).toEqual([]);
  });

  it('tells a torn end from damage by what was once durable', async () => {
    const { disk, bases, endOffset } = await build();
    const last = pathOf(bases.at(-1)!, 'log');
    await appendBytes(disk, last, Buffer.from('torn'.repeat(30)));
    expect(await verify(disk)).toMatchObject([{ kind: 'repairable', file: last, offset: endOffset }]);
    await truncateFile(disk, last, 10);
    expect(await verify(disk)).toMatchObject([{ kind: 'damage', file: last, position: 0 }]);
  });

  it('takes zeros at the end for never written', async () => {
    const { disk, bases } = await build();
    await appendBytes(disk, pathOf(bases.at(-1)!, 'log'), Buffer.alloc(5000));
    expect(await verify(disk)).toEqual([]);
    expect(await verify(disk, dataDirectory, true)).toMatchObject([{ kind: 'note' }]);
  });

  it.each([
    ['replica-state', 30],
    ['partition.metadata', 3],
  ])('sees a damaged %s', async (name, position) => {
    const { disk } = await build();
    disk.flipBit(`${directory}/${name}`, position, 2);
    expect(await verify(disk)).toMatchObject([{ file: `${directory}/${name}` }]);
  });

  it('checks one file alone', async () => {
    const { disk, bases } = await build();
    expect(await verify(disk, pathOf(bases[1]!, 'log'))).toEqual([]);
    disk.flipBit(pathOf(bases[1]!, 'log'), 100, 1);
    expect(await verify(disk, pathOf(bases[1]!, 'log'))).toMatchObject([{ kind: 'damage' }]);
  });
});

describe('repair', () => {
  it('does nothing to a sound directory', async () => {
    const { disk } = await build();
    const before = await contentOf(disk, directory);
    expect(await repair(disk)).toEqual({ steps: [], refusals: [] });
    expect(await contentOf(disk, directory)).toEqual(before);
  });

  it('makes indexes again, equal to the original', async () => {
    const { disk, bases, endOffset } = await build();
    const before = await contentOf(disk, directory);
    await truncateFile(disk, pathOf(bases[0]!, 'index'), 3);
    await disk.remove(pathOf(bases[1]!, 'timeindex'));
    disk.flipBit(pathOf(bases[2]!, 'timeindex'), 4, 1);
    const { steps, refusals } = await repair(disk);
    expect(steps).toHaveLength(3);
    expect(refusals).toEqual([]);
    expect(await contentOf(disk, directory)).toEqual(before);
    expect(await verify(disk)).toEqual([]);
    await expectUsable(disk, endOffset);
  });

  it('cuts a torn end and removes what was interrupted', async () => {
    const { disk, bases, endOffset } = await build();
    const before = await contentOf(disk, directory);
    await appendBytes(disk, pathOf(bases.at(-1)!, 'log'), Buffer.alloc(99, 7));
    await appendBytes(disk, pathOf(bases[0]!, 'log.cleaned'), Buffer.from('x'));
    await appendBytes(disk, `${directory}/replica-state.tmp`, Buffer.from('x'));
    expect((await repair(disk)).steps).toHaveLength(2);
    expect(await contentOf(disk, directory)).toEqual(before);
    await expectUsable(disk, endOffset);
  });

  it('leaves damage as it is unless told to give up what follows, and then says what is lost', async () => {
    const { disk, bases, endOffset } = await build();
    disk.flipBit(pathOf(bases[1]!, 'log'), 300, 1);
    const before = await contentOf(disk, directory);
    const refused = await repair(disk);
    expect(refused.steps).toEqual([]);
    expect(refused.refusals).toHaveLength(1);
    expect(await contentOf(disk, directory)).toEqual(before);
    const planned = await repair(disk, { acceptDataLoss: true, dryRun: true });
    expect(await contentOf(disk, directory)).toEqual(before);
    const done = await repair(disk, { acceptDataLoss: true });
    expect(done).toEqual(planned);
    const lostFrom = Number(/offsets from (\d+) on/.exec(done.steps[0]!)?.[1]);
    expect(lostFrom).toBeGreaterThanOrEqual(bases[1]!);
    expect(lostFrom).toBeLessThan(bases[2]!);
    expect(done.steps[0]).toContain(`(${endOffset - lostFrom} or more) are lost`);
    expect(await verify(disk)).toEqual([]);
    expect(await repair(disk, { acceptDataLoss: true })).toEqual({ steps: [], refusals: [] });
    const names = await disk.list(directory);
    expect(names.filter((name) => name.endsWith('.log.given-up'))).toHaveLength(bases.length - 1);
    await expectUsable(disk, lostFrom);
  });

  it('gives up what a start of the broker has set aside', async () => {
    const { disk, bases } = await build();
    await truncateFile(disk, pathOf(bases[2]!, 'log'), 300);
    const opened = await openWithFloor(disk);
    expect(opened.recovery.kind).toBe('damaged');
    const lostFrom = opened.log.logEndOffset;
    await opened.close();
    expect((await verify(disk)).some(({ kind }) => kind === 'damage')).toBe(true);
    expect((await repair(disk)).refusals).toHaveLength(1);
    await repair(disk, { acceptDataLoss: true });
    expect(await verify(disk)).toEqual([]);
    await expectUsable(disk, lostFrom);
  });

  it('takes a copy that was put in the place of what was set aside, and loses nothing', async () => {
    const { disk, bases, endOffset } = await build();
    const whole = await contentOf(disk, dataDirectory);
    disk.flipBit(pathOf(bases[1]!, 'log'), 300, 1);
    await disk.remove(`${directory}/replica-state`);
    const opened = await openWithFloor(disk);
    expect(opened.recovery.kind).toBe('damaged');
    await opened.close();
    expect((await repair(disk)).refusals).toHaveLength(1);
    for (const [path, hex] of Object.entries(whole)) {
      const name = path.slice(directory.length + 1);
      if (path === `${directory}/${name}`) await replaceFile(disk, directory, name, Buffer.from(hex, 'hex'));
    }
    // It takes no writes yet.
    const found = await verify(disk);
    expect(found.map(({ kind }) => kind)).toEqual(bases.slice(1).map(() => 'repairable'));
    expect(found[0]!.cause).toMatch(/the log is whole again/);
    const { steps, refusals } = await repair(disk);
    expect(refusals).toEqual([]);
    expect(steps).toEqual([expect.stringContaining('.damaged becomes .given-up')]);
    expect(await verify(disk)).toEqual([]);
    await expectUsable(disk, endOffset);
  });

  it('may be interrupted at any operation and run again', async () => {
    const { disk, bases } = await build(30);
    disk.flipBit(pathOf(bases[1]!, 'log'), 300, 1);
    const spoilt = await contentOf(disk, dataDirectory);
    let lostFrom: number | undefined;
    let interruptions = 0;
    for (let allowed = 0; ; allowed++) {
      let left = Infinity;
      const copy = new MemoryDisk({
        faults: (operation) => {
          const changes = operation !== 'read' && operation !== 'open';
          return changes && left-- <= 0 ? 'io' : undefined;
        },
      });
      await copy.makeDirectory(directory);
      for (const [path, hex] of Object.entries(spoilt))
        await appendBytes(copy, path, Buffer.from(hex, 'hex'));
      left = allowed;
      const isDone = await repair(copy, { acceptDataLoss: true }).then(
        () => true,
        () => false,
      );
      left = Infinity;
      await repair(copy, { acceptDataLoss: true });
      expect(await verify(copy)).toEqual([]);
      const { log, recovery, close } = await openWithFloor(copy);
      expect(recovery.damage).toBeUndefined();
      lostFrom ??= log.logEndOffset;
      expect(await readAll(log)).toEqual(expectedRecords(lostFrom));
      await close();
      if (isDone) break;
      interruptions++;
    }
    expect(interruptions).toBeGreaterThan(15);
  });

  it('refuses what Kafka wrote', async () => {
    const { disk } = await build();
    await truncateFile(disk, `${dataDirectory}/meta.properties`, 10);
    await expect(repair(disk)).rejects.toThrow('was not written by Kappalog');
  });
});

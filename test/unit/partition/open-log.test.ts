import { describe, expect, it } from 'vitest';
import { DamagedSegment } from '../../../broker/log/reading/header-scan.ts';
import { ReadPool } from '../../../broker/log/reading/read-pool.ts';
import { Syncer } from '../../../broker/log/sync/syncer.ts';
import { TailCache } from '../../../broker/log/reading/tail-cache.ts';
import { openLog } from '../../../broker/partition/open-log.ts';
import type { OpenedLog } from '../../../broker/partition/open-log.ts';
import { ManualClock } from '../../../platform/manual-clock.ts';
import { MemoryDisk } from '../../../platform/memory-disk.ts';
import { batchField, encodeBatch, readBatchHeader } from '../../../protocol/index.ts';
import { logConfigDefaults } from '../../support/log-config.ts';
import { directory, flushed, startTerm } from '../log/log-harness.ts';

function open(disk: MemoryDisk): Promise<OpenedLog> {
  return openLog(
    {
      disk,
      clock: new ManualClock(),
      directory,
      syncer: new Syncer(),
      tailCache: new TailCache({ maxBytes: 0 }),
      readPool: new ReadPool({ disk, maxBytes: 1 << 20, blockBytes: 4096 }),
      config: () => ({ ...logConfigDefaults, segmentBytes: 700 }),
    },
    { expirationMs: () => Infinity, onSnapshotFailure: (error) => expect.fail(String(error)) },
  );
}

/** Stopped cleanly: nothing of it is read again, but for the producers. */
async function stoppedLog(disk: MemoryDisk): Promise<{ endIndex: number; sequences: number }> {
  const { log, producers } = await open(disk);
  startTerm(log, 1);
  for (let sequence = 0; sequence < 20; sequence++) {
    if (sequence === 12) startTerm(log, 2);
    const value = Buffer.from(`record ${sequence}`);
    const batch = encodeBatch([{ timestamp: 1, value }], {
      producerId: 5,
      producerEpoch: 0,
      baseSequence: sequence,
    });
    const header = readBatchHeader(batch);
    const { baseOffset } = log.append(batch, log.lastTerm);
    producers.appended(header, baseOffset);
  }
  await flushed(log);
  await producers.settled();
  const { endIndex } = log;
  await log.flushAndClose();
  return { endIndex, sequences: producers.states.lastOffsets(Infinity).get(5) ?? -1 };
}

async function removeSnapshots(disk: MemoryDisk): Promise<void> {
  for (const name of await disk.list(directory))
    if (name.endsWith('.snapshot')) await disk.remove(`${directory}/${name}`);
}

async function batchesOf(disk: MemoryDisk): Promise<{ path: string; position: number; sizeBytes: number }[]> {
  const batches: { path: string; position: number; sizeBytes: number }[] = [];
  for (const name of (await disk.list(directory)).filter((each) => each.endsWith('.log'))) {
    const file = await disk.open(`${directory}/${name}`, 'read');
    const bytes = Buffer.alloc(await file.size());
    await file.read(bytes, 0);
    for (let position = 0; position < bytes.length;) {
      const sizeBytes = batchField.sizeBytes(bytes, position);
      batches.push({ path: `${directory}/${name}`, position, sizeBytes });
      position += sizeBytes;
    }
  }
  return batches;
}

describe('a log whose producers are made from what recovery does not read', () => {
  it('is damaged where any bit of that has rotted, and keeps what is before it', async () => {
    const count = (
      await (async () => {
        const disk = new MemoryDisk();
        await stoppedLog(disk);
        return batchesOf(disk);
      })()
    ).length;
    expect(count).toBe(22);
    for (let place = 0; place < count; place++) {
      for (let at = place % 5; at < 75; at += 5) {
        const disk = new MemoryDisk();
        const { endIndex } = await stoppedLog(disk);
        await removeSnapshots(disk);
        const { path, position, sizeBytes } = (await batchesOf(disk))[place]!;
        disk.flipBit(path, position + (at % sizeBytes), at % 8);
        const what = `byte ${at % sizeBytes} of batch ${place}`;
        const { log, recovery, floor, producers } = await open(disk);
        expect(recovery.kind, what).toBe('damaged');
        expect(recovery.damage, what).toMatchObject({ file: path, validEndIndex: place + 1 });
        expect(floor, what).toEqual({ term: 2, index: endIndex - 1 });
        expect([log.failure?.kind, log.endIndex], what).toEqual(['damage', place + 1]);
        expect(producers.states.lastOffsets(Infinity).get(5) ?? -1, what).toBe(log.logEndOffset - 1);
        await log.flushAndClose();
        // It stays so.
        const again = await open(disk);
        expect(again.floor, what).toEqual(floor);
      }
    }
  }, 60_000);

  it('is whole where nothing has', async () => {
    const disk = new MemoryDisk();
    const { endIndex, sequences } = await stoppedLog(disk);
    await removeSnapshots(disk);
    const { log, recovery, floor, producers } = await open(disk);
    expect([recovery.kind, floor, log.endIndex]).toEqual(['clean', undefined, endIndex]);
    expect(producers.states.lastOffsets(Infinity).get(5)).toBe(sequences);
  });

  it('says where, to who reads its headers later', async () => {
    const disk = new MemoryDisk();
    await stoppedLog(disk);
    const { log } = await open(disk);
    const { path, position } = (await batchesOf(disk))[7]!;
    disk.flipBit(path, position + 58, 2);
    const error: unknown = await log.scanHeaders(0, () => undefined).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(DamagedSegment);
    expect(error).toMatchObject({ file: path, position });
  });
});

import { describe, expect, it } from 'vitest';
import type { CommitLog } from '../../../../broker/log/commit-log.ts';
import type { DurableFloor, Floor } from '../../../../broker/log/sync/durable-floors.ts';
import { MemoryDisk } from '../../../../platform/memory-disk.ts';
import { batchField, encodeBatch } from '../../../../protocol/index.ts';
import { appendValues, directory, flushed, openLog, startTerm } from '../log-harness.ts';

const config = { segmentBytes: 600 };

/** Keeps what it is given at once. */
function floorAt(floor: Floor): DurableFloor {
  let current = floor;
  return {
    current: () => current,
    raise: (higher) => {
      if (higher.endIndex > current.endIndex) current = higher;
    },
    lower: (other) => {
      current = other;
      return Promise.resolve();
    },
    forget: () => Promise.resolve(),
  };
}

/** Three terms, several segments; what records hold looks like a batch here and there. */
async function writeLog(disk: MemoryDisk): Promise<CommitLog> {
  const { log } = await openLog({ disk, config });
  const inner = encodeBatch([{ timestamp: 1, value: Buffer.from('a batch within a record') }]);
  for (const term of [1, 2, 3]) {
    startTerm(log, term);
    for (let each = 0; each < 4; each++) {
      appendValues(log, [`value ${each} of term ${term}`, 'x'.repeat(20 * each)]);
      log.append(encodeBatch([{ timestamp: 2, value: inner }]), term);
      if (each === 1) log.appendRaftOnly({ kind: 'delete-records', term, payload: Buffer.alloc(8) });
    }
  }
  await flushed(log);
  return log;
}

interface WrittenBatch {
  readonly path: string;
  readonly position: number;
  readonly sizeBytes: number;
  /** Where the log ends with it. */
  readonly floor: Floor;
}

async function batchesOf(disk: MemoryDisk): Promise<WrittenBatch[]> {
  const names = (await disk.list(directory)).filter((name) => name.endsWith('.log'));
  const batches: WrittenBatch[] = [];
  let endIndex = 1;
  for (const name of names) {
    const path = `${directory}/${name}`;
    const file = await disk.open(path, 'read');
    const bytes = Buffer.alloc(await file.size());
    await file.read(bytes, 0);
    for (let position = 0; position < bytes.length;) {
      const sizeBytes = batchField.sizeBytes(bytes, position);
      endIndex += Math.max(1, batchField.lastOffsetDelta(bytes, position) + 1);
      const floor = { term: batchField.leaderEpoch(bytes, position), endIndex };
      batches.push({ path, position, sizeBytes, floor });
      position += sizeBytes;
    }
  }
  return batches;
}

describe('a damaged log whose floor is behind', () => {
  it('knows how far it reached, whichever bit is wrong', async () => {
    const whole = new MemoryDisk();
    const { endIndex } = await writeLog(whole);
    const batches = await batchesOf(whole);
    expect(batches.length).toBeGreaterThan(25);
    expect(new Set(batches.map(({ path }) => path)).size).toBeGreaterThan(3);
    for (const [place, { path, position, sizeBytes, floor }] of batches.slice(0, -1).entries()) {
      const places = [...Array(61).keys(), 61 + ((place * 7) % (sizeBytes - 61 || 1))];
      for (const at of places.filter((each) => each < sizeBytes && (each + place) % 3 === 0)) {
        const disk = new MemoryDisk();
        await writeLog(disk);
        disk.flipBit(path, position + at, (at + place) % 8);
        const durable = floorAt(floor);
        const doubtedOffset = Number(path.slice(-24, -4));
        const { recovery } = await openLog({ disk, config, floor: durable, doubtedOffset });
        const what = `byte ${at} of batch ${place}`;
        expect(recovery.damage, what).toMatchObject({ floorTerm: 3, floorEndIndex: endIndex });
        // It goes by that after the next start, too, when what follows has been set aside.
        expect(durable.current(), what).toEqual({ term: 3, endIndex });
      }
    }
  }, 60_000);

  it('keeps its floor where that is further', async () => {
    const disk = new MemoryDisk();
    const { endIndex } = await writeLog(disk);
    const { path, position } = (await batchesOf(disk))[2]!;
    disk.flipBit(path, position + 30, 1);
    await disk.remove(`${directory}/replica-state`);
    const floor = floorAt({ term: 4, endIndex: endIndex + 5 });
    const { recovery } = await openLog({ disk, config, floor });
    expect(recovery.damage).toMatchObject({ floorTerm: 4, floorEndIndex: endIndex + 5 });
    expect(floor.current()).toEqual({ term: 4, endIndex: endIndex + 5 });
  });
});

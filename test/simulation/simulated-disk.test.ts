/** What the simulated disk may do to files, and what it may not: the fault model that its header promises. */
import { describe, expect, it } from 'vitest';
import type { Disk, DiskFile } from '../../platform/disk.ts';
import { SeededRandom } from '../../platform/seeded-random.ts';
import { SimulatedClock, drainMicrotasks } from './simulated-clock.ts';
import { SimulatedDisk } from './simulated-disk.ts';
import type { DiskBehaviour } from './simulated-disk.ts';
import { Trace } from './trace.ts';

const behaviour: DiskBehaviour = { latencyMs: 1, spikeOneIn: 0, shortReadOneIn: 0, evicts: false };

class Machine {
  readonly clock = new SimulatedClock();
  readonly disk: SimulatedDisk;
  now: Disk;

  constructor(seed: number, changes: Partial<DiskBehaviour> = {}) {
    const trace = new Trace({ keepsLines: false });
    const random = new SeededRandom(seed);
    this.disk = new SimulatedDisk({
      clock: this.clock,
      random,
      behaviour: { ...behaviour, ...changes },
      trace,
    });
    this.now = this.disk.boot();
  }

  async settle<T>(promise: Promise<T>): Promise<T> {
    const state = { isSettled: false };
    const settled = (): void => {
      state.isSettled = true;
    };
    promise.then(settled, settled);
    await drainMicrotasks();
    while (!state.isSettled && this.clock.step()) await drainMicrotasks();
    return promise;
  }

  /** A file with these synced bytes, whose name is durable. */
  async durableFile(path: string, bytes: Buffer): Promise<DiskFile> {
    const file = await this.settle(this.now.open(path, 'create'));
    await this.settle(file.write([bytes], 0));
    await this.settle(file.sync());
    await this.settle(this.now.syncDirectory('/'));
    return file;
  }

  losePower(): void {
    this.disk.losePower();
    this.now = this.disk.boot();
  }

  kill(): void {
    this.disk.kill();
    this.now = this.disk.boot();
  }
}

async function outcomes(seeds: number, run: (seed: number) => Promise<string>): Promise<Set<string>> {
  const seen = new Set<string>();
  for (let seed = 0; seed < seeds; seed++) seen.add(await run(seed));
  return seen;
}

describe('a loss of power', () => {
  it('keeps what was synced, and loses, keeps, tears, cuts and zeroes what was not', async () => {
    const seen = await outcomes(400, async (seed) => {
      const machine = new Machine(seed);
      const file = await machine.durableFile('/a', Buffer.alloc(1000, 'o'));
      await machine.settle(file.write([Buffer.alloc(1000, 'n')], 1000));
      await machine.settle(file.write([Buffer.alloc(1048, 'm')], 2000));
      machine.losePower();
      const text = machine.disk.contentOf('/a')!.toString('latin1');
      expect(text.slice(0, 1000)).toBe('o'.repeat(1000));
      expect(text.slice(1000)).toMatch(/^[n\0]*[m\0]*$/);
      if (text.length === 1000) return 'lost';
      if (text.slice(1000) === 'n'.repeat(1000) + 'm'.repeat(1048)) return 'kept';
      const isReordered = text.includes('m') && !text.includes('n');
      return `${text.length} bytes, ${isReordered ? 'reordered' : 'torn'}`;
    });
    expect([...seen].sort()).toEqual([
      '2000 bytes, torn',
      '3048 bytes, reordered',
      '3048 bytes, torn',
      'kept',
      'lost',
    ]);
  });

  it('may bring back the end that a truncation without a sync had cut', async () => {
    const seen = await outcomes(60, async (seed) => {
      const machine = new Machine(seed);
      const file = await machine.durableFile('/a', Buffer.from('abcdef'));
      await machine.settle(file.truncate(2));
      machine.losePower();
      return machine.disk.contentOf('/a')!.toString();
    });
    expect([...seen].sort()).toEqual(['ab', 'abcdef']);
  });

  it('loses names one by one, but none without those that it builds on', async () => {
    const seen = await outcomes(300, async (seed) => {
      const machine = new Machine(seed);
      await machine.durableFile('/old', Buffer.from('old'));
      for (const name of ['/x', '/new.tmp']) await machine.settle(machine.now.open(name, 'create'));
      await machine.settle(machine.now.rename('/new.tmp', '/old'));
      machine.losePower();
      const isOld = machine.disk.contentOf('/old')!.length === 3;
      return [...machine.disk.namesIn('/'), isOld ? 'is old' : 'is new'].join(' ');
    });
    expect([...seen].sort()).toEqual([
      'new.tmp old is old',
      'new.tmp old x is old',
      'old is new',
      'old is old',
      'old x is new',
      'old x is old',
    ]);
  });
});

describe('a kill', () => {
  it('keeps the page cache, and of a write in flight any beginning', async () => {
    const seen = await outcomes(100, async (seed) => {
      const machine = new Machine(seed);
      const file = await machine.durableFile('/a', Buffer.from('12'));
      await machine.settle(file.write([Buffer.from('34')], 2));
      void file.write([Buffer.from('567')], 4);
      machine.kill();
      return machine.disk.contentOf('/a')!.toString();
    });
    expect([...seen].sort()).toEqual(['1234', '12345', '123456', '1234567']);
  });

  it('is the end for what the process had under way', async () => {
    const machine = new Machine(1);
    const file = await machine.durableFile('/a', Buffer.from('x'));
    let hasEnded = false;
    void file.sync().finally(() => {
      hasEnded = true;
    });
    machine.kill();
    while (machine.clock.step()) await drainMicrotasks();
    expect(hasEnded).toBe(false);
  });
});

describe('a failed sync', () => {
  it('leaves bytes in the cache that no later sync writes, but writing them again does', async () => {
    const lost = await outcomes(60, async (seed) => {
      const machine = new Machine(seed);
      const file = await machine.durableFile('/a', Buffer.alloc(0));
      await machine.settle(file.write([Buffer.from('bytes')], 0));
      machine.disk.arm({ operation: 'sync', code: 'io', skip: 0 });
      await expect(machine.settle(file.sync())).rejects.toMatchObject({ code: 'io' });
      if (seed % 2 === 0) await machine.settle(file.write([Buffer.from('bytes')], 0));
      await machine.settle(file.sync());
      expect(machine.disk.contentOf('/a')!.toString()).toBe('bytes');
      machine.losePower();
      const isThere = machine.disk.contentOf('/a')!.toString() === 'bytes';
      return `${seed % 2 === 0 ? 'written again' : 'synced again'}: ${isThere ? 'there' : 'zeros'}`;
    });
    expect([...lost].sort()).toEqual(['synced again: there', 'synced again: zeros', 'written again: there']);
  });

  it('may be found out by the next process, where pages are evicted', async () => {
    const seen = await outcomes(60, async (seed) => {
      const machine = new Machine(seed, { evicts: true });
      const file = await machine.durableFile('/a', Buffer.from('old'));
      await machine.settle(file.write([Buffer.from('new')], 0));
      machine.disk.arm({ operation: 'sync', code: 'io', skip: 0 });
      await expect(machine.settle(file.sync())).rejects.toMatchObject({ code: 'io' });
      machine.kill();
      return machine.disk.contentOf('/a')!.toString();
    });
    expect([...seen].sort()).toEqual(['new', 'old']);
  });
});

describe('injected errors', () => {
  it('strike once, after as many operations as they were told to let pass', async () => {
    const machine = new Machine(1);
    const file = await machine.durableFile('/a', Buffer.from('x'));
    machine.disk.arm({ operation: 'read', code: 'io', skip: 1 });
    const read = (): Promise<number> => machine.settle(file.read(Buffer.alloc(1), 0));
    expect(await read()).toBe(1);
    await expect(read()).rejects.toMatchObject({ code: 'io' });
    expect(await read()).toBe(1);
    expect(machine.disk.errorCount).toBe(1);
  });

  it('a full disk takes a part of a write, a read-only one nothing, until they are repaired', async () => {
    const machine = new Machine(1);
    const file = await machine.durableFile('/a', Buffer.from('x'));
    machine.disk.limitSpace(3);
    const write = (): Promise<void> => machine.settle(file.write([Buffer.from('12345')], 1));
    await expect(write()).rejects.toMatchObject({ code: 'no-space' });
    expect(machine.disk.contentOf('/a')!.toString()).toBe('x123');
    machine.disk.repair();
    machine.disk.becomeReadOnly();
    await expect(machine.settle(machine.now.remove('/a'))).rejects.toMatchObject({ code: 'read-only' });
    machine.disk.repair();
    await write();
    expect(machine.disk.contentOf('/a')!.toString()).toBe('x12345');
  });
});

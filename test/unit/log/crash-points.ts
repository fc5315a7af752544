/** Stops the machine at every single operation of the disk that an action makes, one after the other. */
import { MemoryDisk } from '../../../platform/memory-disk.ts';
import { SeededRandom } from '../../../platform/seeded-random.ts';

export interface CrashCase<Prepared> {
  /** What is there before, whole and durable. */
  readonly prepare: (disk: MemoryDisk) => Promise<Prepared>;
  /** What is interrupted. */
  readonly act: (prepared: Prepared) => Promise<unknown>;
  /** On what the crash has left. `wasDone`: the action had resolved. */
  readonly check: (disk: MemoryDisk, wasDone: boolean) => Promise<void>;
  /** Lives tried for each operation: what is unsynced is lost in another way in each. */
  readonly seeds?: number;
}

/** Returns how many operations the action makes. */
export async function atEveryCrash<Prepared>(crashCase: CrashCase<Prepared>): Promise<number> {
  const { prepare, act, check, seeds = 3 } = crashCase;
  for (let stopAt = 0; ; stopAt++) {
    let wasDone = false;
    for (let seed = 0; seed < seeds; seed++) {
      let operations = -1;
      let reached = (): void => undefined;
      const stopped = new Promise<void>((resolve) => {
        reached = resolve;
      });
      const disk = new MemoryDisk({
        crashes: new SeededRandom(seed * 7919 + stopAt),
        delay: () => {
          if (operations < 0) return Promise.resolve();
          if (operations++ < stopAt) return Promise.resolve();
          reached();
          return new Promise(() => undefined);
        },
      });
      const prepared = await prepare(disk);
      operations = 0;
      const done = act(prepared).then(() => {
        wasDone = true;
      });
      await Promise.race([done, stopped]);
      operations = -1;
      const after = seed % 2 === 0 ? disk.crash() : disk.kill();
      // What went on in the background until now finds its disk dead.
      await check(after, wasDone);
    }
    if (wasDone) return stopAt;
  }
}

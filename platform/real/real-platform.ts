import type { Platform } from '../platform.ts';
import { RandomIds } from '../random-ids.ts';
import { realBoot } from './real-boot.ts';
import { RealClock } from './real-clock.ts';
import { RealDisk } from './real-disk.ts';
import { RealNetwork } from './real-network.ts';
import { RealRandom } from './real-random.ts';
import { RealYield } from './real-yield.ts';

/** The machine's own clock, disk, network and randomness. For composition roots; each call makes a set of its own. */
export function realPlatform(): Platform {
  const random = new RealRandom();
  return {
    clock: new RealClock(),
    disk: new RealDisk(),
    network: new RealNetwork(),
    random,
    ids: new RandomIds(random),
    yielding: new RealYield(),
    boot: realBoot(),
  };
}

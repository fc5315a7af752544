import type { Boot } from './boot.ts';
import type { Clock } from './clock.ts';
import type { Disk } from './disk.ts';
import type { Ids } from './ids.ts';
import type { Network } from './network.ts';
import type { Random } from './random.ts';
import type { Yield } from './yield.ts';

/** All that a node or a client takes from its surroundings. The composition root picks the real or the simulated ones. */
export interface Platform {
  readonly clock: Clock;
  readonly disk: Disk;
  readonly network: Network;
  readonly random: Random;
  readonly ids: Ids;
  readonly yielding: Yield;
  readonly boot: Boot;
}

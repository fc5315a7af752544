/** What the parts of a simulation of whole nodes share. */
import type { Random } from '../../../platform/random.ts';
import type { Tally } from '../cluster/tally.ts';
import type { SimulatedClock } from '../simulated-clock.ts';
import type { Trace } from '../trace.ts';
import type { HostNetwork } from './host-network.ts';
import type { NodesOptions } from './nodes-options.ts';

export interface NodesWorld {
  readonly clock: SimulatedClock;
  readonly random: Random;
  readonly trace: Trace;
  readonly network: HostNetwork;
  readonly tally: Tally;
  readonly options: NodesOptions;
  /** Whether what a node reads from its disk may be something else than was written. */
  readonly isSpoilt: (nodeId: number) => boolean;
  /** One line of the history. */
  readonly say: (line: string) => void;
  /** A promise is broken, by something that nobody waits for. */
  readonly broken: (error: Error) => void;
}

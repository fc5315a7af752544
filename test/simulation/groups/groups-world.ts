/** What all parts of a simulated world of groups share. */
import type { SimulatedClock } from '../simulated-clock.ts';
import type { Trace } from '../trace.ts';
import type { Tally } from '../cluster/tally.ts';
import type { CommitHistory } from './commit-history.ts';
import type { GroupNodes } from './group-nodes.ts';
import type { GroupsOptions } from './groups-options.ts';
import type { Ownership } from './ownership.ts';
import type { SimulatedTopics } from './simulated-topics.ts';

export interface GroupsWorld {
  readonly options: GroupsOptions;
  readonly clock: SimulatedClock;
  readonly trace: Trace;
  readonly tally: Tally;
  readonly topics: SimulatedTopics;
  readonly nodes: GroupNodes;
  readonly history: CommitHistory;
  readonly ownership: Ownership;
  readonly network: { readonly lossPerMille: number; readonly areFaultsOver: boolean };
  readonly say: (line: string) => void;
  /** A promise has been broken by something that nobody waits for. */
  readonly broken: (error: Error) => void;
}

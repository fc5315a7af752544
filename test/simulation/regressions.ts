/**
 * Seeds that once failed, with a word on what was wrong. They run in `npm test`. A change to what a simulator draws gives an old
 * seed another history: it stays as one more history, and the mutation check plants what it found again.
 */
import { diskKinds } from './nodes/disk-faults.ts';
import { manyGroupsKind } from './nodes/many-groups.ts';
import { machineKinds } from './nodes/machine-faults.ts';
import { memberSteps } from './nodes/nodes-options.ts';

export interface Regression {
  readonly simulator: string;
  readonly seed: number;
  readonly focus?: string;
  /** Kinds of faults that the simulator has come to draw since. */
  readonly without?: readonly string[];
  readonly foundBy: string;
}

export const regressions: readonly Regression[] = [
  {
    simulator: 'log',
    seed: 247,
    foundBy:
      'what a killed process had cut came back after a loss of power, as a clean start did not sync it',
  },
  {
    simulator: 'log',
    seed: 214,
    foundBy: 'index entries for what had been cut stayed in the files after a crash in a truncation',
  },
  {
    simulator: 'log',
    seed: 1968,
    foundBy: 'index files of a full segment that were being made anew when the machine died held zeros',
  },
  {
    simulator: 'log',
    seed: 2130,
    foundBy: 'the recovery point vouched for index files that a truncation had begun to write anew',
  },
  {
    simulator: 'log',
    seed: 1821,
    foundBy:
      "a log's directory whose maker was killed before its name was synced was lost with all flushed in it",
  },
  {
    simulator: 'log',
    seed: 8942,
    foundBy: 'index files without a segment were taken over by a later segment of that name',
  },
  {
    simulator: 'log',
    seed: 919,
    foundBy: 'retention took an uncommitted Raft-only entry at the end of a segment along',
  },
  {
    simulator: 'log',
    seed: 185,
    foundBy: 'the latest record was looked for in a batch that compaction had left without records',
  },
  {
    simulator: 'log',
    seed: 71509,
    foundBy: 'a log of which only a torn first entry was left took its term over',
  },
  {
    simulator: 'cluster',
    seed: 20295,
    foundBy: 'a snapshot of producers from before a truncation came back after a loss of power',
  },
  {
    simulator: 'cluster',
    seed: 9,
    foundBy:
      'a leader left out a configuration older than the kept one, and its followers refused the entries',
  },
  {
    simulator: 'cluster',
    seed: 43,
    foundBy: 'under write.caching without flush.ms a member that had lost its memory never was whole again',
  },
  {
    simulator: 'cluster',
    seed: 2423,
    foundBy: 'a group never came to rest one of whose members had taken for committed what was lost',
  },
  {
    simulator: 'cluster',
    seed: 14673,
    foundBy: 'a vote whose sync had failed was relied on after a kill, and gone after a loss of power',
  },
  {
    simulator: 'cluster',
    seed: 30321,
    focus: 'copies',
    foundBy:
      'a copied log ended before the configuration that came with it, and the next entries ended the process',
  },
  {
    simulator: 'cluster',
    seed: 30376,
    focus: 'copies',
    foundBy: 'the same, of a log that was copied whole by a member that had nothing',
  },
  {
    simulator: 'cluster',
    seed: 50360,
    focus: 'copies',
    foundBy:
      'a reader took offsets for right that no CRC covers, from a disk that was known to be spoilt (the simulation)',
  },
  {
    simulator: 'cluster',
    seed: 52088,
    focus: 'copies',
    foundBy:
      'an operator forced a new configuration before the member that held the most had started (the simulation)',
  },
  {
    simulator: 'cluster',
    seed: 40563,
    foundBy:
      'an operator answered for members that had forgotten who belongs to their group, and two led it (the simulation)',
  },
  {
    simulator: 'nodes',
    seed: 38,
    without: [...memberSteps, ...machineKinds, ...diskKinds, manyGroupsKind],
    foundBy: 'a node that had been a member, and got the partition back, led it all by itself',
  },
  {
    simulator: 'nodes',
    seed: 4,
    without: [...memberSteps, ...machineKinds, ...diskKinds, manyGroupsKind],
    foundBy: 'the last of the stopping nodes waited for an operation of the metadata for ever',
  },
  {
    simulator: 'nodes',
    seed: 14,
    without: [...memberSteps, ...machineKinds, ...diskKinds, manyGroupsKind],
    foundBy: 'a node that joined was told no addresses by a node that had just started, and kept that list',
  },
  {
    simulator: 'nodes',
    seed: 54,
    without: [...memberSteps, ...machineKinds, ...diskKinds, manyGroupsKind],
    foundBy: 'a member that had not registered was never reached again once the leader had changed',
  },
  {
    simulator: 'nodes',
    seed: 1108,
    without: [...memberSteps, ...machineKinds, ...diskKinds, manyGroupsKind],
    foundBy: 'a log was closed, or removed, while the end of it was being cut',
  },
  {
    simulator: 'cluster',
    seed: 6990,
    foundBy:
      'what a power failure took under write.caching was not noticed where records before it had been deleted',
  },
  {
    simulator: 'cluster',
    seed: 5455,
    foundBy: 'the states of producers were compared with a log from which records were deleted meanwhile',
  },
  {
    simulator: 'cluster',
    seed: 9591,
    foundBy:
      'questions to a process that had been killed ended with their time alone, not with the connection',
  },
  {
    simulator: 'nodes',
    seed: 21486,
    without: [...memberSteps, ...machineKinds, ...diskKinds, manyGroupsKind],
    foundBy:
      'a node that was cut off while another joined did not learn where that one is, which led by then',
  },
  {
    simulator: 'nodes',
    seed: 300001,
    without: [...machineKinds, ...diskKinds, manyGroupsKind],
    foundBy:
      'a node with an empty disk counted its starts from 1 again, and nobody listened to what seemed to come from an earlier one',
  },
  {
    simulator: 'nodes',
    seed: 300002,
    without: [...machineKinds, ...diskKinds, manyGroupsKind],
    foundBy:
      'a node with an empty disk was taken in by one that did not know of it yet, and its replicas were asked for in the lost directory',
  },
  {
    simulator: 'nodes',
    seed: 300165,
    without: [...machineKinds, ...diskKinds, manyGroupsKind],
    foundBy:
      'a partition whose replicas were to change before a majority had opened it never got a leader: who came later did not vote',
  },
  {
    simulator: 'nodes',
    seed: 1696,
    without: [...machineKinds, ...diskKinds, manyGroupsKind],
    foundBy: 'a node that started while most of the others were away gave up after 15 s',
  },
  {
    simulator: 'nodes',
    seed: 2374,
    without: [...machineKinds, ...diskKinds, manyGroupsKind],
    foundBy: 'a voter that was down while another joined could not answer that one, and with it elect it',
  },
  {
    simulator: 'nodes',
    seed: 337,
    without: [...diskKinds, manyGroupsKind],
    foundBy:
      'a leader of the metadata that had lost its leadership and got it again remembered a node that was to join, and had been taken out since',
  },
  {
    simulator: 'nodes',
    seed: 800006,
    without: [...diskKinds, manyGroupsKind],
    foundBy: 'a question to join that came late brought a node back that had been taken out',
  },
  {
    simulator: 'nodes',
    seed: 100987,
    focus: 'disks',
    foundBy:
      'a node that had given up its replica and got it back voted, empty as it was, for one that did not know of what was acknowledged',
  },
  {
    simulator: 'nodes',
    seed: 3001,
    focus: 'disks',
    foundBy: 'a start whose disk was full ended with an error that was taken for a bug',
  },
  {
    simulator: 'nodes',
    seed: 3155,
    focus: 'disks',
    foundBy:
      'a node whose disk failed as it started was told to remove its metadata, as if that were damaged',
  },
  {
    simulator: 'nodes',
    seed: 50_026,
    foundBy:
      'a replica that had been moved to another data directory stayed offline when that one was replaced by an empty one',
  },
  {
    simulator: 'nodes',
    seed: 702_187,
    foundBy:
      'a replica that had been moved, and whose files an operator took away, came back in its first directory without the floor of what it had acknowledged',
  },
  {
    simulator: 'nodes',
    seed: 703_924,
    foundBy:
      'a node that joined waited for ever to be registered where another had come to lead the metadata once it had all of it',
  },
  {
    simulator: 'groups',
    seed: 1717,
    foundBy:
      'sessions ran out while the log took nothing, though heartbeats were answered as if all were well',
  },
  {
    simulator: 'groups',
    seed: 620,
    foundBy: 'a heartbeat that came while the log took nothing was answered, and not counted',
  },
  {
    simulator: 'groups',
    seed: 1020,
    foundBy:
      'a static leader that came back was told to skip the assignment, though a topic had grown meanwhile',
  },
  {
    simulator: 'groups',
    seed: 2565,
    foundBy: 'a static member that came back to other topics kept what it had before',
  },
  {
    simulator: 'groups',
    seed: 1123,
    foundBy: 'generations counted anew when a member of the classic protocol took the place of the only one',
  },
  {
    simulator: 'groups',
    seed: 102130,
    foundBy: 'a member that joined and fetched its assignment again in a stable group counted as silent',
  },
  {
    simulator: 'groups',
    seed: 205200,
    foundBy:
      'another coordinator forgot a group whose only member had been replaced by one of the classic protocol',
  },
  {
    simulator: 'groups',
    seed: 208031,
    foundBy: 'topics that a pattern matched newly were shared out among those alone who had named them',
  },
];

/**
 * Which members a replica believes in when it is opened for the first time. Two quorums would come of a wrong answer, so it
 * counts itself among the voters only where nobody can have been added or removed since the partition was created, or where
 * it is one of those that the partition was created with and has been so ever since: then it only comes late.
 *
 * Any other newcomer opens as an outsider: it knows of members, is none itself, never campaigns, and learns from its leader's
 * entries who belongs to the group.
 */
import type { Disk } from '../../platform/disk.ts';
import { isSoleVoter } from '../raft/configuration.ts';
import type { Configuration, PlacedConfiguration } from '../raft/configuration.ts';
import type { MemberId } from '../raft/member.ts';
import {
  DamagedConfiguration,
  readConfigurationFile,
  writeConfigurationFile,
} from './consensus/configuration-file.ts';
import type { IntendedMembers } from './replica-types.ts';

/** Of a member in a directory that has nothing of the group. */
export function firstConfiguration(self: MemberId, intended: IntendedMembers | undefined): Configuration {
  if (intended === undefined) return aloneConfiguration(self);
  const { members, revision, founders } = intended;
  if (founders?.includes(self) === true) return configurationOf(founders);
  if (revision === 0 && members.includes(self)) return configurationOf(members);
  const others = members.filter((member) => member !== self);
  // Nobody else is left who could have a vote.
  return others.length === 0 ? aloneConfiguration(self) : configurationOf(others);
}

/** Of a member of no other. */
export function aloneConfiguration(self: MemberId): Configuration {
  return configurationOf([self]);
}

function configurationOf(voters: readonly MemberId[]): Configuration {
  return { voters, outgoing: [], learners: [], revision: 0 };
}

export interface FirstOf {
  readonly self: MemberId;
  readonly first: Configuration;
  /** The file has gone: the replica is not new, and its first configuration was not that of one all by itself. */
  readonly mustExist?: boolean;
}

/** Whether a replica that is not new has always had the file: it was made as one of several, who are its members as they were. */
export function hadFile(self: MemberId, intended: IntendedMembers | undefined): boolean {
  if (intended === undefined || intended.revision > 0) return false;
  return intended.members.some((member) => member !== self);
}

/**
 * What the file says, or without one `first`, which is then kept; but for that of a member all by itself, which is what a missing
 * file stands for. Rejects with a DamagedConfiguration or a DiskError.
 */
export async function readOrMakeConfiguration(
  disk: Disk,
  directory: string,
  { self, first, mustExist = false }: FirstOf,
): Promise<PlacedConfiguration> {
  const kept = await readConfigurationFile(disk, directory);
  if (kept !== undefined) return kept;
  // It would take itself for the only member, and lead by its own vote.
  if (mustExist) throw new DamagedConfiguration(`${directory}/raft-configuration`);
  const placed: PlacedConfiguration = { index: 0, configuration: first };
  if (!isSoleVoter(first, self)) await writeConfigurationFile(disk, directory, placed);
  return placed;
}

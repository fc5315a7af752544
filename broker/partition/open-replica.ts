/** Opens one replica: its log recovered, its producers' states rebuilt, its group's members known. */
import { memberId } from '../raft/member.ts';
import { SnapshotStore } from './consensus/catch-up/snapshot-store.ts';
import type { CatchUpWith } from './consensus/consensus-types.ts';
import {
  aloneConfiguration,
  firstConfiguration,
  hadFile,
  readOrMakeConfiguration,
} from './first-configuration.ts';
import { openLog } from './open-log.ts';
import type { OpenedLog } from './open-log.ts';
import { lastingFloor } from './repair-floor.ts';
import { ReplicaMemory } from './replica-memory.ts';
import type { ReplicaOptions } from './replica-types.ts';
import { Replica } from './replica.ts';

/** It belongs to its group once it is started. Rejects with a DamagedConfiguration or a DiskError. */
export async function openReplica(options: ReplicaOptions): Promise<Replica> {
  const { log: logOptions, events, home } = options;
  let replica: Replica | undefined;
  const memory = await ReplicaMemory.open({
    ...logOptions,
    boot: options.boot,
    onFailure: (error) => home.failedBy(error),
  });
  const opening = { ...logOptions, config: memory.config };
  const producersOptions = {
    expirationMs: options.producerExpirationMs,
    onSnapshotFailure: (error: unknown) => events.snapshotFailed(replica!, error),
  };
  // What a state machine is made of is read whole anyway: rot in it is to be found before anything is made of it.
  const doubtedOffset = options.keepsSnapshots ? 0 : undefined;
  const openedLog = await openLog(opening, producersOptions, doubtedOffset);
  try {
    replica = await withMembers(options, { ...openedLog, memory });
    await options.made?.settle();
    return replica;
  } catch (error) {
    options.made?.giveUp();
    // Its own errors would say the same again; the files that it holds open must not stay open.
    await Promise.allSettled([openedLog.log.flushAndClose()]);
    throw error;
  }
}

async function withMembers(
  options: ReplicaOptions,
  { log, recovery, producers, memory, ...found }: OpenedLog & { readonly memory: ReplicaMemory },
): Promise<Replica> {
  const { disk, home, nodeId } = options;
  const self = memberId(nodeId, options.madeIn ?? home.id!);
  // Its term and vote may be from an earlier stay, whose files went when it was taken out: they make it no member of its own.
  const isEmpty = log.endIndex === 1;
  const configuration = await readOrMakeConfiguration(disk, log.directory, {
    self,
    first: isEmpty ? firstConfiguration(self, options.intended) : aloneConfiguration(self),
    mustExist: !isEmpty && hadFile(self, options.intended),
  });
  const snapshots = options.keepsSnapshots ? await SnapshotStore.open(disk, log.directory) : undefined;
  const catchUp = catchUpWith(options, snapshots);
  // What it once acknowledged and does not hold any more others may still count on.
  const floor = found.floor ?? (isEmpty ? home.votes.departureOf(options.identity) : undefined);
  const impairment = memory.impairment(await lastingFloor(disk, log, floor));
  const opened = {
    member: self,
    log,
    recovery,
    producers,
    configuration,
    impairment,
    memory,
    snapshots,
    catchUp,
  };
  return new Replica(options, opened);
}

/** A state machine's followers take its snapshots, others copy segments. */
function catchUpWith(
  { disk, clock, copying }: ReplicaOptions,
  snapshots: SnapshotStore | undefined,
): CatchUpWith | undefined {
  if (snapshots !== undefined) return { means: { kind: 'snapshot', snapshots }, disk, clock };
  return copying && { means: { kind: 'segments', copying }, disk, clock };
}

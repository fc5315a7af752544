/**
 * `kappalog log repair`: makes good what can be made good, and gives up what is damaged where that is asked for. Refuses what
 * another process uses and what Apache Kafka wrote. Every run begins with a verification, so that a second run finds what a
 * first one that was interrupted has left to do, and nothing where it has left nothing.
 */
import type { Clock } from '../../platform/clock.ts';
import type { Disk } from '../../platform/disk.ts';
import { DurableFloors } from '../log/sync/durable-floors.ts';
import { replacementName } from '../log/log-replacement.ts';
import { settleLeftovers } from '../log/recovery/recovery-leftovers.ts';
import { openSyncer } from '../log/sync/open-syncer.ts';
import { noCounts } from './findings.ts';
import { parentOf } from './inspected-files.ts';
import type { InspectedPartition, Target } from './inspected-files.ts';
import { planRepair } from './repair-partition.ts';
import type { RepairContext } from './repair-partition.ts';
import { isJournalInUse, writerOf } from './verify.ts';
import { verifyPartition } from './verify-partition.ts';
import type { VerifiedPartition } from './verify-partition.ts';

export interface RepairOptions {
  readonly acceptDataLoss: boolean;
  readonly dryRun: boolean;
  readonly indexIntervalBytes: number;
}

export interface RepairEvents {
  /** A step that has been taken; with `dryRun`, one that would be. */
  readonly stepped: (what: string) => void;
  /** What is left as it is, and why. */
  readonly refused: (why: string) => void;
}

/** This cannot be repaired here and now; nothing was changed. */
export class RepairRefused extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'RepairRefused';
  }
}

/** The data directory that a target belongs to; undefined for a partition's directory that stands alone. */
export async function dataDirectoryOf(disk: Disk, target: Target): Promise<string | undefined> {
  if (target.kind === 'data-directory') return target.directory.path;
  if (target.kind === 'file')
    throw new RepairRefused(`${target.file.path} is one file: repair its directory, of which it is a part`);
  const parent = parentOf(target.partition.path);
  return (await disk.exists(`${parent}/meta.properties`)) ? parent : undefined;
}

/** The caller holds the lock of the data directory. Rejects with a RepairRefused, before anything has been changed, and with a DiskError. */
export async function repairTarget(
  { disk, clock }: { readonly disk: Disk; readonly clock: Clock },
  target: Exclude<Target, { readonly kind: 'file' }>,
  options: RepairOptions,
  events: RepairEvents,
): Promise<void> {
  const directory = await dataDirectoryOf(disk, target);
  const partitions = target.kind === 'partition' ? [target.partition] : target.directory.partitions;
  await refuseForeign(disk, directory, partitions);
  const surroundings = new Surroundings(disk, clock, directory);
  try {
    if (directory !== undefined && (await isJournalInUse(disk, directory))) {
      events.stepped('brings what the journal holds into the segments');
      if (options.dryRun) surroundings.holdsWrites = true;
      else await surroundings.open();
    }
    for (const partition of partitions) await repairPartition(surroundings, partition, options, events);
  } finally {
    await surroundings.close();
  }
}

async function repairPartition(
  surroundings: Surroundings,
  found: InspectedPartition,
  options: RepairOptions,
  events: RepairEvents,
): Promise<void> {
  const { disk } = surroundings;
  if (found.names.includes(replacementName)) {
    events.refused(
      `${found.path} is about to become another node's copy: a start of the broker finishes that`,
    );
    return;
  }
  let partition = found;
  const leftovers = found.names.filter((name) => /\.(tmp|deleted|cleaned|swap|valid)$/.test(name));
  if (leftovers.length > 0) {
    events.stepped(`finishes or removes in ${found.path} what was interrupted: ${leftovers.join(', ')}`);
    if (!options.dryRun) {
      await settleLeftovers({ disk, directory: found.path });
      partition = { ...found, names: await disk.list(found.path) };
    }
  }
  const context: RepairContext = { disk, ...options, floors: () => surroundings.floors() };
  const { steps, refusals } = planRepair(await surroundings.verify(partition), context);
  for (const { what, run } of steps) {
    if (!options.dryRun) await run();
    events.stepped(what);
  }
  refusals.forEach(events.refused);
}

async function refuseForeign(
  disk: Disk,
  directory: string | undefined,
  partitions: readonly InspectedPartition[],
): Promise<void> {
  const isForeign =
    directory === undefined
      ? partitions.some(({ names }) => !names.includes('replica-state'))
      : (await writerOf(disk, directory)) === 'kafka';
  if (!isForeign) return;
  const what = directory ?? partitions[0]?.path ?? '';
  throw new RepairRefused(
    `${what} was not written by Kappalog, as far as can be seen: the program that wrote it repairs it when it starts`,
  );
}

/** What the repairs of one data directory share. */
class Surroundings {
  readonly disk: Disk;
  /** The journal has not been replayed, as nothing may be changed. */
  holdsWrites = false;
  readonly #clock: Clock;
  readonly #directory: string | undefined;
  #syncer: Awaited<ReturnType<typeof openSyncer>> | undefined;
  #floors: DurableFloors | undefined;
  #failure: unknown;

  constructor(disk: Disk, clock: Clock, directory: string | undefined) {
    this.disk = disk;
    this.#clock = clock;
    this.#directory = directory;
  }

  /** Replays the journal, as a start of the broker does. */
  async open(): Promise<void> {
    if (this.#directory === undefined) return;
    this.#syncer ??= await openSyncer({
      disk: this.disk,
      clock: this.#clock,
      directory: this.#directory,
      concurrencyMax: 1,
    });
  }

  async floors(): Promise<DurableFloors> {
    await this.open();
    const directory = this.#directory;
    const syncer = this.#syncer;
    if (directory === undefined || syncer === undefined)
      throw new RepairRefused('a partition without its data directory has no durable floor');
    this.#floors ??= await DurableFloors.open({
      disk: this.disk,
      clock: this.#clock,
      directory,
      syncer,
      onFailure: (error) => {
        this.#failure = error;
      },
    });
    return this.#floors;
  }

  verify(partition: InspectedPartition): Promise<VerifiedPartition> {
    return verifyPartition(partition, {
      disk: this.disk,
      counts: noCounts(),
      writer: 'kappalog',
      isJournalInUse: this.holdsWrites,
    });
  }

  async close(): Promise<void> {
    await this.#floors?.close();
    await this.#syncer?.close();
    if (this.#failure !== undefined) throw this.#failure;
  }
}

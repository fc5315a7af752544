/**
 * Whether a replica under `write.caching` has kept what it acknowledged, which may have been in the operating system's memory
 * alone. An unclean stop loses none of it (kill -9), unless the operating system went too: then the replica is impaired until its
 * group has brought it up, or an operator lets it go on as it is (correctness: damage and amnesia).
 *
 * Invariant: the log is without `write.caching` until the file `boot` is durable. One that has lost its memory keeps the file of
 * before until it is whole: a restart must not make it forget that it has forgotten.
 */
import { isSameBoot } from '../../platform/boot.ts';
import type { Boot } from '../../platform/boot.ts';
import type { Disk } from '../../platform/disk.ts';
import type { LogConfig } from '../log/log-types.ts';
import type { Impairment } from '../raft/raft.ts';
import { readBootFile, removeBootFile, writeBootFile } from './boot-file.ts';
import type { Consensus } from './consensus/consensus.ts';
import { removeRepairFloor } from './repair-floor.ts';
import type { RepairFloor } from './repair-floor.ts';
import type { AfterLostMemory, IntendedMembers } from './replica-types.ts';

export interface ReplicaMemoryOptions {
  readonly disk: Disk;
  /** The partition's; it exists. */
  readonly directory: string;
  readonly boot: Boot;
  /** As its topic wants the log. Live. */
  readonly config: () => LogConfig;
  /** The file could not be written: everything is synced before it is acknowledged. */
  readonly onFailure: (error: unknown) => void;
}

export class ReplicaMemory {
  readonly #options: ReplicaMemoryOptions;
  /** The file is there, durably, be it that of an earlier run. */
  #isMarked: boolean;
  #isDamaged = false;
  /** Invariant: once false, it stays so. */
  #isLost: boolean;
  /** The same as `#syncing`, but for `write.caching`. */
  #wanted: LogConfig | undefined;
  #syncing: LogConfig | undefined;
  /** One write at a time; never rejects. */
  #writing: Promise<void> | undefined;

  private constructor(options: ReplicaMemoryOptions, isLost: boolean, isMarked: boolean) {
    this.#options = options;
    this.#isLost = isLost;
    this.#isMarked = isMarked;
  }

  /** Before its log is opened. Rejects with a DiskError. */
  static async open(options: ReplicaMemoryOptions): Promise<ReplicaMemory> {
    const { disk, directory, boot, config } = options;
    const found = await readBootFile(disk, directory);
    const isKept = found.kind === 'kept' && isSameBoot(boot, found.id);
    if (found.kind !== 'none') return new ReplicaMemory(options, !isKept, true);
    if (!config().writeCaching) return new ReplicaMemory(options, false, false);
    await writeBootFile(disk, directory, boot.id);
    return new ReplicaMemory(options, false, true);
  }

  /** What it acknowledged may be missing, and nobody has made up for it. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /** For the log. With `write.caching`, where the topic wants it, once the next start would know of that. */
  readonly config = (): LogConfig => {
    const wanted = this.#options.config();
    if (!wanted.writeCaching || this.#isMarked) return wanted;
    this.#mark();
    if (this.#wanted !== wanted) {
      this.#wanted = wanted;
      this.#syncing = { ...wanted, writeCaching: false };
    }
    return this.#syncing!;
  };

  /** With `floor`, where the log is damaged, or has not made up for it: see `lastingFloor`. */
  impairment(floor: RepairFloor | undefined): Impairment | undefined {
    this.#isDamaged = floor !== undefined;
    if (floor !== undefined) return { kind: 'damaged', floor, hasLostMemory: this.#isLost };
    return this.#isLost ? { kind: 'memory-lost' } : undefined;
  }

  /** Its replica has joined its group. What becomes of it where it has lost its memory; undefined where it has not. */
  joined(
    consensus: Pick<Consensus, 'raft' | 'overrideImpairment'>,
    operator: { readonly intended: IntendedMembers | undefined; readonly acceptsLostMemory: boolean },
  ): AfterLostMemory | undefined {
    if (!this.#isLost) return undefined;
    const goesOn = operator.acceptsLostMemory ? 'accepted' : isAlone(consensus, operator) ? 'alone' : 'waits';
    if (goesOn === 'waits' || this.#isDamaged) return 'waits';
    consensus.overrideImpairment();
    this.restored();
    return goesOn;
  }

  /** It has again all that was committed, or is to do without. */
  restored(): void {
    if (this.#isDamaged) {
      this.#isDamaged = false;
      const { disk, directory, onFailure } = this.#options;
      removeRepairFloor(disk, directory).catch(onFailure);
    }
    if (!this.#isLost) return;
    this.#isLost = false;
    this.#mark();
  }

  /** Everything in the log is durable, and nothing is added any more. Rejects with a DiskError. */
  async endCleanly(): Promise<void> {
    await this.#writing;
    if (!this.#isMarked || this.#isLost) return;
    const { disk, directory } = this.#options;
    this.#isMarked = false;
    await removeBootFile(disk, directory);
  }

  #mark(): void {
    if (this.#writing !== undefined) return;
    const { disk, directory, boot, onFailure } = this.#options;
    this.#writing = writeBootFile(disk, directory, boot.id).then(
      () => {
        this.#isMarked = true;
        this.#writing = undefined;
      },
      // `#writing` stays: it is not tried again in this run, as a disk that fails is for the next start.
      onFailure,
    );
  }
}

/**
 * Nobody else can have what it lacks, so that waiting brings nothing back. The metadata has to say so too: the log may have lost
 * the entry by which others came in.
 */
function isAlone(
  { raft }: Pick<Consensus, 'raft'>,
  { intended }: { readonly intended: IntendedMembers | undefined },
): boolean {
  const { voters, outgoing } = raft.configuration;
  const isOnly = [...voters, ...outgoing].every((member) => member === raft.id) && voters.length > 0;
  return isOnly && (intended === undefined || intended.members.every((member) => member === raft.id));
}

/** A group of one member as its coordinator has it; who that is may change, and the next one knows all of it. */
import type { ManualClock } from '../../../platform/manual-clock.ts';
import { codec, ErrorCode, type Reader } from '../../../protocol/index.ts';
import { addressOf } from './fake-brokers.ts';

/** With their keys and the newest version served. */
export const servedOfGroups = [
  { api: 'OffsetCommit', apiKey: 8, maxVersion: 7 },
  { api: 'OffsetFetch', apiKey: 9, maxVersion: 7 },
  { api: 'FindCoordinator', apiKey: 10, maxVersion: 3 },
  { api: 'JoinGroup', apiKey: 11, maxVersion: 3 },
  { api: 'Heartbeat', apiKey: 12, maxVersion: 3 },
  { api: 'LeaveGroup', apiKey: 13, maxVersion: 4 },
  { api: 'SyncGroup', apiKey: 14, maxVersion: 3 },
  { api: 'ListGroups', apiKey: 16, maxVersion: 2 },
] as const;
export type GroupApi = (typeof servedOfGroups)[number]['api'];

interface Request {
  readonly reader: Reader;
  readonly version: number;
}

export class FakeGroup {
  readonly #clock: ManualClock;
  coordinator = 1;
  /** Brokers that have not heard of a change, with whom they take for the coordinator. */
  readonly behind = new Map<number, number>();
  /** How long a coordinator takes for what it does with members and commits. */
  holdMs = 0;
  /** How often one has joined. */
  generation = 0;
  /** Offsets of partition 0, in the order in which they were committed. */
  readonly commits: number[] = [];
  hasLeft = false;
  #assignment = Buffer.alloc(0);

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  async answer(nodeId: number, api: GroupApi, request: Request): Promise<unknown> {
    if (api === 'FindCoordinator') return this.#find(nodeId);
    if (api === 'ListGroups') {
      const groups = nodeId === this.coordinator ? [{ groupId: 'watchers', protocolType: 'consumer' }] : [];
      return { errorCode: ErrorCode.NONE, groups };
    }
    if (this.holdMs > 0) await new Promise<void>((resolve) => void this.#clock.after(this.holdMs, resolve));
    const isCoordinator = nodeId === this.coordinator;
    const errorCode = isCoordinator ? ErrorCode.NONE : ErrorCode.NOT_COORDINATOR;
    if (api === 'OffsetCommit') return this.#commit(request, errorCode);
    if (api === 'OffsetFetch') return this.#fetch(request, errorCode);
    return isCoordinator ? this.#member(api, request) : { errorCode };
  }

  #find(nodeId: number): unknown {
    const coordinator = this.behind.get(nodeId) ?? this.coordinator;
    return { errorCode: ErrorCode.NONE, nodeId: coordinator, ...addressOf(coordinator) };
  }

  #member(
    api: 'JoinGroup' | 'SyncGroup' | 'Heartbeat' | 'LeaveGroup',
    { reader, version }: Request,
  ): unknown {
    const errorCode = ErrorCode.NONE;
    if (api === 'JoinGroup') {
      const { protocols } = codec('JoinGroupRequest', version).read(reader);
      const { name, metadata } = protocols[0]!;
      const member = { memberId: 'member', metadata: Buffer.from(metadata) };
      const generationId = ++this.generation;
      return {
        errorCode,
        generationId,
        protocolName: name,
        leader: 'member',
        memberId: 'member',
        members: [member],
      };
    }
    if (api === 'SyncGroup') {
      const { assignments } = codec('SyncGroupRequest', version).read(reader);
      this.#assignment = Buffer.from(assignments[0]?.assignment ?? this.#assignment);
      return { errorCode, assignment: this.#assignment };
    }
    if (api === 'LeaveGroup') this.hasLeft = true;
    return { errorCode };
  }

  #commit({ reader, version }: Request, errorCode: number): unknown {
    const { topics } = codec('OffsetCommitRequest', version).read(reader);
    const answers = topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex, committedOffset }) => {
        if (errorCode === ErrorCode.NONE) this.commits.push(committedOffset);
        return { partitionIndex, errorCode };
      }),
    }));
    return { topics: answers };
  }

  #fetch({ reader, version }: Request, errorCode: number): unknown {
    const { topics } = codec('OffsetFetchRequest', version).read(reader);
    const answers = (topics ?? []).map(({ name, partitionIndexes }) => ({
      name,
      partitions: partitionIndexes.map((partitionIndex) => ({
        partitionIndex,
        committedOffset: this.commits.at(-1) ?? -1,
        errorCode: ErrorCode.NONE,
      })),
    }));
    return { errorCode, topics: answers };
  }
}

/** A member of the classic protocol, with a leader that deals partitions out in turn. */
import { encodeAssignment, encodeSubscription } from '../../client/group/consumer-protocol.ts';
import { ErrorCode } from '../../protocol/index.ts';
import { Nap, sharedPartitions, sharedTopic } from './bench-member.ts';
import type { BenchMember, MemberOptions } from './bench-member.ts';

/** As Kafka's own client has it. */
const heartbeatIntervalMs = 3_000;
const metadata = encodeSubscription({ topics: [sharedTopic], userData: null, owned: [], generation: -1 });

export class ClassicMember implements BenchMember {
  given: { readonly round: number; readonly partitions: readonly number[] } | undefined;
  readonly heartbeatsMs: number[] = [];
  readonly #options: MemberOptions;
  readonly #nap = new Nap();
  #memberId = '';
  #generation = -1;
  #hasLeft = false;

  constructor(options: MemberOptions) {
    this.#options = options;
  }

  async run(): Promise<void> {
    while (!this.#hasLeft) {
      await this.#join();
      if (this.given?.round === this.#generation) await this.#stay();
    }
  }

  async leave(): Promise<void> {
    const { link, groupId } = this.#options;
    this.#hasLeft = true;
    this.#nap.wake();
    const { members } = await link.ask('LeaveGroup', 5, { groupId, members: [{ memberId: this.#memberId }] });
    if (members[0]?.errorCode !== ErrorCode.NONE)
      throw new Error(`LeaveGroup was answered ${members[0]?.errorCode}.`);
  }

  async #join(): Promise<void> {
    const { link, groupId, onChanged } = this.#options;
    const joined = await link.ask('JoinGroup', 9, {
      groupId,
      sessionTimeoutMs: 45_000,
      rebalanceTimeoutMs: 60_000,
      memberId: this.#memberId,
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata }],
    });
    if (joined.memberId !== '') this.#memberId = joined.memberId;
    if (joined.errorCode === ErrorCode.MEMBER_ID_REQUIRED) return;
    if (joined.errorCode !== ErrorCode.NONE) return this.#again('JoinGroup', joined.errorCode);
    this.#generation = joined.generationId;
    const isLeader = joined.leader === this.#memberId;
    const synced = await link.ask('SyncGroup', 5, {
      groupId,
      generationId: joined.generationId,
      memberId: this.#memberId,
      protocolType: 'consumer',
      protocolName: 'range',
      assignments: isLeader ? dealt(joined.members.map(({ memberId }) => memberId)) : [],
    });
    if (synced.errorCode !== ErrorCode.NONE) return this.#again('SyncGroup', synced.errorCode);
    this.given = { round: joined.generationId, partitions: partitionsIn(synced.assignment) };
    onChanged();
  }

  /** Heartbeats until it is to join again. */
  async #stay(): Promise<void> {
    const { link, groupId } = this.#options;
    while (!this.#hasLeft) {
      await this.#nap.sleep(link.clock, heartbeatIntervalMs);
      if (this.#hasLeft) return;
      const sentAtMs = link.clock.monotonicMs();
      const body = { groupId, generationId: this.#generation, memberId: this.#memberId };
      const { errorCode } = await link.ask('Heartbeat', 4, body);
      this.heartbeatsMs.push(link.clock.monotonicMs() - sentAtMs);
      if (errorCode !== ErrorCode.NONE) return this.#again('Heartbeat', errorCode);
    }
  }

  #again(api: string, errorCode: number): void {
    if (errorCode === ErrorCode.UNKNOWN_MEMBER_ID) this.#memberId = '';
    else if (errorCode !== ErrorCode.REBALANCE_IN_PROGRESS && errorCode !== ErrorCode.ILLEGAL_GENERATION) {
      throw new Error(`${api} was answered ${errorCode}.`);
    }
  }
}

function dealt(memberIds: readonly string[]): { memberId: string; assignment: Buffer }[] {
  const all = Array.from({ length: sharedPartitions }, (_, partition) => partition);
  return memberIds.toSorted().map((memberId, place) => {
    const own = all.filter((partition) => partition % memberIds.length === place);
    return {
      memberId,
      assignment: encodeAssignment(own.map((partition) => ({ topic: sharedTopic, partition }))),
    };
  });
}

/** Of the one topic: the numbers behind its name. */
function partitionsIn(assignment: Buffer): number[] {
  if (assignment.readInt32BE(2) === 0) return [];
  const at = 2 + 4 + 2 + sharedTopic.length;
  return Array.from({ length: assignment.readInt32BE(at) }, (_, place) =>
    assignment.readInt32BE(at + 4 + 4 * place),
  );
}

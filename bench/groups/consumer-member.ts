/** A member of the consumer protocol (KIP-848), which has given up and taken over what it is told as soon as it is told. */
import { RandomIds } from '../../platform/random-ids.ts';
import { RealRandom } from '../../platform/real/real-random.ts';
import { ErrorCode } from '../../protocol/index.ts';
import { Nap, sharedTopic } from './bench-member.ts';
import type { BenchMember, MemberOptions } from './bench-member.ts';

const ids = new RandomIds(new RealRandom());

export class ConsumerMember implements BenchMember {
  given: { readonly round: number; readonly partitions: readonly number[] } | undefined;
  readonly heartbeatsMs: number[] = [];
  readonly #options: MemberOptions;
  readonly #nap = new Nap();
  readonly #memberId = ids.uuid();
  #epoch = 0;
  #owned: { topicId: string; partitions: number[] }[] = [];
  #intervalMs = 0;
  #hasLeft = false;
  #leaving: Promise<void> | undefined;

  constructor(options: MemberOptions) {
    this.#options = options;
  }

  async run(): Promise<void> {
    const { link } = this.#options;
    let isToSay = true;
    while (!this.#hasLeft) {
      isToSay = await this.#heartbeat(isToSay);
      if (!isToSay && !this.#hasLeft) await this.#nap.sleep(link.clock, this.#intervalMs);
    }
    await this.#leaving;
  }

  /** Its connection may be in the middle of a heartbeat, which is answered first. */
  async leave(): Promise<void> {
    const { link, groupId } = this.#options;
    this.#hasLeft = true;
    this.#nap.wake();
    const { errorCode } = await link.ask('ConsumerGroupHeartbeat', 1, {
      groupId,
      memberId: this.#memberId,
      memberEpoch: -1,
    });
    if (errorCode !== ErrorCode.NONE) throw new Error(`Leaving was answered ${errorCode}.`);
  }

  /** Whether there is something to say at once: that it has come to what it was told. */
  async #heartbeat(saysOwned: boolean): Promise<boolean> {
    const { link, groupId, onChanged } = this.#options;
    const isJoining = this.#epoch === 0;
    const sentAtMs = link.clock.monotonicMs();
    const reply = await link.ask('ConsumerGroupHeartbeat', 1, {
      groupId,
      memberId: this.#memberId,
      memberEpoch: this.#epoch,
      ...(isJoining && { rebalanceTimeoutMs: 60_000, subscribedTopicNames: [sharedTopic] }),
      ...(saysOwned && { topicPartitions: this.#owned }),
    });
    this.heartbeatsMs.push(link.clock.monotonicMs() - sentAtMs);
    if (reply.errorCode !== ErrorCode.NONE) {
      throw new Error(`ConsumerGroupHeartbeat was answered ${reply.errorCode}: ${reply.errorMessage}`);
    }
    this.#epoch = reply.memberEpoch;
    this.#intervalMs = reply.heartbeatIntervalMs;
    const isTold = reply.assignment !== null;
    if (reply.assignment !== null) {
      this.#owned = reply.assignment.topicPartitions.map(({ topicId, partitions }) => ({
        topicId,
        partitions: [...partitions],
      }));
    }
    const partitions = this.#owned.flatMap((topic) => topic.partitions);
    this.given = { round: this.#epoch, partitions };
    onChanged();
    return isTold;
  }
}

/** Members of one group, and when they have come to rest: all in one generation, each partition with one of them. */
import type { Address, Network } from '../../platform/network.ts';
import type { Clock } from '../../platform/clock.ts';
import { MemberLink, sharedPartitions } from './bench-member.ts';
import type { BenchMember } from './bench-member.ts';
import { ClassicMember } from './classic-member.ts';
import { ConsumerMember } from './consumer-member.ts';

export type GroupProtocol = 'classic' | 'consumer';

export interface Surroundings {
  readonly clock: Clock;
  readonly network: Network;
  readonly address: Address;
}

interface Participant {
  readonly member: BenchMember;
  readonly link: MemberLink;
  readonly running: Promise<void>;
}

export class BenchGroup {
  readonly #surroundings: Surroundings;
  readonly #groupId: string;
  readonly #protocol: GroupProtocol;
  readonly #participants: Participant[] = [];
  #onSettled: (() => void) | undefined;
  #onFailure: ((error: unknown) => void) | undefined;

  constructor(surroundings: Surroundings, groupId: string, protocol: GroupProtocol) {
    this.#surroundings = surroundings;
    this.#groupId = groupId;
    this.#protocol = protocol;
  }

  /** Times (ms) of all heartbeats since this was last asked. */
  takeHeartbeatsMs(): number[] {
    return this.#participants.flatMap(({ member }) => member.heartbeatsMs.splice(0));
  }

  /** Opens so many connections; their members join when they are told to. */
  connect(count: number): Promise<MemberLink[]> {
    const { address } = this.#surroundings;
    return Promise.all(Array.from({ length: count }, () => MemberLink.open(this.#surroundings, address)));
  }

  /** All of these join at once. Resolves with the time (ms) until the group has come to rest. */
  join(links: readonly MemberLink[]): Promise<number> {
    return this.#settling(() => {
      for (const link of links) {
        const options = { link, groupId: this.#groupId, onChanged: () => this.#check() };
        const member =
          this.#protocol === 'classic' ? new ClassicMember(options) : new ConsumerMember(options);
        const running = member.run();
        running.catch((error: unknown) => this.#onFailure?.(error));
        this.#participants.push({ member, link, running });
      }
    });
  }

  /** One leaves. Resolves as `join`. */
  leaveOne(): Promise<number> {
    return this.#settling(() => {
      const { member, link } = this.#participants.pop()!;
      member.leave().then(
        () => link.close(),
        (error: unknown) => this.#onFailure?.(error),
      );
    });
  }

  /** All leave, one after the other, and nobody waits for what comes of it. */
  async end(): Promise<void> {
    this.#onFailure = undefined;
    const leaving = this.#participants.splice(0).map(async ({ member, link, running }) => {
      await member.leave();
      link.close();
      await running.catch(() => {
        // Its connection was closed in the middle of something, which nobody waits for.
      });
    });
    await Promise.allSettled(leaving);
  }

  async #settling(begin: () => void): Promise<number> {
    const { clock } = this.#surroundings;
    const round = Math.max(-1, ...this.#participants.map(({ member }) => member.given?.round ?? -1));
    const fromMs = clock.monotonicMs();
    await new Promise<void>((resolve, reject) => {
      this.#onSettled = () => {
        if (this.#isSettledAfter(round)) resolve();
      };
      this.#onFailure = reject;
      begin();
    });
    this.#onSettled = undefined;
    return clock.monotonicMs() - fromMs;
  }

  #check(): void {
    this.#onSettled?.();
  }

  #isSettledAfter(round: number): boolean {
    const rounds = new Set(this.#participants.map(({ member }) => member.given?.round));
    const [only] = rounds;
    if (rounds.size !== 1 || only === undefined || only <= round) return false;
    const all = this.#participants.flatMap(({ member }) => member.given!.partitions);
    return all.length === sharedPartitions && new Set(all).size === sharedPartitions;
  }
}

/**
 * A member of a group that goes by KIP-848. Its heartbeats say what it has, and are answered with what it is to have: the coordinator
 * shares out, and the member comes to its part by itself, while it goes on with what stays. They go on by themselves, also
 * while the application is busy. Where one fails, the next says all of the member anew, as nobody knows what got through.
 */
import { ErrorCode, type ConsumerGroupHeartbeatResponse } from '../../protocol/index.ts';
import { RandomIds } from '../../platform/random-ids.ts';
import { atCoordinator, onceAtCoordinator } from '../cluster/at-coordinator.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { brokerError, KafkaError, toKafkaError } from '../errors.ts';
import { Bell } from '../waiting.ts';
import { anyReader, type Committer, type OffsetReader } from './committed-offsets.ts';
import { heartbeatRequest, type ConsumerProtocolOptions } from './heartbeat-request.ts';
import type { Membership, MembershipEvents } from './membership.ts';
import { Reconciler, type OwnedPartition } from './reconciler.ts';

const joiningEpoch = 0;
const leavingEpoch = -1;
/** A static member leaves for a while: whoever comes back as it goes on with its part. */
const staticLeavingEpoch = -2;
/** A heartbeat under way when the member stops may still bring the epoch that offsets are committed under. */
const lastAnswerMs = 1_000;
/** No answer within this time: another one is tried. Sessions last longer, by the broker's setting (45 s by default). */
const answerMsMax = 15_000;
/** A former self that crashed is out when its session ends: later than any broker allows sessions to last unless its bounds were raised. */
const unreleasedMsMax = 65_000;

export class ConsumerMembership implements Membership {
  readonly #cluster: Cluster;
  readonly #options: ConsumerProtocolOptions;
  readonly #events: MembershipEvents;
  readonly #reconciler: Reconciler;
  /** Aborted by `stop`, and a moment later: no answer is waited for any more. */
  readonly #stopping = new AbortController();
  readonly #giveUp = new AbortController();
  /** Rings when there is something to say, or the member stops. */
  readonly #due = new Bell();
  #running: Promise<void> | undefined;
  /** Of this process, for as long as it takes part. */
  readonly #memberId: string;
  #epoch = joiningEpoch;
  #intervalMs = 0;
  /** What the coordinator knows that it has; undefined where the next heartbeat says all of the member. */
  #saidOwned: readonly OwnedPartition[] | undefined;
  #unreleasedSinceMs: number | undefined;

  constructor(cluster: Cluster, options: ConsumerProtocolOptions, events: MembershipEvents) {
    this.#cluster = cluster;
    this.#options = options;
    this.#events = events;
    this.#memberId = new RandomIds(cluster.components.random).uuid();
    this.#reconciler = new Reconciler(cluster, events, {
      onChanged: () => this.#due.ring(),
      signal: this.#stopping.signal,
    });
  }

  start(): void {
    this.#cluster.track(this.#options.topics);
    this.#running ??= this.#run();
  }

  get committer(): Committer {
    const { groupId, groupInstanceId } = this.#options;
    return { groupId, groupInstanceId, generation: this.#epoch, memberId: this.#memberId };
  }

  get reader(): OffsetReader {
    if (this.#epoch === joiningEpoch) return anyReader;
    return { memberId: this.#memberId, memberEpoch: this.#epoch };
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#due.ring();
    const timer = this.#cluster.components.clock.after(lastAnswerMs, () => this.#giveUp.abort());
    await this.#running;
    timer.cancel();
  }

  async leave(timeoutMs: number): Promise<void> {
    if (this.#running === undefined) return;
    const { groupId, groupInstanceId } = this.#options;
    const memberEpoch = groupInstanceId === null ? leavingEpoch : staticLeavingEpoch;
    const doing = `leave the group ${groupId}`;
    const body = {
      groupId,
      memberId: this.#memberId,
      memberEpoch,
      instanceId: groupInstanceId,
      topicPartitions: [],
    };
    await atCoordinator(this.#cluster, groupId, { doing, timeoutMs }, async (node) => {
      const options = { target: node, timeoutMs };
      const response = await this.#cluster.request('ConsumerGroupHeartbeat', body, options);
      const { errorCode, errorMessage } = response;
      if (errorCode !== ErrorCode.NONE && !meansOut.has(errorCode))
        throw brokerError(errorCode, doing, errorMessage);
    });
  }

  async #run(): Promise<void> {
    let failures = 0;
    while (!this.#isStopping) {
      try {
        this.#take(await this.#beat());
        failures = 0;
        this.#events.onHeartbeat?.(undefined);
        await this.#untilDue();
      } catch (error) {
        if (this.#isStopping) return;
        this.#saidOwned = undefined;
        const failure = toKafkaError(error, `take part in the group ${this.#options.groupId}`);
        const next = this.#afterFailure(failure);
        if (next === 'end') return this.#end(failure);
        failures++;
        this.#events.onHeartbeat?.(failure);
        await this.#pause(failures === 1 && next === 'join' ? 0 : this.#cluster.pauseMs(failures));
      }
    }
  }

  get #isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  async #beat(): Promise<ConsumerGroupHeartbeatResponse> {
    const { groupId } = this.#options;
    const { owned } = this.#reconciler;
    const isWhole = this.#saidOwned === undefined;
    const said = {
      memberId: this.#memberId,
      memberEpoch: this.#epoch,
      owned: this.#saidOwned === owned ? undefined : owned,
      isWhole,
    };
    const response = await onceAtCoordinator(
      this.#cluster,
      groupId,
      (node) =>
        this.#cluster.request(
          'ConsumerGroupHeartbeat',
          (version) => heartbeatRequest(this.#options, said, version),
          { target: node, lane: 'group', signal: this.#giveUp.signal, timeoutMs: answerMsMax },
        ),
      this.#giveUp.signal,
    );
    const { errorCode, errorMessage } = response;
    if (errorCode === ErrorCode.NOT_COORDINATOR || errorCode === ErrorCode.COORDINATOR_NOT_AVAILABLE)
      this.#cluster.forgetCoordinator(groupId);
    if (errorCode !== ErrorCode.NONE)
      throw brokerError(errorCode, `take part in the group ${groupId}`, errorMessage);
    this.#saidOwned = owned;
    return response;
  }

  #take({ memberEpoch, heartbeatIntervalMs, assignment }: ConsumerGroupHeartbeatResponse): void {
    this.#epoch = memberEpoch;
    this.#intervalMs = heartbeatIntervalMs;
    this.#unreleasedSinceMs = undefined;
    if (assignment !== null && !this.#isStopping) this.#reconciler.aim(assignment.topicPartitions);
  }

  /** Until the next heartbeat: at once where what the member has is not what it has said. */
  async #untilDue(): Promise<void> {
    if (this.#isStopping || this.#reconciler.owned !== this.#saidOwned) return;
    await this.#due.nextWithin(this.#cluster.components.clock, this.#intervalMs);
  }

  #afterFailure({ code, retriable }: KafkaError): 'join' | 'try again' | 'end' {
    const isOut = code === 'UNKNOWN_MEMBER_ID' || code === 'FENCED_MEMBER_EPOCH';
    // A group that is not there any more has no members either; one that this member cannot join is another matter.
    const isGone = code === 'GROUP_ID_NOT_FOUND' && this.#epoch !== joiningEpoch;
    if (isOut || isGone) {
      this.#lose();
      return 'join';
    }
    if (code === 'UNRELEASED_INSTANCE_ID') return this.#mayBeReleased() ? 'try again' : 'end';
    return retriable ? 'try again' : 'end';
  }

  #mayBeReleased(): boolean {
    const nowMs = this.#cluster.components.clock.monotonicMs();
    this.#unreleasedSinceMs ??= nowMs;
    return nowMs - this.#unreleasedSinceMs < unreleasedMsMax;
  }

  #lose(): void {
    this.#epoch = joiningEpoch;
    this.#reconciler.lose();
  }

  #end(failure: KafkaError): void {
    this.#lose();
    this.#events.onFatal(explained(failure));
  }

  async #pause(delayMs: number): Promise<void> {
    // Stopping ends the pause early; the loop then sees it.
    await this.#cluster.pause(delayMs, this.#stopping.signal).catch(() => undefined);
  }
}

/** Whoever is told this when it leaves has left. */
const meansOut: ReadonlySet<number> = new Set([
  ErrorCode.UNKNOWN_MEMBER_ID,
  ErrorCode.FENCED_MEMBER_EPOCH,
  ErrorCode.FENCED_INSTANCE_ID,
  ErrorCode.GROUP_ID_NOT_FOUND,
]);

/** What to set, where broker and group do not go by this protocol. */
function explained(failure: KafkaError): KafkaError {
  const advice = protocolAdvice[failure.code];
  if (advice === undefined) return failure;
  return new KafkaError(failure.code, `${failure.message} ${advice}`, { cause: failure, retriable: false });
}

const protocolAdvice: Partial<Record<string, string>> = {
  UNSUPPORTED_VERSION:
    "Groups of KIP-848 need a broker with `group.version` 1 or above, such as Apache Kafka from 4.0 on: upgrade it, or set `groupProtocol: 'classic'`.",
  GROUP_ID_NOT_FOUND:
    "The group has members that go by the classic protocol: stop them, let the broker take such groups over with `group.consumer.migration.policy`, or set `groupProtocol: 'classic'`.",
};

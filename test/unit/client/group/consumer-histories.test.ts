/** Members of a group of KIP-848 against the coordinator's own state machine, with answers that get lost, crashes and take-overs. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { topicPartitionsOf } from '../../../../broker/groups/consumer/assigned-partitions.ts';
import { ConsumerGroup } from '../../../../broker/groups/consumer/consumer-group.ts';
import { ConsumerMembership } from '../../../../client/group/consumer-membership.ts';
import type { ConsumerGroupHeartbeatRequest } from '../../../../protocol/index.ts';
import { Topics, topicId } from '../../groups/consumer/consumer-client.ts';
import { MachineDriver } from '../../groups/machine-driver.ts';
import { ScriptedBroker, Told } from './scripted-broker.ts';

type Action =
  | { kind: 'join'; isStatic: boolean }
  | { kind: 'leave' | 'crash' | 'restart' | 'busy' | 'finish'; of: number }
  | { kind: 'topic'; name: string; count: number }
  | { kind: 'disturb'; how: 'unheard' | 'unanswered'; times: number }
  | { kind: 'fail-over' }
  | { kind: 'wait'; ms: number };

const names = ['t', 'u'];
const of = fc.nat(10);
const actions: fc.Arbitrary<Action>[] = [
  fc.record({ kind: fc.constant('join' as const), isStatic: fc.boolean() }),
  fc.record({ kind: fc.constantFrom('leave' as const, 'crash' as const, 'restart' as const), of }),
  fc.record({ kind: fc.constant('busy' as const), of }),
  fc.record({ kind: fc.constantFrom('busy' as const, 'finish' as const), of }),
  fc.record({ kind: fc.constant('topic' as const), name: fc.constantFrom(...names), count: fc.nat(6) }),
  fc.record({
    kind: fc.constant('disturb' as const),
    how: fc.constantFrom('unheard' as const, 'unanswered' as const),
    times: fc.nat(3),
  }),
  fc.record({ kind: fc.constant('fail-over' as const) }),
  fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(100, 1_000, 6_000, 70_000) }),
  fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(500, 1_000, 2_000) }),
];

/** Three members that have come to their parts. */
const beginning: readonly Action[] = [
  { kind: 'join', isStatic: false },
  { kind: 'join', isStatic: true },
  { kind: 'join', isStatic: false },
  { kind: 'wait', ms: 6_000 },
];

class Client {
  readonly told = new Told();
  readonly membership: ConsumerMembership;
  readonly instanceId: string | null;

  constructor(broker: ScriptedBroker, instanceId: string | null) {
    this.instanceId = instanceId;
    const options = {
      groupId: 'g',
      groupInstanceId: instanceId,
      topics: names,
      pattern: undefined,
      remoteAssignor: null,
      rackId: null,
      rebalanceTimeoutMs: 60_000,
    };
    this.membership = new ConsumerMembership(broker.cluster(), options, this.told);
    this.membership.start();
  }

  get memberId(): string {
    return this.membership.committer.memberId;
  }
}

class World {
  readonly topics = new Topics({ t: 4, u: 2 });
  readonly broker: ScriptedBroker;
  clients: Client[] = [];
  #driver = new MachineDriver({}, [], { topics: this.topics, consumerConfig: { assignmentIntervalMs: 0 } });
  readonly #disturbances: ('unheard' | 'unanswered')[] = [];
  #instances = 0;

  private constructor(broker: ScriptedBroker) {
    this.broker = broker;
    broker.script.ConsumerGroupHeartbeat = (request) => this.#heartbeat(request);
    for (const name of names) broker.topics.set(name, topicId(name));
  }

  static async make(): Promise<World> {
    return new World(await ScriptedBroker.start({}));
  }

  async carryOut(action: Action): Promise<void> {
    const client = 'of' in action ? this.clients[action.of % Math.max(1, this.clients.length)] : undefined;
    if (action.kind === 'join') this.#join(action.isStatic ? `i${++this.#instances}` : null);
    else if (action.kind === 'wait') await this.pass(action.ms);
    else if (action.kind === 'topic') this.#setTopic(action.name, action.count);
    else if (action.kind === 'disturb')
      this.#disturbances.push(...Array.from({ length: action.times }, () => action.how));
    else if (action.kind === 'fail-over') this.#driver = this.#driver.reloaded();
    else if (client !== undefined) await this.#actOf(client, action.kind);
    this.check();
  }

  /** In small steps: what must hold is looked at after each. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 100) {
      await this.broker.clock.advanceAsync(Math.min(100, left));
      this.#advance();
      this.check();
    }
  }

  get group(): ConsumerGroup | undefined {
    const group = this.#driver.machine.groups.get('g');
    return group instanceof ConsumerGroup ? group : undefined;
  }

  /** What members read is read once; who has been put out has yet to hear of it. */
  check(): void {
    const owners = new Map<string, string>();
    for (const { told, memberId } of this.clients) {
      if (this.group?.members.has(memberId) !== true) continue;
      for (const partition of told.owned) {
        expect(owners.get(partition)).toBeUndefined();
        owners.set(partition, memberId);
      }
    }
  }

  /** All partitions that there are have a reader each, as evenly as can be. */
  async settle(): Promise<void> {
    this.#disturbances.length = 0;
    for (const { told } of this.clients) told.finish();
    const wanted = names
      .flatMap((name) =>
        Array.from({ length: this.topics.partitionCount(topicId(name)) }, (_, index) => `${name}${index}`),
      )
      .sort();
    const isSettled = (): boolean => {
      const owned = this.clients.flatMap(({ told }) => [...told.owned]).sort();
      const counts = this.clients.map(({ told }) => told.owned.size);
      return (
        this.group?.state === 'Stable' &&
        owned.join(' ') === wanted.join(' ') &&
        Math.max(...counts) - Math.min(...counts) <= 1
      );
    };
    if (this.clients.length === 0) return;
    for (let round = 0; round < 400 && !isSettled(); round++) await this.pass(500);
    const shares = this.clients.map(({ told }) => [...told.owned].sort().join(' '));
    expect({ isSettled: isSettled(), shares, wanted, state: this.group?.state }).toMatchObject({
      isSettled: true,
    });
    for (const { told } of this.clients) expect(told.error).toBeUndefined();
  }

  #join(instanceId: string | null): void {
    if (this.clients.length < 5) this.clients.push(new Client(this.broker, instanceId));
  }

  #setTopic(name: string, count: number): void {
    // Partitions are added and topics deleted; a topic does not shrink.
    if (count > 0 && count < this.topics.partitionCount(topicId(name))) return;
    this.topics.set(name, count);
    if (count === 0) this.broker.topics.delete(name);
    else this.broker.topics.set(name, topicId(name));
  }

  async #actOf(client: Client, kind: 'leave' | 'crash' | 'restart' | 'busy' | 'finish'): Promise<void> {
    if (kind === 'busy') client.told.isBusy = true;
    else if (kind === 'finish') client.told.finish();
    else {
      this.clients = this.clients.filter((each) => each !== client);
      client.told.finish();
      await this.broker.settled(client.membership.stop());
      this.#advance();
      if (kind !== 'crash') await this.broker.settled(client.membership.leave(5_000)).catch(() => undefined);
      if (kind === 'restart') this.#join(client.instanceId);
    }
  }

  #advance(): void {
    this.#driver.advance(Math.floor(this.broker.clock.monotonicMs()) - this.#driver.nowMs);
  }

  #heartbeat(request: ConsumerGroupHeartbeatRequest) {
    this.#advance();
    const disturbance = this.#disturbances.shift();
    if (disturbance === 'unheard') return 'cut' as const;
    const { instanceId, subscribedTopicNames, subscribedTopicRegex, topicPartitions, ...rest } = request;
    const reply = this.#driver.answer({
      kind: 'consumer-heartbeat',
      ...rest,
      instanceId,
      topicNames: subscribedTopicNames,
      topicRegex: subscribedTopicRegex,
      matchingTopics: [],
      owned: topicPartitions,
      clientId: 'client',
      clientHost: '/127.0.0.1',
    });
    if (disturbance === 'unanswered') return 'cut' as const;
    const { assignment } = reply;
    return {
      ...reply,
      assignment: assignment === null ? null : { topicPartitions: topicPartitionsOf(assignment) },
    };
  }
}

test('whatever happens, partitions are read once, and in the end all are, evenly', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(...actions), { maxLength: 30, size: 'max' }), async (history) => {
      const world = await World.make();
      for (const action of beginning) await world.carryOut(action);
      for (const action of history) await world.carryOut(action);
      await world.settle();
      world.broker.close();
    }),
    { numRuns: 100 },
  );
}, 60_000);

/**
 * Random histories of one group whose members take part by either protocol, come over from one to the other, go, and are silent,
 * while coordinators take over, also in the middle of a step. After each step the rules are checked that no history may break.
 */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { MigrationPolicy } from '../../../../broker/groups/group-config.ts';
import { ErrorCode } from '../../../../protocol/index.ts';
import { ConsumerClient, shown, topicId, Topics } from '../consumer/consumer-client.ts';
import { durablePart, MachineDriver } from '../machine-driver.ts';
import { ClassicClient } from './classic-client.ts';
import { durable } from './mixed-groups.ts';
import type { Client } from './mixed-groups.ts';

type Protocol = 'classic' | 'consumer';

type Action =
  | { kind: 'join'; protocol: Protocol; topics: readonly string[]; isStatic: boolean }
  | { kind: 'act' | 'proceed' | 'commit' | 'leave' | 'crash'; of: number }
  /** Its next step is made, and lost with the coordinator, from whose log `kept` percent of the records of the step are left. */
  | { kind: 'interrupt'; of: number; isLeaving: boolean; kept: number }
  | { kind: 'come-over'; of: number; protocol: Protocol }
  | { kind: 'subscribe'; of: number; topics: readonly string[] }
  | { kind: 'topic'; name: string; count: number }
  | { kind: 'wait'; ms: number }
  | { kind: 'settle' }
  | { kind: 'fail-over' };

const names = ['t', 'u'];
const someTopics = fc.subarray(names, { minLength: 1 });
const of = fc.nat(20);
const protocol = fc.constantFrom<Protocol>('classic', 'consumer');
const acting = fc.record({ kind: fc.constantFrom('act' as const, 'proceed' as const), of });
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('join' as const),
      protocol,
      topics: someTopics,
      isStatic: fc.boolean(),
    }),
  },
  { weight: 8, arbitrary: acting },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('commit' as const), of }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('leave' as const, 'crash' as const), of }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('interrupt' as const),
      of,
      isLeaving: fc.boolean(),
      kept: fc.nat(100),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('come-over' as const), of, protocol }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('subscribe' as const), of, topics: someTopics }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('topic' as const),
      name: fc.constantFrom(...names),
      count: fc.integer({ min: 1, max: 6 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(200, 3_000, 20_000) }),
  },
  { weight: 2, arbitrary: fc.constantFrom({ kind: 'settle' as const }, { kind: 'fail-over' as const }) },
);

interface World {
  readonly isCooperative: boolean;
  readonly migrationPolicy: MigrationPolicy;
  readonly assignmentIntervalMs: number;
}

const world: fc.Arbitrary<World> = fc.record({
  isCooperative: fc.boolean(),
  migrationPolicy: fc.constantFrom<MigrationPolicy>(
    'bidirectional',
    'bidirectional',
    'upgrade',
    'downgrade',
    'disabled',
  ),
  assignmentIntervalMs: fc.constantFrom(0, 1_000),
});

class History {
  readonly topics = new Topics({ t: 4, u: 2 });
  driver: MachineDriver;
  clients: Client[] = [];
  readonly #world: World;
  #count = 0;
  #commits = 0;
  /** What has been committed and acknowledged last. */
  readonly #acknowledged = new Map<string, number>();
  changes = 0;

  constructor(options: World) {
    this.#world = options;
    const { migrationPolicy, assignmentIntervalMs } = options;
    const consumerConfig = { migrationPolicy, assignmentIntervalMs };
    this.driver = new MachineDriver({}, [], { topics: this.topics, consumerConfig });
  }

  carryOut(next: Action): void {
    if (next.kind === 'join') this.#join(next.protocol, next);
    else if (next.kind === 'topic') this.topics.set(next.name, next.count);
    else if (next.kind === 'wait') this.driver.advance(next.ms);
    else if (next.kind === 'settle') this.turns(20);
    else if (next.kind === 'fail-over') this.#failOver();
    else if (this.clients.length > 0) this.#actOf(this.clients[next.of % this.clients.length]!, next);
    this.check();
  }

  #join(
    which: Protocol,
    { topics, isStatic, instanceId }: { topics: readonly string[]; isStatic?: boolean; instanceId?: string },
  ): void {
    const name = `m${++this.#count}`;
    const options = { topics, instanceId: instanceId ?? (isStatic === true ? `i${this.#count}` : null) };
    const { isCooperative } = this.#world;
    const client =
      which === 'classic'
        ? new ClassicClient(this.driver, { ...options, name, isCooperative })
        : new ConsumerClient(this.driver, { ...options, memberId: name });
    this.clients.push(client);
    act(client);
  }

  #actOf(client: Client, next: Extract<Action, { of: number }>): void {
    switch (next.kind) {
      case 'act':
      case 'proceed':
        act(client, next.kind === 'proceed');
        return;
      case 'commit':
        this.#commit(client);
        return;
      case 'leave':
        leave(client);
        this.#drop(client);
        return;
      case 'crash':
        this.#drop(client);
        return;
      case 'interrupt':
        this.#interrupt(client, next);
        return;
      case 'come-over': {
        // A static one is restarted, and nothing is said; others leave first. Both of its processes know no id of the other.
        const { topics, instanceId } = client;
        if (instanceId === null) leave(client);
        else if (client instanceof ConsumerClient && client.epoch > 0) client.leave(-2);
        this.#drop(client);
        this.#join(next.protocol, { topics, ...(instanceId !== null && { instanceId }) });
        return;
      }
      case 'subscribe':
        client.topics = next.topics;
        if (client instanceof ConsumerClient) client.saysAll = true;
    }
  }

  #drop(client: Client): void {
    this.clients = this.clients.filter((each) => each !== client);
  }

  #commit(client: Client): void {
    const [topic] = client.owned.keys();
    if (topic === undefined) return;
    const key = `${topic.replace(/-+A$/u, '')}-${client.owned.get(topic)![0]!}`;
    const offset = ++this.#commits;
    const errors =
      client instanceof ClassicClient
        ? client.commit({ [key]: offset })
        : this.driver.commit(
            { [key]: offset },
            { memberId: client.memberId, generationId: client.epoch, groupInstanceId: client.instanceId },
          );
    if (errors[0] === 'NONE') this.#acknowledged.set(key, offset);
  }

  /** Another coordinator goes on with what is in the log. */
  #failOver(): void {
    const before = this.#durable();
    this.#goOn(this.driver.reloaded());
    if (before !== undefined) expect(this.#durable()).toEqual(before);
  }

  #goOn(driver: MachineDriver): void {
    this.changes += this.driver.notices.filter(({ reason }) => reason === '').length;
    this.driver = driver;
    for (const client of this.clients) {
      if (client instanceof ClassicClient) client.reconnect(driver);
      else client.driver = driver;
    }
  }

  /** The client does not get the answer to its last request, and asks again as it was. */
  #interrupt(client: Client, { isLeaving, kept }: Extract<Action, { kind: 'interrupt' }>): void {
    const { driver } = this;
    const before = Object.assign({}, client);
    driver.recordsBefore = driver.records.length;
    if (isLeaving) leave(client);
    else if (client instanceof ConsumerClient) client.heartbeat();
    else if (client.phase === 'stable') client.heartbeat();
    else client.join();
    const { recordsBefore } = driver;
    const count = recordsBefore + Math.round(((driver.records.length - recordsBefore) * kept) / 100);
    // What it gave up when it asked, it has given up; an id it has from an answer of its own.
    const owned = client instanceof ClassicClient && client.phase === 'joining' ? client.owned : before.owned;
    const { memberId } = client;
    Object.assign(client, before, { owned, ...(memberId !== '' && { memberId }) });
    if (client instanceof ConsumerClient) client.saysAll ||= client.epoch > 0;
    this.#goOn(driver.reloaded(count));
    // A classic group has lost what it had not written: who was not in it has to find out.
    if (isLeaving) this.#drop(client);
  }

  /** Undefined for a classic group that rebalances: what of it is written is from before. */
  #durable() {
    const group = this.driver.group();
    if (group !== undefined && group.state !== 'Stable' && group.state !== 'Empty') return undefined;
    return [durable(this.driver), ...durablePart(this.driver)];
  }

  /** What clients read, as long as they are members, is read once; and what was committed is there. */
  check(): void {
    const members = this.driver.machine.groups.get('g')?.members;
    const readers = new Map<string, string>();
    for (const { memberId, owned } of this.clients) {
      // Who has been put out has yet to hear of it.
      if (members?.has(memberId) !== true) continue;
      for (const [id, partitions] of owned) {
        for (const partition of partitions) {
          const key = `${id} ${partition}`;
          expect([key, readers.get(key)]).toEqual([key, undefined]);
          readers.set(key, memberId);
        }
      }
    }
    const committed = this.driver.committed();
    for (const [key, offset] of this.#acknowledged) expect([key, committed[key]]).toEqual([key, offset]);
  }

  turns(count: number): void {
    for (let turn = 0; turn < count; turn++) {
      for (const client of this.clients) {
        act(client, true);
        this.check();
      }
      this.driver.advance(500);
    }
  }

  /** Who is refused by the policy, or by members that share no protocol with it, goes. */
  settle(): void {
    for (let round = 0; round < 400; round++) {
      this.turns(1);
      for (const client of this.clients) {
        const isRefused =
          client instanceof ConsumerClient
            ? client.last?.errorCode === ErrorCode.GROUP_ID_NOT_FOUND
            : client.phase === 'fenced';
        if (isRefused) this.#drop(client);
      }
      const group = this.driver.machine.groups.get('g');
      const isSettled = group === undefined || group.state === 'Stable' || group.state === 'Empty';
      const areThere = this.clients.every(
        (client) => client.isSettled && (client instanceof ClassicClient || !client.saysAll),
      );
      if (isSettled && areThere && (group?.members.size ?? 0) === this.clients.length) return;
    }
    const group = this.driver.machine.groups.get('g');
    throw new Error(
      `the group does not settle: ${group?.constructor.name} ${group?.state}, ${group?.members.size} of ${this.clients.length}`,
    );
  }
}

function act(client: Client, isWhole = false): void {
  if (client instanceof ConsumerClient) client.heartbeat();
  else if (isWhole) client.proceed();
  else client.act();
}

function leave(client: Client): void {
  if (client instanceof ClassicClient && client.memberId !== '') client.leave();
  else if (client instanceof ConsumerClient && client.epoch > 0) client.leave();
}

test('whatever happens, partitions are read once, in the end all are, and what was committed is there', () => {
  let changes = 0;
  fc.assert(
    fc.property(world, fc.array(action, { maxLength: 60, size: 'max' }), (options, actions) => {
      const history = new History(options);
      for (const next of actions) history.carryOut(next);
      history.settle();
      const { clients, topics } = history;
      for (const name of names) {
        const subscribed = clients.filter((client) => client.topics.includes(name));
        const read = subscribed.flatMap(({ owned }) => shown(owned)[name] ?? []);
        const count = subscribed.length === 0 ? 0 : topics.partitionCount(topicId(name));
        expect(read.toSorted((left, right) => left - right)).toEqual(
          Array.from({ length: count }, (_, id) => id),
        );
      }
      changes += history.changes;
    }),
    { numRuns: 300 },
  );
  expect(changes).toBeGreaterThan(20);
});

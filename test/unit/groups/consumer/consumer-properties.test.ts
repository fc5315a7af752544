import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { ConsumerGroup } from '../../../../broker/groups/consumer/consumer-group.ts';
import { ErrorCode } from '../../../../protocol/index.ts';
import { MachineDriver } from '../machine-driver.ts';
import type { DrivenRecord } from '../machine-driver.ts';
import { ConsumerClient, shown, topicId, Topics } from './consumer-client.ts';

type Action =
  | { kind: 'join'; topics: readonly string[]; isStatic: boolean }
  | { kind: 'heartbeat'; of: number; obeys: boolean }
  | { kind: 'repeat'; of: number }
  | { kind: 'leave' | 'crash' | 'restart'; of: number }
  | { kind: 'subscribe'; of: number; topics: readonly string[] }
  | { kind: 'topic'; name: string; count: number }
  | { kind: 'wait'; ms: number }
  | { kind: 'fail-over'; isCompacted: boolean };

const names = ['t', 'u', 'v'];
const someTopics = fc.subarray(names, { minLength: 1 });
const of = fc.nat(20);
const actions: fc.Arbitrary<Action>[] = [
  fc.record({ kind: fc.constant('join' as const), topics: someTopics, isStatic: fc.boolean() }),
  fc.record({ kind: fc.constant('heartbeat' as const), of, obeys: fc.boolean() }),
  fc.record({ kind: fc.constant('heartbeat' as const), of, obeys: fc.constant(true) }),
  fc.record({ kind: fc.constant('repeat' as const), of }),
  fc.record({ kind: fc.constantFrom('leave' as const, 'crash' as const, 'restart' as const), of }),
  fc.record({ kind: fc.constant('subscribe' as const), of, topics: someTopics }),
  fc.record({ kind: fc.constant('topic' as const), name: fc.constantFrom(...names), count: fc.nat(6) }),
  fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(200, 1_000, 20_000) }),
  fc.record({ kind: fc.constant('fail-over' as const), isCompacted: fc.boolean() }),
];

/** Of each key the last record, where it was. */
function compacted(records: readonly DrivenRecord[]): DrivenRecord[] {
  const last = new Map(records.map(({ key }, place) => [key.toString('hex'), place]));
  return records.filter(({ key }, place) => last.get(key.toString('hex')) === place);
}

class History {
  readonly topics = new Topics({ t: 4, u: 2 });
  driver = new MachineDriver({}, [], { topics: this.topics });
  clients: ConsumerClient[] = [];
  #count = 0;

  carryOut(action: Action): void {
    if (action.kind === 'join') this.#join(action);
    else if (action.kind === 'topic') this.topics.set(action.name, action.count);
    else if (action.kind === 'wait') this.driver.advance(action.ms);
    else if (action.kind === 'fail-over') this.#failOver(action.isCompacted);
    else if (this.clients.length > 0) this.#actOf(this.clients[action.of % this.clients.length]!, action);
    this.check();
  }

  #join({ topics, isStatic }: Extract<Action, { kind: 'join' }>): void {
    const number = ++this.#count;
    const client = new ConsumerClient(this.driver, {
      memberId: `m${number}`,
      instanceId: isStatic ? `i${number}` : null,
      topics,
    });
    client.heartbeat();
    this.clients.push(client);
  }

  #actOf(
    client: ConsumerClient,
    action: Exclude<Action, { kind: 'join' | 'topic' | 'wait' | 'fail-over' }>,
  ): void {
    switch (action.kind) {
      case 'heartbeat':
        client.heartbeat({ obeys: action.obeys });
        return;
      case 'repeat': {
        // The answer is lost, and the client asks again as it was.
        const { epoch, owned, assigned, saysAll } = client;
        client.heartbeat({ obeys: false });
        Object.assign(client, { epoch, owned, assigned, saysAll: saysAll || epoch > 0 });
        return;
      }
      case 'subscribe':
        client.topics = action.topics;
        client.saysAll = true;
        return;
      case 'leave':
        if (client.epoch > 0) client.leave();
        this.#drop(client);
        return;
      case 'crash':
        this.#drop(client);
        return;
      case 'restart':
        if (client.instanceId === null || client.epoch <= 0) return;
        if (client.leave(-2).errorCode !== ErrorCode.NONE) return;
        this.#drop(client);
        this.clients.push(
          new ConsumerClient(this.driver, {
            memberId: `m${++this.#count}`,
            instanceId: client.instanceId,
            topics: client.topics,
          }),
        );
    }
  }

  #drop(client: ConsumerClient): void {
    this.clients = this.clients.filter((each) => each !== client);
  }

  /** Another coordinator goes on with what is in the log, in which a cleaner may have been. */
  #failOver(isCompacted: boolean): void {
    const before = this.#durable();
    if (isCompacted) this.driver.records.splice(0, Infinity, ...compacted(this.driver.records));
    this.driver = this.driver.reloaded();
    expect(this.#durable()).toEqual(before);
    for (const client of this.clients) client.driver = this.driver;
  }

  get group(): ConsumerGroup | undefined {
    const group = this.driver.machine.groups.get('g');
    return group instanceof ConsumerGroup ? group : undefined;
  }

  #durable() {
    const { group } = this;
    if (group === undefined) return undefined;
    const { epoch, assignmentEpoch, assignedAtMs, staticMembers, state } = group;
    const sorted = <Value>(map: ReadonlyMap<string, Value>) =>
      [...map].toSorted(([left], [right]) => (left < right ? -1 : 1));
    return {
      epoch,
      assignmentEpoch,
      assignedAtMs,
      state,
      staticMembers: sorted(staticMembers),
      members: sorted(group.members),
      target: sorted(group.target).filter(([memberId]) => group.members.has(memberId)),
    };
  }

  /** What clients read, as long as they are members, is read once. */
  check(): void {
    const readers = new Map<string, string>();
    for (const { memberId, owned, epoch } of this.clients) {
      // Who has been put out has yet to hear of it.
      if (epoch === 0 || this.group?.members.has(memberId) !== true) continue;
      for (const [id, partitions] of owned) {
        for (const partition of partitions) {
          const key = `${id} ${partition}`;
          expect(readers.get(key)).toBeUndefined();
          readers.set(key, memberId);
        }
      }
    }
  }

  settle(): void {
    for (let round = 0; round < 300; round++) {
      for (const client of this.clients) {
        client.heartbeat();
        this.check();
      }
      const isSettled = this.group === undefined || ['Stable', 'Empty'].includes(this.group.state);
      const isCurrent = this.clients.every(({ isSettled: has, saysAll }) => has && !saysAll);
      if (isSettled && isCurrent && this.#members === this.clients.length) return;
      this.driver.advance(500);
    }
    throw new Error(
      `the group does not settle: ${this.group?.state}, ${this.#members} of ${this.clients.length}`,
    );
  }

  get #members(): number {
    return this.group?.members.size ?? 0;
  }
}

test('whatever happens, partitions are read once, and in the end all are, evenly', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(...actions), { maxLength: 60, size: 'max' }), (history) => {
      const world = new History();
      for (const action of history) world.carryOut(action);
      world.settle();
      const { clients, topics } = world;
      for (const name of names) {
        const subscribed = clients.filter((client) => client.topics.includes(name));
        const read = subscribed.flatMap(({ owned }) => shown(owned)[name] ?? []);
        const count = subscribed.length === 0 ? 0 : topics.partitionCount(topicId(name));
        expect(read.toSorted((left, right) => left - right)).toEqual(
          Array.from({ length: count }, (_, id) => id),
        );
        for (const client of clients) {
          if (!client.topics.includes(name)) expect(client.owned.has(topicId(name))).toBe(false);
        }
      }
      const isSame = clients.every((client) => client.topics.join() === clients[0]!.topics.join());
      const counts = clients.map(({ owned }) => [...owned.values()].flat().length);
      if (isSame && clients.length > 0)
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
    }),
    { numRuns: 300 },
  );
});

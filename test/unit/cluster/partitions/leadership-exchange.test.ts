import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LeadershipExchange } from '../../../../broker/cluster/partitions/leadership-exchange.ts';
import type { LedReplica } from '../../../../broker/cluster/partitions/leadership-exchange.ts';
import {
  decodeLeaderships,
  encodeLeaderships,
} from '../../../../broker/cluster/partitions/leadership-frames.ts';
import { isStanding, Leaderships } from '../../../../broker/cluster/partitions/leaderships.ts';
import type { Leadership } from '../../../../broker/cluster/partitions/leaderships.ts';
import { decideUnregistration } from '../../../../broker/cluster/controller/registration.ts';
import { PeerError } from '../../../../broker/peers/peer-requests.ts';
import { ManualClock } from '../../../../platform/manual-clock.ts';
import { carryOut, stateOf, uuid } from '../cluster-fixtures.ts';
import { settle } from '../memory-cluster.ts';

const leadership = (rest: Partial<Leadership> = {}): Leadership => ({
  topicId: uuid(1),
  partition: 0,
  leader: 1,
  term: 1,
  version: 1,
  inSync: [1, 2],
  revision: 0,
  epoch: 5,
  ...rest,
});

const anyLeadership = fc.record({
  topicId: fc.constantFrom(uuid(1), uuid(2)),
  partition: fc.nat(2),
  term: fc.integer({ min: 1, max: 5 }),
  version: fc.integer({ min: 1, max: 4 }),
});

/** A term has one leader, and a version of it says one thing. */
function consistent({ topicId, partition, term, version }: { topicId: string } & Record<string, unknown>) {
  const leader = (Number(term) % 3) + 1;
  return leadership({
    topicId,
    partition: Number(partition),
    term: Number(term),
    version: Number(version),
    leader,
    inSync: [leader, Number(version) + 10],
  });
}

describe('leaderships', () => {
  it('that do not come in time leave nobody who listens', async () => {
    const table = new Leaderships();
    const clock = new ManualClock();
    let asked = 0;
    const isGood = (): boolean => {
      asked++;
      return true;
    };
    const topic = { id: uuid(1), partitions: [0, 1] };
    const led = table.whenLed(topic, { clock, timeoutMs: 5_000 }, isGood);
    table.merge(leadership({ partition: 0 }));
    clock.advance(5_000);
    expect(await led).toBe(false);
    table.merge(leadership({ partition: 1 }));
    expect(asked).toBe(1);
    // What is there need not be waited for.
    expect(await table.whenLed(topic, { clock, timeoutMs: 0 })).toBe(true);
  });

  it('are the same on all nodes, in whatever order and how often they are heard', () => {
    fc.assert(
      fc.property(
        fc.array(anyLeadership, { maxLength: 30 }),
        fc.infiniteStream(fc.nat(1000)),
        (said, dice) => {
          const heard = said.map((each) => consistent(each));
          const one = new Leaderships();
          for (const each of heard) one.merge(each);
          const other = new Leaderships();
          const shuffled = heard
            .map((each) => ({ each, at: dice.next().value }))
            .sort((left, right) => left.at - right.at);
          for (const { each } of [...shuffled, ...shuffled.slice(0, 3)]) other.merge(each);
          const keys = heard.map(({ topicId, partition }) => [topicId, partition] as const);
          for (const [topicId, partition] of keys) {
            expect(other.of(topicId, partition)).toEqual(one.of(topicId, partition));
            const best = Math.max(
              ...heard
                .filter((h) => h.topicId === topicId && h.partition === partition)
                .map(({ term }) => term),
            );
            expect(one.of(topicId, partition)?.term).toBe(best);
          }
          for (const leader of [1, 2, 3]) {
            expect(other.digest(leader)).toEqual(one.digest(leader));
            expect([...one.ledBy(leader)]).toHaveLength(one.digest(leader).count);
          }
        },
      ),
    );
  });

  it('tell by their digest when one is missing or older, and forget a topic whole', () => {
    const one = new Leaderships();
    const other = new Leaderships();
    for (const table of [one, other]) table.merge(leadership());
    expect(one.digest(1)).toEqual(other.digest(1));
    one.merge(leadership({ version: 2 }));
    expect(one.digest(1)).not.toEqual(other.digest(1));
    expect(one.merge(leadership())).toBe(false);
    one.forget(uuid(1));
    expect([one.digest(1), [...one.all()]]).toEqual([{ count: 0, hash: 0 }, []]);
  });

  it('are waited for until each partition of a topic is led', async () => {
    const table = new Leaderships();
    let isLed = false;
    table.merge(leadership());
    const waiting = table
      .whenLed({ id: uuid(1), partitions: [0, 1] }, { clock: new ManualClock(), timeoutMs: 5_000 })
      .then(() => {
        isLed = true;
      });
    table.merge(leadership({ topicId: uuid(2), partition: 1 }));
    await settle();
    expect(isLed).toBe(false);
    table.merge(leadership({ partition: 1 }));
    await waiting;
  });

  it('travel as they are, in some ten bytes each', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(anyLeadership, { selector: (each) => `${each.topicId}${each.partition}` }),
        (said) => {
          const sent = said.map((each) => ({ ...consistent(each), leader: 7 }));
          const received = decodeLeaderships(encodeLeaderships(5, sent), 7);
          expect(received).toHaveLength(sent.length);
          expect(received).toEqual(expect.arrayContaining(sent));
        },
      ),
    );
    const many = Array.from({ length: 10_000 }, (_, partition) =>
      leadership({ topicId: uuid(partition % 100), partition, term: 40, version: 300, inSync: [1, 2, 3] }),
    );
    expect(encodeLeaderships(5, many).length).toBeLessThan(120_000);
  });
});

/** Nodes that tell each other, over a network that a test can cut; it counts what was sent. */
class Nodes {
  readonly clock = new ManualClock();
  readonly state = stateOf({ nodes: [1, 2, 3] });
  readonly tables = new Map<number, Leaderships>();
  readonly exchanges = new Map<number, LeadershipExchange>();
  readonly cut = new Set<number>();
  questions = 0;

  constructor() {
    for (const id of [1, 2, 3]) this.start(id);
  }

  /** The node begins, or begins anew, with nothing. */
  start(nodeId: number): void {
    this.exchanges.get(nodeId)?.close();
    const table = new Leaderships();
    this.tables.set(nodeId, table);
    const exchange = new LeadershipExchange({
      nodeId,
      clock: this.clock,
      leaderships: table,
      image: () => this.state.image,
      peers: {
        request: async (to, _, payload) => {
          this.questions++;
          await Promise.resolve();
          if (this.cut.has(to) || this.cut.has(nodeId)) throw new PeerError('unreachable', 'cut');
          const answer = await this.exchanges
            .get(to)!
            .service({ from: nodeId, payload: Buffer.concat(payload) });
          return Buffer.concat(answer);
        },
      },
    });
    this.exchanges.set(nodeId, exchange);
    exchange.nodesChanged();
  }

  /** Node 1 leads this partition. */
  lead(partition: number, rest: { term?: number; inSync?: readonly number[] } = {}): void {
    const { term = 1, inSync = [1, 2, 3] } = rest;
    const replica: LedReplica = {
      identity: { topicId: uuid(1), partition },
      isLeader: true,
      leaderNode: 1,
      term,
      committedConfiguration: { configuration: { revision: 0 } },
      acknowledgements: { inSyncMembers: () => inSync.map((id) => `${id}/d` as const) },
    };
    this.exchanges.get(1)!.replicaChanged(replica);
  }

  /** A start of a node is registered again, as the image tells. */
  registered(nodeId: number): void {
    const broker = this.state.image.brokers.get(nodeId)!;
    const { epoch, ...rest } = broker;
    const record = {
      brokerId: nodeId,
      brokerEpoch: epoch + 100,
      incarnationId: rest.incarnationId,
      endPoints: [],
      features: [],
      rack: null,
      logDirs: rest.logDirectories,
      fenced: false,
    };
    const { changes } = carryOut(this.state, {
      records: [{ type: 'RegisterBrokerRecord', value: record }],
      result: undefined,
    });
    for (const change of changes)
      for (const exchange of this.exchanges.values()) exchange.metadataChanged(change);
  }
}

describe('the exchange of leaderships', () => {
  it('tells every node once what came in one turn, and nothing while nothing changes', async () => {
    const nodes = new Nodes();
    for (let partition = 0; partition < 100; partition++) nodes.lead(partition);
    await settle();
    expect(nodes.questions).toBe(2);
    for (const id of [2, 3]) expect([...nodes.tables.get(id)!.ledBy(1)]).toHaveLength(100);
    nodes.lead(5);
    nodes.clock.advance(3_600_000);
    await settle();
    expect(nodes.questions).toBe(2);
    nodes.lead(5, { inSync: [1, 3] });
    await settle();
    expect(nodes.questions).toBe(4);
    expect(nodes.tables.get(3)!.of(uuid(1), 5)).toMatchObject({ term: 1, version: 2, inSync: [1, 3] });
  });

  it('tells a node that starts anew everything', async () => {
    const nodes = new Nodes();
    nodes.lead(0);
    nodes.lead(1, { term: 4 });
    await settle();
    nodes.start(3);
    nodes.registered(3);
    await settle();
    expect([...nodes.tables.get(3)!.all()].map(({ partition, term }) => [partition, term])).toEqual([
      [0, 1],
      [1, 4],
    ]);
  });

  it('repeats everything to a node that could not be reached, in the end', async () => {
    const nodes = new Nodes();
    nodes.cut.add(2);
    nodes.lead(0);
    await settle();
    nodes.lead(1);
    await settle();
    expect([[...nodes.tables.get(2)!.all()].length, [...nodes.tables.get(3)!.all()].length]).toEqual([0, 2]);
    nodes.cut.clear();
    nodes.clock.advance(10_000);
    await settle();
    expect([...nodes.tables.get(2)!.all()]).toHaveLength(2);
  });

  it('tells everything once more where the other believes something else', async () => {
    const nodes = new Nodes();
    nodes.lead(0);
    nodes.lead(1);
    await settle();
    nodes.tables.get(2)!.forget(uuid(1));
    nodes.lead(2);
    await settle();
    expect([...nodes.tables.get(2)!.ledBy(1)].map(({ partition }) => partition)).toEqual([0, 1, 2]);
  });

  it('takes back what this node led, where nobody leads it now', async () => {
    const nodes = new Nodes();
    nodes.lead(0);
    nodes.lead(1);
    await settle();
    const followed = (partition: number, leaderNode: number | undefined, term: number): void =>
      nodes.exchanges.get(1)!.replicaChanged({
        identity: { topicId: uuid(1), partition },
        isLeader: false,
        leaderNode,
        term,
        committedConfiguration: { configuration: { revision: 0 } },
        acknowledgements: { inSyncMembers: () => [] },
      });
    followed(0, undefined, 1);
    // Who had led it hears of its successor, who says so itself.
    followed(1, 3, 2);
    await settle();
    const saidOf = (partition: number): (readonly number[])[] =>
      [2, 3].map((id) => nodes.tables.get(id)!.of(uuid(1), partition)!.inSync);
    expect(saidOf(0)).toEqual([[], []]);
    expect(saidOf(1)).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ]);
    const topic = { id: uuid(1), partitions: [0] };
    const led = nodes.tables.get(2)!.whenLed(topic, { clock: nodes.clock, timeoutMs: 10 });
    nodes.clock.advance(10);
    expect(await led).toBe(false);
    // A node that starts anew hears of it too, and it is said once.
    const asked = nodes.questions;
    followed(0, undefined, 1);
    await settle();
    expect(nodes.questions).toBe(asked);
    nodes.lead(0, { term: 3 });
    await settle();
    expect(saidOf(0)).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ]);
  });

  it('takes the word of a follower for a new leader, until that speaks itself', () => {
    const nodes = new Nodes();
    const exchange = nodes.exchanges.get(2)!;
    exchange.replicaChanged({
      identity: { topicId: uuid(1), partition: 0 },
      isLeader: false,
      leaderNode: 3,
      term: 9,
      committedConfiguration: { configuration: { revision: 0 } },
      acknowledgements: { inSyncMembers: () => [] },
    });
    const table = nodes.tables.get(2)!;
    expect(table.of(uuid(1), 0)).toMatchObject({ leader: 3, term: 9, version: 0 });
    expect(table.merge(leadership({ leader: 3, term: 9, version: 1, inSync: [3, 2] }))).toBe(true);
    expect(table.merge(leadership({ leader: 1, term: 8, version: 7 }))).toBe(false);
  });

  it('says as of a new registration what is led then, and nothing of what the process before it led', async () => {
    const nodes = new Nodes();
    nodes.lead(0);
    nodes.lead(1);
    await settle();
    const { brokers } = nodes.state.image;
    const standing = (): boolean[][] =>
      [2, 3].map((id) =>
        [0, 1].map((partition) => isStanding(nodes.tables.get(id)!.of(uuid(1), partition), brokers)),
      );
    expect(standing()).toEqual([
      [true, true],
      [true, true],
    ]);
    // It leads on, as where its registration had lapsed.
    nodes.registered(1);
    expect(standing()).toEqual([
      [false, false],
      [false, false],
    ]);
    await settle();
    expect(standing()).toEqual([
      [true, true],
      [true, true],
    ]);
    // Another process, which has been elected for one of them before it has been registered.
    nodes.start(1);
    nodes.lead(1, { term: 2 });
    await settle();
    nodes.registered(1);
    await settle();
    expect(standing()).toEqual([
      [false, true],
      [false, true],
    ]);
    expect(nodes.tables.get(2)!.digest(1).count).toBe(2);
  });

  it('leaves a node alone that was unregistered', async () => {
    const nodes = new Nodes();
    const { changes } = carryOut(nodes.state, decideUnregistration(nodes.state, 3));
    for (const change of changes) nodes.exchanges.get(1)!.metadataChanged(change);
    nodes.lead(0);
    await settle();
    expect(nodes.questions).toBe(1);
    expect([...nodes.tables.get(3)!.all()]).toEqual([]);
  });
});

import { describe, expect, it } from 'vitest';
import { RegistrationError } from '../../../broker/cluster/nodes/own-registration.ts';
import { servedFeatures } from '../../../broker/cluster/controller/features.ts';
import { decideRegistration } from '../../../broker/cluster/controller/registration.ts';
import { carryOut, stateOf, topicNamed, uuid } from './cluster-fixtures.ts';
import { openMemoryCluster } from './memory-cluster.ts';
import { MemoryFleet } from './memory-fleet.ts';
import { directoryOf } from './memory-group.ts';

async function formed(nodeIds: readonly number[] = [1, 2, 3]): Promise<MemoryFleet> {
  const fleet = new MemoryFleet(nodeIds);
  await fleet.form();
  return fleet;
}

function internal(host: string) {
  return { name: 'INTERNAL', host, port: 9093, securityProtocol: 0 };
}

function fenced(fleet: MemoryFleet): number[] {
  const { brokers } = fleet.node(1).cluster.image;
  return [...brokers.values()].filter(({ fenced }) => fenced).map(({ id }) => id);
}

describe('sessions of nodes', () => {
  it('cost a node that is alone nothing', async () => {
    const fleet = await formed([1]);
    await fleet.run(fleet.node(1).cluster.createTopics([topicNamed('t')]));
    await fleet.run(fleet.node(1).cluster.serve());
    expect(fleet.clock.pendingTimers).toBe(0);
    expect(fleet.messages).toEqual([]);
    await fleet.close();
  });

  it('are kept up by heartbeats, and end with silence: the node is fenced, and no longer when it is heard', async () => {
    const fleet = await formed();
    await fleet.pass(30_000);
    expect(fenced(fleet)).toEqual([]);
    await fleet.pass(6_000, [3]);
    expect(fenced(fleet)).toEqual([]);
    await fleet.pass(5_000, [3]);
    expect(fenced(fleet)).toEqual([3]);
    expect(fleet.node(3).cluster.image.brokers.get(3)?.fenced).toBe(false);
    const { cluster } = fleet.node(1);
    await fleet.run(cluster.createTopics([topicNamed('t', { replicationFactor: 3 })]));
    expect(cluster.image.topic('t')!.partitions.map(({ replicas }) => replicas)).toEqual([[1, 2, 3]]);
    await fleet.pass(3_000);
    expect(fenced(fleet)).toEqual([]);
    await fleet.close();
    expect(fleet.failures).toEqual([]);
  });

  it('begin anew with a new leader, who gives everybody a whole timeout', async () => {
    const fleet = await formed();
    await fleet.pass(5_000, [3]);
    const [, two, three] = fleet.nodes.map(({ replica }) => replica);
    fleet.group.replicate(fleet.group.leader!, three!, Infinity);
    expect(fleet.group.elect(two!, [two!, three!])).toBe(true);
    await fleet.pass(7_000, [3]);
    expect(fenced(fleet)).toEqual([]);
    await fleet.pass(4_000, [3]);
    expect(fenced(fleet)).toEqual([3]);
    await fleet.close();
  });

  it('say that a node is about to stop, and that it has', async () => {
    const fleet = await formed();
    const { cluster } = fleet.node(2);
    await fleet.run(cluster.prepareStop());
    await fleet.pass(500);
    expect(fleet.node(1).cluster.image.brokers.get(2)).toMatchObject({
      inControlledShutdown: true,
      fenced: false,
    });
    await fleet.run(cluster.close());
    await fleet.pass(500);
    expect(fenced(fleet)).toEqual([2]);
  });

  it('end at once with a node that has stopped before the log has that it was about to', async () => {
    const fleet = await formed();
    const { epoch } = fleet.node(1).cluster.image.brokers.get(2)!;
    const heartbeat = fleet.node(1).cluster.services.get('broker-heartbeat')!;
    for (const wish of ['stop', 'stopped']) {
      const report = { wish, directories: [], endOffset: epoch + 1 };
      await heartbeat({ from: 2, payload: Buffer.from(JSON.stringify({ nodeId: 2, epoch, report })) });
    }
    expect(fleet.node(1).cluster.image.brokers.get(2)!.inControlledShutdown).toBe(false);
    await fleet.pass(500, [2]);
    expect(fenced(fleet)).toEqual([2]);
    await fleet.close();
  });

  it('count a node that registers as fenced in once it is ready', async () => {
    const fleet = new MemoryFleet([1, 2]);
    const all = [...fleet.group.replicas.values()];
    fleet.group.elect(all[0]!, all);
    const [one, two] = fleet.nodes;
    await fleet.run(Promise.all([one!.cluster.start(), two!.cluster.start()]));
    await fleet.run(one!.cluster.register({ ...fleet.registration(1), fenced: true }));
    // One that is alone has nobody to tell.
    expect(fenced(fleet)).toEqual([]);
    await fleet.run(two!.cluster.register({ ...fleet.registration(2), fenced: true }));
    await fleet.pass(5_000);
    expect(fenced(fleet)).toEqual([2]);
    await fleet.run(two!.cluster.serve());
    expect(fenced(fleet)).toEqual([]);
    expect([...one!.cluster.addresses]).toEqual([
      [1, { host: 'host-1', port: 9093 }],
      [2, { host: 'host-2', port: 9093 }],
    ]);
    await fleet.close();
  });
});

describe('a node that starts', () => {
  it('waits for a controller as long as there is none', async () => {
    const fleet = new MemoryFleet([1, 2, 3]);
    const all = [...fleet.group.replicas.values()];
    fleet.group.elect(all[0]!, all);
    await fleet.run(Promise.all(fleet.nodes.map(({ cluster }) => cluster.start())));
    for (const id of [1, 2]) await fleet.run(fleet.node(id).cluster.register(fleet.registration(id)));
    const registered = fleet.node(3).cluster.register(fleet.registration(3));
    await fleet.pass(50_000, [3]);
    expect(fleet.node(1).cluster.image.brokers.has(3)).toBe(false);
    await fleet.run(registered);
    expect(fleet.node(1).cluster.image.brokers.has(3)).toBe(true);
    await fleet.close();
  });
});

describe('a node id that another node has', () => {
  it('is refused while that one is alive', async () => {
    const fleet = await formed();
    const other = { ...fleet.registration(3, 1), logDirectories: [uuid(77)] };
    const refused = fleet
      .node(3)
      .cluster.register(other)
      .catch((error: unknown) => error);
    await fleet.pass(25_000);
    const error = await refused;
    expect(error).toBeInstanceOf(RegistrationError);
    expect(error).toMatchObject({
      refusal: { error: 'DUPLICATE_BROKER_REGISTRATION' },
      message: expect.stringContaining('Another node with the id 3 is alive at host-3:9093'),
    });
    expect(fleet.node(1).cluster.image.brokers.get(3)?.logDirectories).toEqual([directoryOf(3)]);
    await fleet.close();
  });

  it.each([
    ['its session has ended', [1], {}, 'registered'],
    ['it is alive', [1, 3], {}, 'refused'],
    ['it is alive elsewhere', [3], { logDirectories: [directoryOf(3)] }, 'refused'],
    ['it is alive with another directory', [3], { endpoints: [internal('host-3')] }, 'refused'],
    [
      'it was this node before a start: one place, one directory',
      [3],
      { endpoints: [internal('host-3')], logDirectories: [directoryOf(3)] },
      'registered',
    ],
  ])('is decided by who is alive: %s', (_, alive, same, expected) => {
    const state = stateOf({ nodes: [] });
    const node = {
      nodeId: 3,
      incarnationId: uuid(1),
      endpoints: [internal('host-3')],
      rack: null,
      host: null,
      logDirectories: [directoryOf(3)],
      features: servedFeatures(),
    };
    carryOut(state, decideRegistration(state, node));
    const again = {
      ...node,
      incarnationId: uuid(2),
      endpoints: [internal('host-4')],
      logDirectories: [uuid(77)],
      ...same,
    };
    const { records, result } = decideRegistration({ ...state, aliveNodes: new Set(alive) }, again);
    expect(result.kind).toBe(expected);
    expect(records).toHaveLength(expected === 'registered' ? 1 : 0);
  });

  it('is said to be stale in the name of an earlier start', async () => {
    const fleet = await formed();
    const before = fleet.node(3).cluster.image.brokers.get(3)!.epoch;
    await fleet.run(fleet.node(3).cluster.register(fleet.registration(3, 1)));
    const { epoch } = fleet.node(3).cluster.image.brokers.get(3)!;
    expect(epoch).toBeGreaterThan(before);
    const report = { wish: 'serve', directories: [], endOffset: epoch + 1 };
    const heartbeat = fleet.node(1).cluster.services.get('broker-heartbeat')!;
    const say = async (name: number): Promise<unknown> => {
      const payload = Buffer.from(JSON.stringify({ nodeId: 3, epoch: name, report }));
      return JSON.parse(String(Buffer.concat(await heartbeat({ from: 3, payload }))));
    };
    expect(await say(before)).toEqual({
      kind: 'stale',
      endOffset: fleet.node(1).cluster.image.endOffset,
      isRegistered: true,
    });
    expect(await say(epoch)).toEqual({ kind: 'heard', fenced: false });
    await fleet.close();
  });

  it('is looked up only by a leader whose image has all that its log has', async () => {
    const fleet = await formed();
    const [, two, three] = fleet.nodes.map(({ replica }) => replica);
    two!.reading.close();
    await fleet.run(fleet.node(3).cluster.register(fleet.registration(3, 1)));
    const { epoch } = fleet.node(3).cluster.image.brokers.get(3)!;
    expect(fleet.group.elect(two!, [two!, three!])).toBe(true);
    await fleet.flow();
    const report = { wish: 'serve', directories: [], endOffset: epoch + 1 };
    const payload = Buffer.from(JSON.stringify({ nodeId: 3, epoch, report }));
    const say = async (): Promise<unknown> => {
      const parts = await fleet.node(2).cluster.services.get('broker-heartbeat')!({ from: 3, payload });
      return JSON.parse(String(Buffer.concat(parts)));
    };
    expect([two!.ready, await say()]).toEqual([true, { kind: 'not-leader' }]);
    two!.reading.open();
    await fleet.pass(500);
    expect(await say()).toEqual({ kind: 'heard', fenced: false });
    await fleet.close();
  });

  it('is registered once by one start of a node, however often it asks', async () => {
    const fleet = await formed();
    const { cluster } = fleet.node(3);
    const before = cluster.image.endOffset;
    await fleet.run(cluster.register(fleet.registration(3)));
    await fleet.pass(1_000);
    expect(cluster.image.endOffset).toBe(before);
    await fleet.close();
  });
});

describe('a node that was unregistered', () => {
  it('hears of it, and counts no more', async () => {
    const fleet = await formed();
    await fleet.run(fleet.node(1).cluster.createTopics([topicNamed('t', { replicationFactor: 3 })]));
    expect(await fleet.run(fleet.node(1).cluster.unregister(3))).toMatchObject({
      kind: 'refused',
      error: 'INVALID_REQUEST',
    });
    await fleet.run(fleet.node(1).cluster.deleteTopics([fleet.node(1).cluster.image.topic('t')!.id]));
    expect(await fleet.run(fleet.node(2).cluster.unregister(3))).toEqual({ kind: 'unregistered' });
    await fleet.pass(3_000);
    expect(fleet.node(3).expelled).toEqual(['unregistered']);
    expect(fleet.node(2).cluster.image.isGone(3)).toBe(true);
    expect(await fleet.run(fleet.node(2).cluster.unregister(3))).toMatchObject({
      error: 'BROKER_ID_NOT_REGISTERED',
    });
    const again = fleet.registration(3, 1);
    await expect(fleet.run(fleet.node(2).cluster.register(again))).rejects.toThrow(
      'Node 3 was taken out of the cluster with the data directory that it has.',
    );
    const empty = { ...again, incarnationId: uuid(77), logDirectories: [uuid(78)] };
    await fleet.run(fleet.node(2).cluster.register(empty));
    expect(fleet.node(1).cluster.image.isGone(3)).toBe(false);
  });
});

describe('a node that lags behind', () => {
  it('hears from the controller that it was unregistered, as it gets no more of the log', async () => {
    const fleet = await formed();
    fleet.node(3).replica.reading.close();
    expect(await fleet.run(fleet.node(2).cluster.unregister(3))).toEqual({ kind: 'unregistered' });
    // Nor does it hear who leads.
    fleet.node(3).replica.follow(1, undefined);
    await fleet.pass(3_000);
    expect(fleet.node(3).cluster.image.brokers.has(3)).toBe(true);
    expect(fleet.node(3).expelled).toEqual(['unregistered']);
  });

  it('hears from it that another process took its number', async () => {
    const fleet = await formed();
    fleet.node(3).replica.reading.close();
    await fleet.run(fleet.node(2).cluster.register(fleet.registration(3, 1)));
    await fleet.pass(3_000);
    expect(fleet.node(3).expelled).toEqual(['superseded']);
  });
});

describe('a node that starts again alone', () => {
  it('is itself, at whatever address', async () => {
    const first = await openMemoryCluster();
    const second = await openMemoryCluster({ batches: first.log.batches, register: false });
    await second.cluster.register({
      nodeId: 1,
      incarnationId: uuid(55),
      endpoints: [{ name: 'PLAINTEXT', host: 'localhost', port: 1, securityProtocol: 0 }],
      rack: null,
      host: null,
      logDirectories: [],
    });
    expect(second.cluster.image.brokers.get(1)?.incarnationId).not.toBe(
      first.cluster.image.brokers.get(1)?.incarnationId,
    );
  });
});

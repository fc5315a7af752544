import { describe, expect, it } from 'vitest';
import { MetadataLogError } from '../../../broker/cluster/metadata/metadata-log.ts';
import { contents, topicNamed, uuid } from './cluster-fixtures.ts';
import { nodeOne, openMemoryCluster, settle } from './memory-cluster.ts';

const set = 0;

function alteration(resourceType: number, resourceName: string, name: string, value: string) {
  return { resourceType, resourceName, configs: [{ name, configOperation: set, value }] };
}

describe('operations', () => {
  it('are answered when committed, applied and open, one batch of the log each', async () => {
    const { cluster, log, host } = await openMemoryCluster();
    log.commits.close();
    host.opening.close();
    let answered = false;
    const creating = cluster.createTopics([topicNamed('a', { numPartitions: 2 }), topicNamed('b')]);
    void creating.then(() => (answered = true));
    await settle();
    expect([answered, cluster.image.topicCount]).toEqual([false, 0]);
    log.commits.open();
    await settle();
    expect([answered, cluster.image.topicCount]).toEqual([false, 2]);
    expect(host.calls).toEqual(['open a-0 a-1', 'open b-0']);
    host.opening.open();
    expect((await creating).map(({ kind }) => kind)).toEqual(['created', 'created']);
    expect([...host.openNow.keys()]).toEqual(['a-0', 'a-1', 'b-0']);
    expect(log.batches.map((batch) => batch.length)).toEqual([2, 1, 5]);
  });

  it('see all that was decided before them, though it is not committed when they come', async () => {
    const { cluster, log } = await openMemoryCluster();
    log.commits.close();
    const both = Promise.all([
      cluster.createTopics([topicNamed('a.b')]),
      cluster.createTopics([topicNamed('a.b')]),
      cluster.createTopics([topicNamed('a_b')]),
    ]);
    log.commits.open();
    const results = (await both).flat();
    expect(results.map((result) => (result.kind === 'refused' ? result.error : result.kind))).toEqual([
      'created',
      'TOPIC_ALREADY_EXISTS',
      'INVALID_TOPIC_EXCEPTION',
    ]);
    expect(log.batches).toHaveLength(3);
  });

  it('write nothing when they only validate', async () => {
    const { cluster, log } = await openMemoryCluster();
    const before = contents(cluster.image);
    const [topic] = await cluster.createTopics([topicNamed('t')], true);
    expect(topic?.kind).toBe('created');
    await cluster.createTopics([topicNamed('u')]);
    const grown = await cluster.createPartitions([{ name: 'u', count: 9, assignments: null }], true);
    const altered = await cluster.alterConfigs([alteration(2, 'u', 'segment.ms', '9')], true);
    const replaced = await cluster.replaceConfigs([alteration(2, 'u', 'segment.ms', '9')], true);
    expect([grown[0]?.kind, altered, replaced]).toEqual([
      'created',
      [{ resourceType: 2, resourceName: 'u' }],
      [{ resourceType: 2, resourceName: 'u' }],
    ]);
    await cluster.deleteTopics([cluster.image.topic('u')?.id ?? '']);
    expect(log.batches).toHaveLength(4);
    expect(contents(cluster.image)).toEqual({ ...before, endOffset: 6 });
  });

  it('fail with the log, and leave the image as it was', async () => {
    const { cluster, log, host } = await openMemoryCluster();
    const before = contents(cluster.image);
    log.failure = new MetadataLogError('failed', 'the disk is gone');
    await expect(cluster.createTopics([topicNamed('t')])).rejects.toBe(log.failure);
    await expect(cluster.allocateProducerId()).rejects.toBe(log.failure);
    expect(contents(cluster.image)).toEqual(before);
    expect(host.calls).toEqual([]);
    log.failure = undefined;
    expect(await cluster.createTopics([topicNamed('t')])).toMatchObject([{ kind: 'created' }]);
    expect(await cluster.allocateProducerId()).toBe(0);
  });
});

describe('a restart', () => {
  it('finds everything again, and starts no replica by itself', async () => {
    const first = await openMemoryCluster();
    await first.cluster.createTopics([
      topicNamed('a', { numPartitions: 2, configs: [{ name: 'segment.ms', value: '9' }] }),
      topicNamed('b'),
    ]);
    await first.cluster.deleteTopics([first.cluster.image.topic('b')?.id ?? '']);
    await first.cluster.alterConfigs([alteration(4, '1', 'message.max.bytes', '7777')]);
    const second = await openMemoryCluster({ batches: first.log.batches, register: false });
    expect(contents(second.cluster.image)).toEqual(contents(first.cluster.image));
    expect(second.host.calls).toEqual([]);
    expect(second.cluster.replicasHere()).toEqual([
      { topic: 'a', topicId: uuid(1), partition: 0, directoryId: uuid(1000) },
      { topic: 'a', topicId: uuid(1), partition: 1, directoryId: uuid(1000) },
    ]);
    expect(second.cluster.topicConfig('a')).toMatchObject({ segmentMs: 9, maxMessageBytes: 7777 });
    expect(second.log.batches).toHaveLength(first.log.batches.length);
  });

  it('knows in which data directory each replica lies, as the controller chose and the node corrects', async () => {
    const first = await openMemoryCluster({ register: false });
    const directories = [uuid(1000), uuid(1001)];
    await first.cluster.register({ ...nodeOne, logDirectories: directories });
    await first.cluster.createTopics([topicNamed('a', { numPartitions: 3 })]);
    expect(first.cluster.replicasHere().map(({ directoryId }) => directoryId)).toEqual([
      directories[0],
      directories[1],
      directories[0],
    ]);
    const at = (partition: number, directoryId: string, topicId = uuid(1)) => ({
      topicId,
      partition,
      directoryId,
    });
    const batches = first.log.batches.length;
    await first.cluster.assignDirectories([at(2, directories[1]!), at(0, directories[0]!)]);
    await first.cluster.assignDirectories([at(0, directories[0]!), at(9, directories[0]!)]);
    await first.cluster.assignDirectories([at(0, directories[1]!, uuid(77))]);
    await first.cluster.assignDirectories([]);
    expect(first.log.batches).toHaveLength(batches + 1);
    const second = await openMemoryCluster({ batches: first.log.batches, register: false });
    expect(second.cluster.replicasHere().map(({ directoryId }) => directoryId)).toEqual([
      directories[0],
      directories[1],
      directories[1],
    ]);
  });

  it('never gives a producer id again', async () => {
    const first = await openMemoryCluster();
    const before = [await first.cluster.allocateProducerId(), await first.cluster.allocateProducerId()];
    const second = await openMemoryCluster({ batches: first.log.batches });
    expect([...before, await second.cluster.allocateProducerId()]).toEqual([0, 1, 1000]);
  });
});

describe('producer ids', () => {
  it('come from one block for many callers at once, and from the next when it is used up', async () => {
    const { cluster, log } = await openMemoryCluster();
    const ids = await Promise.all(Array.from({ length: 1001 }, () => cluster.allocateProducerId()));
    expect(ids).toEqual(Array.from({ length: 1001 }, (_, id) => id));
    expect(log.batches).toHaveLength(4);
  });
});

describe('replicas', () => {
  it('of a topic made again wait until those of the old one are gone', async () => {
    const { cluster, host } = await openMemoryCluster();
    await cluster.createTopics([topicNamed('t')]);
    host.removing.close();
    await cluster.deleteTopics([uuid(1)]);
    const again = cluster.createTopics([topicNamed('t')]);
    await settle();
    expect(host.calls).toEqual(['open t-0', 'opened', 'remove t']);
    host.removing.open();
    await again;
    expect(host.calls).toEqual(['open t-0', 'opened', 'remove t', 'removed', 'open t-0', 'opened']);
    expect(host.openNow.get('t-0')?.topicId).toBe(uuid(2));
  });

  it('are not opened for a topic that was deleted while they waited', async () => {
    const { cluster, host } = await openMemoryCluster();
    await cluster.createTopics([topicNamed('t')]);
    host.removing.close();
    await cluster.deleteTopics([uuid(1)]);
    const again = cluster.createTopics([topicNamed('t')]);
    await settle();
    await cluster.deleteTopics([uuid(2)]);
    host.removing.open();
    await again;
    await cluster.close();
    expect(host.calls).toEqual(['open t-0', 'opened', 'remove t', 'removed', 'remove t', 'removed']);
    expect(host.openNow.size).toBe(0);
  });

  it('that cannot be opened are told to the client and to the operator; the topic stays', async () => {
    const { cluster, host, failures } = await openMemoryCluster();
    host.failure = new Error('too many open files');
    const result = await cluster.createTopics([topicNamed('t')]);
    expect(result).toEqual([
      {
        kind: 'refused',
        name: 't',
        error: 'KAFKA_STORAGE_ERROR',
        message: "'t' exists, but its replicas could not be opened: too many open files",
      },
    ]);
    expect(failures).toEqual([['t', host.failure]]);
    expect(cluster.image.topic('t')?.id).toBe(uuid(1));
  });

  it('are opened for added partitions, all of the topic being named', async () => {
    const { cluster, host } = await openMemoryCluster();
    await cluster.createTopics([topicNamed('t')]);
    await cluster.createPartitions([{ name: 't', count: 3, assignments: null }]);
    expect(host.calls).toEqual(['open t-0', 'opened', 'open t-0 t-1 t-2', 'opened']);
  });

  it('are waited for by a stop', async () => {
    const { cluster, host } = await openMemoryCluster();
    host.opening.close();
    const creating = cluster.createTopics([topicNamed('t')]);
    await settle();
    let closed = false;
    const closing = cluster.close().then(() => (closed = true));
    await settle();
    expect(closed).toBe(false);
    host.opening.open();
    await Promise.all([closing, creating]);
    expect(host.openNow.size).toBe(1);
  });
});

describe('settings', () => {
  it('of a topic are one live object for as long as it exists', async () => {
    const { cluster } = await openMemoryCluster({ settings: { 'log.roll.hours': '1' } });
    await cluster.createTopics([topicNamed('t')]);
    const config = cluster.topicConfig('t');
    expect(config.segmentMs).toBe(3_600_000);
    await cluster.alterConfigs([alteration(4, '', 'log.roll.ms', '50')]);
    expect(config.segmentMs).toBe(50);
    await cluster.alterConfigs([alteration(4, '1', 'log.roll.ms', '40')]);
    expect(config.segmentMs).toBe(40);
    await cluster.alterConfigs([alteration(2, 't', 'segment.ms', '30')]);
    expect(config.segmentMs).toBe(30);
    expect(cluster.topicConfig('t')).toBe(config);
    await cluster.deleteTopics([uuid(1)]);
    expect(cluster.topicConfig('t').segmentMs).toBe(40);
    await cluster.createTopics([topicNamed('t')]);
    expect(cluster.topicConfig('t')).not.toBe(config);
  });

  it('of this broker change with the log, those of others do not count here', async () => {
    const { cluster, config } = await openMemoryCluster();
    await cluster.register({
      nodeId: 2,
      incarnationId: uuid(902),
      endpoints: [],
      rack: null,
      host: null,
      logDirectories: [],
    });
    await cluster.alterConfigs([alteration(4, '2', 'max.connections', '5')]);
    expect(config.maxConnections).toBe(2_147_483_647);
    await cluster.alterConfigs([alteration(4, '', 'max.connections', '6')]);
    expect(config.maxConnections).toBe(6);
  });
});

describe('listeners', () => {
  it('hear of every change in order, when the image holds it', async () => {
    const { cluster } = await openMemoryCluster();
    const heard: string[] = [];
    cluster.onChange((change) => {
      const topic = 'topic' in change ? change.topic.name : '';
      heard.push(`${change.kind} ${topic} ${cluster.image.topicCount}`);
    });
    await cluster.createTopics([topicNamed('t', { configs: [{ name: 'segment.ms', value: '9' }] })]);
    await cluster.deleteTopics([uuid(1)]);
    expect(heard).toEqual([
      'topic-created t 1',
      'config-changed  1',
      'partition-created t 1',
      'topic-deleted t 0',
    ]);
  });
});

describe('the topic of committed offsets', () => {
  it('is made on first use, once, as the settings say', async () => {
    const { cluster, host } = await openMemoryCluster({ settings: { 'offsets.topic.num.partitions': '3' } });
    const [one, two] = await Promise.all([
      cluster.ensureInternalTopic('__consumer_offsets'),
      cluster.ensureInternalTopic('__consumer_offsets'),
    ]);
    expect(one).toBe(two);
    const topic = cluster.image.topic('__consumer_offsets');
    expect(one).toBe(topic);
    expect(topic?.partitions.map(({ replicas }) => replicas)).toEqual([[1], [1], [1]]);
    expect(topic?.isInternal).toBe(true);
    expect(host.openNow.size).toBe(3);
    expect(cluster.topicConfig('__consumer_offsets')).toMatchObject({
      compacts: true,
      deletes: false,
      segmentBytes: 104_857_600,
    });
  });

  it('cannot be made when the log takes nothing, and says so', async () => {
    const { cluster, log } = await openMemoryCluster();
    log.failure = new MetadataLogError('failed', 'the disk is gone');
    expect(await cluster.ensureInternalTopic('__consumer_offsets')).toEqual({
      kind: 'refused',
      name: '__consumer_offsets',
      error: 'KAFKA_STORAGE_ERROR',
      message: 'the disk is gone',
    });
  });

  it('cannot be made without a node, and says so', async () => {
    const { cluster } = await openMemoryCluster({ register: false });
    expect(await cluster.ensureInternalTopic('__consumer_offsets')).toMatchObject({
      kind: 'refused',
      error: 'INVALID_REPLICATION_FACTOR',
    });
  });
});

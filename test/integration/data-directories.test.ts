/** A node with several data directories: where replicas go, and what becomes of them when a directory fails. */
import { describe, expect, it } from 'vitest';
import { StartError } from '../../broker/index.ts';
import type { DiskErrorCode } from '../../platform/disk.ts';
import { MemoryDisk } from '../../platform/memory-disk.ts';
import type { DiskOperation } from '../../platform/memory-disk.ts';
import { ErrorCode } from '../../protocol/index.ts';
import { createTopic, embed, fetchOf, fetchVersion, produceOf, produceVersion } from './embedded.ts';
import type { Embedded } from './embedded.ts';
import type { WireConnection } from './wire-connection.ts';

const directories = ['/a', '/b'];
const topic = 't';
const partitions = [0, 1, 2, 3];

type Faults = (operation: DiskOperation, path: string) => DiskErrorCode | undefined;

/** A disk whose faults the test sets as it goes. */
function faultyDisk(): { disk: MemoryDisk; fail: (faults: Faults) => void } {
  let faults: Faults = () => undefined;
  return {
    disk: new MemoryDisk({ faults: (operation, path) => faults(operation, path) }),
    fail: (next) => {
      faults = next;
    },
  };
}

const unreadable =
  (directory: string): Faults =>
  (_, path) =>
    path === directory || path.startsWith(`${directory}/`) ? 'io' : undefined;

async function produceEach(connection: WireConnection, value: string): Promise<string[]> {
  const errors: string[] = [];
  for (const partition of partitions) {
    const answer = await connection.call('Produce', produceVersion, produceOf(topic, [value], { partition }));
    errors.push(nameOf(answer.responses[0]!.partitionResponses[0]!.errorCode));
  }
  return errors;
}

/** The error of each partition, or how many bytes of records it gave. */
async function fetchEach(connection: WireConnection): Promise<(string | number)[]> {
  const all = partitions.map((partition) => ({ partition, fetchOffset: 0 }));
  const answer = await connection.call('Fetch', fetchVersion, fetchOf(topic, all));
  const found = answer.responses.flatMap((each) => each.partitions);
  return partitions.map((partition) => {
    const { errorCode, records } = found.find(({ partitionIndex }) => partitionIndex === partition)!;
    return errorCode === 0 ? Math.min(1, records?.length ?? 0) : nameOf(errorCode);
  });
}

function nameOf(code: number): string {
  return Object.entries(ErrorCode).find(([, number]) => number === code)![0];
}

async function placesOn(disk: MemoryDisk): Promise<Record<string, string[]>> {
  const places: Record<string, string[]> = {};
  for (const directory of directories) {
    places[directory] = (await disk.list(directory)).filter((name) => name.startsWith(`${topic}-`));
  }
  return places;
}

async function metadataOf(connection: WireConnection) {
  const answer = await connection.call('Metadata', 9, { topics: [{ name: topic }] });
  return answer.topics[0]!.partitions.toSorted(
    (left, right) => left.partitionIndex - right.partitionIndex,
  ).map(({ errorCode, leaderId, offlineReplicas }) => [nameOf(errorCode), leaderId, offlineReplicas]);
}

async function filled(node: Embedded): Promise<WireConnection> {
  const connection = await node.connect();
  await createTopic(connection, topic, partitions.length);
  expect(await produceEach(connection, 'first')).toEqual(['NONE', 'NONE', 'NONE', 'NONE']);
  return connection;
}

describe('several data directories', () => {
  it('share the partitions, and are found again whatever their order is but for the first', async () => {
    const disk = new MemoryDisk();
    {
      await using node = await embed({ disk, dataDir: [...directories, '/c'] });
      await filled(node);
    }
    const places = await placesOn(disk);
    expect(places).toEqual({ '/a': ['t-0', 't-3'], '/b': ['t-1'] });
    await using node = await embed({ disk, dataDir: ['/a', '/c', '/b'] });
    const connection = await node.connect();
    expect(await fetchEach(connection)).toEqual([1, 1, 1, 1]);
    expect(await produceEach(connection, 'second')).toEqual(['NONE', 'NONE', 'NONE', 'NONE']);
    expect(node.log.lines).toEqual([]);
    expect(await placesOn(disk)).toEqual(places);
  });

  it('that cannot be read at the start leave the others serving, and come back with all they had', async () => {
    const { disk, fail } = faultyDisk();
    {
      await using node = await embed({ disk, dataDir: directories });
      await filled(node);
    }
    fail(unreadable('/b'));
    {
      await using node = await embed({ disk, dataDir: directories });
      const connection = await node.connect();
      const lost = 'KAFKA_STORAGE_ERROR';
      expect(await produceEach(connection, 'second')).toEqual(['NONE', lost, 'NONE', lost]);
      expect(await fetchEach(connection)).toEqual([1, lost, 1, lost]);
      const offline = ['LEADER_NOT_AVAILABLE', -1, [1]];
      const online = ['NONE', 1, []];
      expect(await metadataOf(connection)).toEqual([online, offline, online, offline]);
      expect(node.log.lines[0]).toMatch(/^error: the data directory \/b is offline, with all replicas in it/);
      // A new topic goes to what is left.
      await createTopic(connection, 'later', 3);
      expect((await disk.list('/a')).filter((name) => name.startsWith('later-'))).toHaveLength(3);
    }
    fail(() => undefined);
    await using node = await embed({ disk, dataDir: directories });
    const connection = await node.connect();
    expect(await fetchEach(connection)).toEqual([1, 1, 1, 1]);
    expect(node.log.lines).toEqual([]);
  });

  it('go on where a single replica cannot be opened', async () => {
    const { disk, fail } = faultyDisk();
    {
      await using node = await embed({ disk, dataDir: directories });
      await filled(node);
    }
    fail((_, path) => (path.startsWith('/b/t-1/') ? 'io' : undefined));
    {
      await using node = await embed({ disk, dataDir: directories });
      const connection = await node.connect();
      expect(await produceEach(connection, 'second')).toEqual([
        'NONE',
        'KAFKA_STORAGE_ERROR',
        'NONE',
        'NONE',
      ]);
      expect(await fetchEach(connection)).toEqual([1, 'KAFKA_STORAGE_ERROR', 1, 1]);
      expect(node.log.lines).toEqual([
        expect.stringMatching(
          /^error: t-1 cannot be used until this node is started again: .*injected fault/,
        ),
      ]);
    }
    fail(() => undefined);
    await using node = await embed({ disk, dataDir: directories });
    expect(await fetchEach(await node.connect())).toEqual([1, 1, 1, 1]);
  });

  it('whose own files fail go offline while the node runs', async () => {
    const { disk, fail } = faultyDisk();
    await using node = await embed({ disk, dataDir: directories });
    const connection = await filled(node);
    fail((operation, path) => (path === '/b/votes' && operation === 'sync' ? 'io' : undefined));
    const { topics } = await connection.call('CreateTopics', 5, {
      topics: [{ name: 'more', numPartitions: 2, replicationFactor: 1, assignments: [], configs: [] }],
      timeoutMs: 10_000,
    });
    expect(topics[0]!.errorCode).toBe(0);
    const lost = 'KAFKA_STORAGE_ERROR';
    expect(await produceEach(connection, 'second')).toEqual(['NONE', lost, 'NONE', lost]);
    expect(await fetchEach(connection)).toEqual([1, lost, 1, lost]);
    expect(node.log.lines.filter((line) => line.includes('is offline'))).toHaveLength(1);
  });

  it('refuse what a full disk has no room for, and stay', async () => {
    const { disk, fail } = faultyDisk();
    await using node = await embed({ disk, dataDir: directories });
    const connection = await filled(node);
    fail((operation, path) => (path.endsWith('/votes') && operation === 'write' ? 'no-space' : undefined));
    const create = () =>
      connection.call('CreateTopics', 5, {
        topics: [{ name: 'more', numPartitions: 2, replicationFactor: 1, assignments: [], configs: [] }],
        timeoutMs: 10_000,
      });
    expect(nameOf((await create()).topics[0]!.errorCode)).toBe('KAFKA_STORAGE_ERROR');
    expect(await produceEach(connection, 'second')).toEqual(['NONE', 'NONE', 'NONE', 'NONE']);
  });

  it('stop the node where the first fails, as that holds the metadata', async () => {
    const { disk, fail } = faultyDisk();
    await using node = await embed({ disk, dataDir: directories });
    const connection = await filled(node);
    fail((operation, path) => (path === '/a/votes' && operation === 'sync' ? 'io' : undefined));
    const created = connection.call('CreateTopics', 5, {
      topics: [{ name: 'more', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }],
      timeoutMs: 10_000,
    });
    const ended = created.then(
      () => undefined,
      () => undefined,
    );
    const failure = await node.broker.whenFailed;
    await ended;
    await connection.ended;
    expect(failure).toBeInstanceOf(StartError);
    expect(failure.message).toMatch(/^the data directory \/a, which holds the metadata log, has failed: /);
    expect(node.log.lines.filter((line) => line.startsWith('error: this node stops: '))).toHaveLength(1);
  });

  it('of which the first cannot be read are no start', async () => {
    const { disk, fail } = faultyDisk();
    fail(unreadable('/a'));
    await expect(embed({ disk, dataDir: directories })).rejects.toMatchObject({
      code: 'directory-not-usable',
    });
  });

  it('that are offline are told by health and metrics', async () => {
    const { disk, fail } = faultyDisk();
    {
      await using node = await embed({ disk, dataDir: directories });
      await filled(node);
    }
    fail(unreadable('/b'));
    await using node = await embed({ disk, dataDir: directories, httpPort: 0 });
    const http = `http://127.0.0.1:${node.broker.httpPort}`;
    const ready = await fetch(`${http}/health/ready`);
    expect([ready.status, await ready.json()]).toEqual([
      200,
      {
        status: 'ready',
        offlineDirectories: [{ path: '/b', reason: expect.stringContaining('injected fault') }],
        offlinePartitions: ['t-1', 't-3'],
        damagedPartitions: [],
      },
    ]);
    const metrics = await (await fetch(`${http}/metrics`)).text();
    const figure = (name: string) => new RegExp(`^${name} (\\d+)$`, 'm').exec(metrics)?.[1];
    expect(figure('kappalog_data_directories')).toBe('2');
    expect(figure('kappalog_data_directories_offline')).toBe('1');
    expect(figure('kappalog_partitions')).toBe('2');
    expect(figure('kappalog_partitions_offline')).toBe('2');
  });

  it('must have the one with the metadata first, and be of one cluster', async () => {
    const disk = new MemoryDisk();
    for (const dataDir of [directories, ['/c']]) await (await embed({ disk, dataDir })).broker.close();
    await expect(embed({ disk, dataDir: ['/b', '/a'] })).rejects.toMatchObject({
      code: 'bad-setting',
      message: '/a holds the metadata log of this node, so it has to stand first among the data directories',
    });
    await expect(embed({ disk, dataDir: ['/c', '/b'] })).rejects.toMatchObject({
      code: 'foreign-directory',
    });
    await expect(embed({ disk, dataDir: ['/a', '/a'] })).rejects.toMatchObject({ code: 'bad-setting' });
    const both = { disk, dataDir: ['/a'], settings: { 'log.dirs': '/a' } };
    await expect(embed(both)).rejects.toMatchObject({ code: 'bad-setting' });
  });

  it('may be named by the settings of Kafka, and are shown by them', async () => {
    const disk = new MemoryDisk();
    await using node = await embed({ disk, settings: { 'log.dirs': '/a,/b' } });
    const connection = await filled(node);
    expect(await placesOn(disk)).toEqual({ '/a': ['t-0', 't-2'], '/b': ['t-1', 't-3'] });
    const { results } = await connection.call('DescribeConfigs', 1, {
      resources: [{ resourceType: 4, resourceName: '1', configurationKeys: ['log.dirs'] }],
    });
    expect(results[0]!.configs.map(({ value }) => value)).toEqual(['/a,/b']);
  });

  it('with two copies of a partition use the one that the metadata names and set the other aside', async () => {
    const disk = new MemoryDisk();
    {
      await using node = await embed({ disk, dataDir: directories });
      await filled(node);
    }
    const metadata = await disk.open('/a/t-0/partition.metadata', 'read');
    const bytes = Buffer.alloc(await metadata.size());
    await metadata.read(bytes, 0);
    await disk.makeDirectory('/b/t-0');
    const copy = await disk.open('/b/t-0/partition.metadata', 'create');
    await copy.write([bytes], 0);
    await using node = await embed({ disk, dataDir: directories });
    expect(await fetchEach(await node.connect())).toEqual([1, 1, 1, 1]);
    expect(node.log.lines).toEqual(['warn: the directory /b/t-0 was set aside: /a has the copy that counts']);
    const strays = (await disk.list('/b')).filter((name) => name.startsWith('t-0'));
    expect(strays).toEqual([expect.stringMatching(/^t-0\.[\w-]{22}-stray$/)]);
  });

  it('with a partition moved by hand to another directory find it there', async () => {
    const disk = new MemoryDisk();
    {
      await using node = await embed({ disk, dataDir: directories });
      await filled(node);
    }
    await disk.rename('/b/t-1', '/a/t-1');
    for (const dataDir of [directories, ['/a']]) {
      await using node = await embed({ disk, dataDir });
      const found = await fetchEach(await node.connect());
      expect(found).toEqual([1, 1, 1, dataDir.length === 2 ? 1 : 'KAFKA_STORAGE_ERROR']);
    }
  });
});

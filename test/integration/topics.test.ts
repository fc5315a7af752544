import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { startBroker } from '../../broker/index.ts';
import { DiskError } from '../../platform/disk.ts';
import { MemoryDisk } from '../../platform/memory-disk.ts';
import { ErrorCode } from '../../protocol/index.ts';
import { createTopic, DiskGate, embed, produceOf, produceVersion } from './embedded.ts';
import { WireConnection } from './wire-connection.ts';

describe('a topic that is deleted while its log rolls', () => {
  it('goes, and its name can be used again', async () => {
    const gate = new DiskGate();
    await using node = await embed({ gate });
    const connection = await node.connect();
    const topic = {
      name: 't',
      numPartitions: 1,
      replicationFactor: 1,
      assignments: [],
      configs: [{ name: 'segment.bytes', value: '1048576' }],
    };
    const create = { topics: [topic], timeoutMs: 10_000 };
    expect((await connection.call('CreateTopics', 5, create)).topics[0]!.errorCode).toBe(0);
    const value = 'x'.repeat(400_000);
    const held = gate.hold((operation, path) => operation === 'sync' && /\/t-0\/.*\.log$/.test(path));
    const writer = await node.connect();
    await writer.call('Produce', produceVersion, produceOf('t', [value], { acks: 1 }));
    await held;
    await writer.call('Produce', produceVersion, produceOf('t', [value], { acks: 1 }));
    const rolled = writer.call('Produce', produceVersion, produceOf('t', [value], { acks: 1 }));
    await connection.call('DeleteTopics', 5, { topicNames: ['t'], timeoutMs: 10_000 });
    const answer = await rolled;
    expect(answer.responses[0]!.partitionResponses[0]!.errorCode).toBe(ErrorCode.NOT_LEADER_OR_FOLLOWER);
    // By then the log is being closed, and asks for no more syncs.
    for (let i = 0; i < 5; i++) await connection.call('ApiVersions', 0, {});
    gate.open();
    expect((await connection.call('CreateTopics', 5, create)).topics[0]!.errorCode).toBe(0);
  });
});

describe('a topic whose replicas cannot all be opened', () => {
  it('leaves no file open, and tells why', async () => {
    let openFiles = 0;
    let isScarce = false;
    const disk = new MemoryDisk({
      faults: (operation, path) =>
        isScarce && operation === 'open' && path.includes('/t-29/') ? 'too-many-open-files' : undefined,
    });
    const open = disk.open.bind(disk);
    disk.open = async (path, mode) => {
      const file = await open(path, mode);
      openFiles++;
      const close = file.close.bind(file);
      file.close = () => {
        openFiles--;
        return close();
      };
      return file;
    };
    await using node = await embed({ disk });
    const connection = await node.connect();
    const before = openFiles;
    isScarce = true;
    const { topics } = await connection.call('CreateTopics', 5, {
      topics: [{ name: 't', numPartitions: 30, replicationFactor: 1, assignments: [], configs: [] }],
      timeoutMs: 10_000,
    });
    expect(topics[0]!.errorCode).toBe(ErrorCode.KAFKA_STORAGE_ERROR);
    expect(topics[0]!.errorMessage).toContain("'t' exists, but its replicas could not be opened");
    expect(openFiles).toBe(before);
    await expect(disk.open('/kappalog/t-29/partition.metadata', 'read')).rejects.toThrow(DiskError);
  });
});

describe('a topic with a name of 249 characters', () => {
  it('leaves nothing on the disk when it is deleted', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'kappalog-topics-'));
    const name = 'n'.repeat(249);
    try {
      await using broker = await startBroker({ port: 0, dataDir });
      await using connection = await WireConnection.open(broker.port);
      await createTopic(connection, name, 2);
      await connection.call('DeleteTopics', 5, { topicNames: [name], timeoutMs: 10_000 });
      // A topic of that name waits for the end of the one before.
      await createTopic(connection, name, 1);
      expect((await readdir(dataDir)).filter((entry) => entry.startsWith('n'))).toEqual([`${name}-0`]);
    } finally {
      await rm(dataDir, { recursive: true, force: true });
    }
  });
});

describe('a topic of which one replica cannot be removed', () => {
  it('has its other replicas removed, and is told of in the log', async () => {
    const disk = new MemoryDisk({
      faults: (operation, path) => (operation === 'rename' && path.endsWith('/t-0') ? 'io' : undefined),
    });
    await using node = await embed({ disk });
    const connection = await node.connect();
    await createTopic(connection, 't', 3);
    await connection.call('DeleteTopics', 5, { topicNames: ['t'], timeoutMs: 10_000 });
    await createTopic(connection, 'u');
    const told = 'error: the replicas of a topic could not be opened or removed';
    while (!node.log.lines.includes(told)) await connection.call('ApiVersions', 0, {});
    expect((await disk.list('/kappalog')).filter((entry) => entry.startsWith('t-'))).toEqual(['t-0']);
  });
});

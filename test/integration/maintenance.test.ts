/** What a node does to its logs by itself: retention, compaction, scrubbing; and how a damaged log is served. */
import { describe, expect, it } from 'vitest';
import type { DiskErrorCode } from '../../platform/disk.ts';
import { MemoryDisk } from '../../platform/memory-disk.ts';
import { readWholeFile } from '../../platform/whole-files.ts';
import { batchField, decodeBatch, encodeBatch, ErrorCode, iterateBatches } from '../../protocol/index.ts';
import { embed, fetchOf, fetchVersion, produceVersion } from './embedded.ts';
import type { Embedded } from './embedded.ts';
import type { WireConnection } from './wire-connection.ts';

/** At once and all the time. */
const settings = {
  'log.initial.task.delay.ms': '0',
  'log.retention.check.interval.ms': '1',
  'log.cleaner.backoff.ms': '0',
};
/** No maintenance but what a test asks for. */
const quiet = { 'log.initial.task.delay.ms': '3600000' };

interface KeyValue {
  readonly key: string;
  readonly value: string | null;
}

async function createTopic(
  connection: WireConnection,
  name: string,
  configs: Readonly<Record<string, string>>,
): Promise<void> {
  const { topics } = await connection.call('CreateTopics', 5, {
    topics: [
      {
        name,
        numPartitions: 1,
        replicationFactor: 1,
        assignments: [],
        configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
      },
    ],
    timeoutMs: 10_000,
  });
  expect(topics[0]!.errorMessage).toBeNull();
}

async function produce(
  connection: WireConnection,
  topic: string,
  records: readonly KeyValue[],
  timestamp = Date.now(),
): Promise<string> {
  const batch = encodeBatch(
    records.map(({ key, value }) => ({
      timestamp,
      key: Buffer.from(key),
      value: value === null ? null : Buffer.from(value),
    })),
  );
  const { responses } = await connection.call('Produce', produceVersion, {
    transactionalId: null,
    acks: -1,
    timeoutMs: 10_000,
    topicData: [{ name: topic, partitionData: [{ index: 0, records: batch }] }],
  });
  return nameOf(responses[0]!.partitionResponses[0]!.errorCode);
}

/** One record in each batch, so that segments of a few hundred bytes hold a few of them. */
async function fill(connection: WireConnection, topic: string, count: number, timestamp?: number) {
  for (let at = 0; at < count; at++) {
    const record = { key: `k${at}`, value: 'x'.repeat(50) };
    expect(await produce(connection, topic, [record], timestamp)).toBe('NONE');
  }
}

function nameOf(code: number): string {
  return Object.entries(ErrorCode).find(([, number]) => number === code)![0];
}

async function offsetAt(connection: WireConnection, topic: string, timestamp: -1 | -2): Promise<number> {
  const { topics } = await connection.call('ListOffsets', 5, {
    replicaId: -1,
    isolationLevel: 0,
    topics: [{ name: topic, partitions: [{ partitionIndex: 0, timestamp, currentLeaderEpoch: -1 }] }],
  });
  const { errorCode, offset } = topics[0]!.partitions[0]!;
  expect(nameOf(errorCode)).toBe('NONE');
  return offset;
}

async function fetchFrom(connection: WireConnection, topic: string, fetchOffset: number) {
  const answer = await connection.call('Fetch', fetchVersion, fetchOf(topic, [{ fetchOffset }]));
  const { errorCode, records } = answer.responses[0]!.partitions[0]!;
  const batches = [...iterateBatches(records ?? Buffer.alloc(0))];
  return {
    error: nameOf(errorCode),
    nextOffset: (batches.at(-1)?.header.lastOffset ?? fetchOffset - 1) + 1,
    records: batches.flatMap(({ bytes }) =>
      [...decodeBatch(bytes)].map(({ offset, key, value }) => ({
        offset,
        text: `${key?.toString()}=${value?.toString()}`,
      })),
    ),
  };
}

async function readAll(connection: WireConnection, topic: string) {
  const end = await offsetAt(connection, topic, -1);
  const all = [];
  for (let offset = 0; offset < end;) {
    const { nextOffset, records } = await fetchFrom(connection, topic, offset);
    all.push(...records);
    offset = nextOffset;
  }
  return all;
}

/** Asks again and again, each time over the wire, so that everything else gets its turn; the test's own time limit ends it. */
async function until<T>(ask: () => Promise<T>, isReached: (answer: T) => boolean): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (isReached(answer)) return answer;
  }
}

async function figure(node: Embedded, name: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${node.broker.httpPort}/metrics`);
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(await response.text())?.[1]);
}

describe('retention', () => {
  it('keeps so many bytes of a partition, and reads begin where it begins', async () => {
    await using node = await embed({ settings, httpPort: 0 });
    const connection = await node.connect();
    await createTopic(connection, 't', { 'internal.segment.bytes': '500', 'retention.bytes': '1000' });
    await fill(connection, 't', 40);
    const start = await until(
      () => offsetAt(connection, 't', -2),
      (offset) => offset >= 28,
    );
    expect(start).toBeLessThan(37);
    expect((await fetchFrom(connection, 't', start)).records[0]?.offset).toBe(start);
    expect((await fetchFrom(connection, 't', start - 1)).error).toBe('OFFSET_OUT_OF_RANGE');
    expect(await figure(node, 'kappalog_retention_segments_total')).toBeGreaterThan(4);
    expect(await figure(node, 'kappalog_retention_bytes_total')).toBeGreaterThan(2000);
    expect(node.log.lines).toEqual([]);
  });

  it('deletes all that is old enough, the segment that is written to as well', async () => {
    await using node = await embed({ settings: { ...settings, 'log.retention.minutes': '1' } });
    const connection = await node.connect();
    await createTopic(connection, 't', {});
    await createTopic(connection, 'kept', { 'retention.ms': '-1' });
    for (const topic of ['t', 'kept']) await fill(connection, topic, 5, Date.now() - 3_600_000);
    await until(
      () => offsetAt(connection, 't', -2),
      (offset) => offset === 5,
    );
    await fill(connection, 't', 1);
    expect((await fetchFrom(connection, 't', 5)).records).toHaveLength(1);
    expect(await offsetAt(connection, 'kept', -2)).toBe(0);
  });

  it('of one log that fails does not keep others from theirs', async () => {
    const faults = (operation: string, path: string): DiskErrorCode | undefined =>
      operation === 'rename' && /\/bad-0\/\d+\.log/.test(path) ? 'io' : undefined;
    await using node = await embed({ settings, disk: new MemoryDisk({ faults }) });
    const connection = await node.connect();
    const configs = { 'internal.segment.bytes': '500', 'retention.ms': '1' };
    for (const topic of ['bad', 'good']) {
      await createTopic(connection, topic, configs);
      await fill(connection, topic, 10, 1_000_000).catch(() => undefined);
    }
    await until(
      () => offsetAt(connection, 'good', -2),
      (offset) => offset === 10,
    );
    expect(node.log.lines.some((line) => line.includes('bad-0'))).toBe(true);
  });
});

describe('compaction', () => {
  it('keeps the last value of each key, at its offset, while the topic is written to', async () => {
    const disk = new MemoryDisk();
    const node = await embed({ disk, settings, httpPort: 0 });
    const connection = await node.connect();
    await createTopic(connection, 't', {
      'cleanup.policy': 'compact',
      'internal.segment.bytes': '300',
      'min.cleanable.dirty.ratio': '0.01',
    });
    let written = 0;
    // Segments are merged by the sizes that they had before a cleaning: few are left only while more comes.
    do {
      for (const key of ['k0', 'k1', 'k2']) {
        await produce(connection, 't', [{ key, value: `v${written++}` }]);
      }
    } while (written < 30 || (await figure(node, 'kappalog_log_segments')) > 4);
    expect(await figure(node, 'kappalog_cleaner_logs_total')).toBeGreaterThan(0);
    expect(await produce(connection, 't', [{ key: 'k9', value: null }])).toBe('NONE');
    expect(node.log.lines).toEqual([]);
    await node[Symbol.asyncDispose]();
    // What was just written is still in memory as it was; another life reads what the disk has.
    await using next = await embed({ disk, settings: quiet });
    const reading = await next.connect();
    const records = await readAll(reading, 't');
    expect(records.length).toBeLessThan(13);
    expect(records.pop()?.text).toBe('k9=undefined');
    expect(records.slice(-3).map(({ text }) => text)).toEqual([
      `k0=v${written - 3}`,
      `k1=v${written - 2}`,
      `k2=v${written - 1}`,
    ]);
    for (const { offset, text } of records) expect(text).toBe(`k${offset % 3}=v${offset}`);
    expect(await offsetAt(reading, 't', -2)).toBe(0);
  });

  it('and deletion both happen with cleanup.policy=compact,delete', async () => {
    await using node = await embed({ settings, httpPort: 0 });
    const connection = await node.connect();
    await createTopic(connection, 't', {
      'cleanup.policy': 'compact,delete',
      'internal.segment.bytes': '300',
      'min.cleanable.dirty.ratio': '0.01',
      'retention.ms': '1800000',
    });
    // Each key once, so that compaction alone would keep all of them.
    await fill(connection, 't', 10, Date.now() - 3_600_000);
    await until(
      () => offsetAt(connection, 't', -2),
      (offset) => offset === 10,
    );
    let written = 10;
    do {
      await produce(connection, 't', [{ key: `k${written % 3}`, value: `v${written}` }]);
      written++;
    } while (written < 40 || (await figure(node, 'kappalog_log_segments')) > 5);
    expect(await figure(node, 'kappalog_cleaner_logs_total')).toBeGreaterThan(0);
    expect([await offsetAt(connection, 't', -2), await offsetAt(connection, 't', -1)]).toEqual([10, written]);
    expect(node.log.lines).toEqual([]);
  });

  it('is turned off by log.cleaner.enable, and ends before a topic goes', async () => {
    await using node = await embed({ settings: { ...settings, 'log.cleaner.enable': 'false' }, httpPort: 0 });
    const connection = await node.connect();
    await createTopic(connection, 't', { 'cleanup.policy': 'compact', 'internal.segment.bytes': '300' });
    await fill(connection, 't', 20);
    await until(
      () => figure(node, 'kappalog_retention_rounds_total'),
      (rounds) => rounds > 3,
    );
    expect(await figure(node, 'kappalog_cleaner_logs_total')).toBe(0);
    await using busy = await embed({ settings });
    const other = await busy.connect();
    for (let round = 0; round < 5; round++) {
      const topic = `t${round}`;
      await createTopic(other, topic, { 'cleanup.policy': 'compact', 'internal.segment.bytes': '300' });
      await fill(other, topic, 10);
      const { responses } = await other.call('DeleteTopics', 5, { topicNames: [topic], timeoutMs: 10_000 });
      expect(responses[0]!.errorCode).toBe(0);
    }
    expect(busy.log.lines).toEqual([]);
  });
});

describe('scrubbing', () => {
  it('finds rot in a segment that nobody reads, and says so', async () => {
    const disk = new MemoryDisk();
    {
      await using node = await embed({ disk, settings: quiet });
      const connection = await node.connect();
      await createTopic(connection, 't', { 'internal.segment.bytes': '500' });
      await fill(connection, 't', 20);
    }
    disk.flipBit('/kappalog/t-0/00000000000000000000.log', 300, 3);
    await using node = await embed({
      disk,
      httpPort: 0,
      settings: { ...settings, 'kappalog.scrub.bytes.per.second': '1000000000' },
    });
    await until(
      () => figure(node, 'kappalog_scrubbed_damaged_segments_total'),
      (count) => count > 0,
    );
    expect(node.log.lines).toHaveLength(1);
    expect(node.log.lines[0]).toMatch(
      /^error: the log of t-0 is damaged on the disk \(\/kappalog\/t-0\/0{20}\.log at byte \d+: /,
    );
    expect(await figure(node, 'kappalog_partitions_damaged')).toBe(1);
    const health = await fetch(`http://127.0.0.1:${node.broker.httpPort}/health/ready`);
    expect(await health.json()).toMatchObject({ damagedPartitions: ['t-0'], offlinePartitions: [] });
    // What is whole is read and written as before.
    const connection = await node.connect();
    expect((await fetchFrom(connection, 't', 15)).records[0]?.offset).toBe(15);
    expect(await produce(connection, 't', [{ key: 'k', value: 'v' }])).toBe('NONE');
  });
});

describe('scrubbing of indexes', () => {
  it('makes one that is wrong again, which is no damage', async () => {
    const disk = new MemoryDisk();
    {
      await using node = await embed({ disk, settings: quiet });
      const connection = await node.connect();
      await createTopic(connection, 't', { 'internal.segment.bytes': '500' });
      await fill(connection, 't', 20);
    }
    const path = '/kappalog/t-0/00000000000000000000.timeindex';
    const before = await readWholeFile(disk, path);
    disk.flipBit(path, 3, 3);
    await using node = await embed({
      disk,
      httpPort: 0,
      settings: { ...settings, 'kappalog.scrub.bytes.per.second': '1000000000' },
    });
    await until(
      () => figure(node, 'kappalog_scrubbed_repaired_segments_total'),
      (count) => count > 0,
    );
    expect(node.log.lines).toEqual([
      expect.stringMatching(/^warn: an index of t-0 was wrong and has been made again \(\S+0\.timeindex, /),
    ]);
    expect(await readWholeFile(disk, path)).toEqual(before);
    expect(await figure(node, 'kappalog_partitions_damaged')).toBe(0);
    expect(await figure(node, 'kappalog_scrubbed_damaged_segments_total')).toBe(0);
  });
});

/** Two partitions after a clean stop. */
async function stoppedNode(): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  const first = await embed({ disk, settings: quiet });
  const writing = await first.connect();
  await createTopic(writing, 't', {});
  await createTopic(writing, 'other', {});
  await fill(writing, 't', 10);
  await first.broker.close();
  await first[Symbol.asyncDispose]();
  return disk;
}

describe('a log that is damaged below what was durable', () => {
  it('is read up to the damage and takes no writes, and everything says so', async () => {
    let disk = await stoppedNode();
    const path = '/kappalog/t-0/00000000000000000000.log';
    const file = await disk.open(path, 'read');
    disk.flipBit(path, (await file.size()) - 200, 1);
    await disk.remove('/kappalog/t-0/replica-state');
    disk = disk.kill();

    await using node = await embed({ disk, settings: quiet, httpPort: 0 });
    const connection = await node.connect();
    const end = await offsetAt(connection, 't', -1);
    expect(end).toBeGreaterThan(5);
    expect(end).toBeLessThan(10);
    const { error, records } = await fetchFrom(connection, 't', 0);
    expect([error, records.map(({ offset }) => offset)]).toEqual([
      'NONE',
      [...Array.from({ length: end }).keys()],
    ]);
    expect((await fetchFrom(connection, 't', end)).error).toBe('NONE');
    expect(await produce(connection, 't', [{ key: 'k', value: 'v' }])).toBe('KAFKA_STORAGE_ERROR');
    expect(await produce(connection, 'other', [{ key: 'k', value: 'v' }])).toBe('NONE');
    const deletion = await connection.call('DeleteRecords', 2, {
      topics: [{ name: 't', partitions: [{ partitionIndex: 0, offset: 1 }] }],
      timeoutMs: 1000,
    });
    expect(nameOf(deletion.topics[0]!.partitions[0]!.errorCode)).toBe('KAFKA_STORAGE_ERROR');
    const { topics } = await connection.call('Metadata', 9, { topics: [{ name: 't' }] });
    expect(topics[0]!.partitions[0]).toMatchObject({
      errorCode: 0,
      leaderId: 1,
      isrNodes: [],
      offlineReplicas: [1],
    });
    expect(node.log.lines).toEqual([
      'error: the log of t-0 is damaged: it takes no writes, and is read up to the damage',
    ]);
    expect(await figure(node, 'kappalog_partitions_damaged')).toBe(1);
    expect(await figure(node, 'kappalog_partitions_failed')).toBe(0);
  });

  it.each([3, 10, 16, 22, 45])(
    'takes no others with it where what makes its producers has rotted: byte %i of a header',
    async (at) => {
      let disk = await stoppedNode();
      const path = '/kappalog/t-0/00000000000000000000.log';
      const bytes = await readWholeFile(disk, path);
      // The first batch of records, after the entry that begins the term.
      disk.flipBit(path, batchField.sizeBytes(bytes) + at, 2);
      for (const name of await disk.list('/kappalog/t-0'))
        if (name.endsWith('.snapshot')) await disk.remove(`/kappalog/t-0/${name}`);
      disk = disk.kill();
      await using node = await embed({ disk, settings: quiet });
      const connection = await node.connect();
      expect(await offsetAt(connection, 't', -1)).toBe(0);
      expect(await produce(connection, 't', [{ key: 'k', value: 'v' }])).toBe('KAFKA_STORAGE_ERROR');
      expect(await produce(connection, 'other', [{ key: 'k', value: 'v' }])).toBe('NONE');
      expect(node.log.lines).toEqual([
        'error: the log of t-0 is damaged: it takes no writes, and is read up to the damage',
      ]);
    },
  );
});

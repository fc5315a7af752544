/** A disk that refuses one log, as clients see it: that partition is offline with a clear state, the others serve. */
import { describe, expect, it } from 'vitest';
import { StartError } from '../../broker/index.ts';
import type { DiskErrorCode } from '../../platform/disk.ts';
import { MemoryDisk } from '../../platform/memory-disk.ts';
import { SeededRandom } from '../../platform/seeded-random.ts';
import { ErrorCode } from '../../protocol/index.ts';
import { createTopic, embed, fetchOf, fetchVersion, produceOf, produceVersion } from './embedded.ts';
import type { WireConnection } from './wire-connection.ts';

async function produce(connection: WireConnection, value: string, partition: number): Promise<string> {
  const request = produceOf('t', [value], { partition });
  const { responses } = await connection.call('Produce', produceVersion, request);
  return nameOf(responses[0]!.partitionResponses[0]!.errorCode);
}

/** The error, or the end of what can be read. */
async function fetch0(connection: WireConnection, partition: number): Promise<string | number> {
  const request = fetchOf('t', [{ partition, fetchOffset: 0 }]);
  const answer = await connection.call('Fetch', fetchVersion, request);
  const { errorCode, highWatermark } = answer.responses[0]!.partitions[0]!;
  return errorCode === 0 ? highWatermark : nameOf(errorCode);
}

function nameOf(code: number): string {
  return Object.entries(ErrorCode).find(([, number]) => number === code)![0];
}

const cases = (['io', 'no-space', 'read-only'] as const).flatMap((code) =>
  (['write', 'sync'] as const).map((operation) => ({ code, operation })),
);

describe('a log whose disk answers', () => {
  it.each(cases)(
    '$code to a $operation is offline until the next start, which has all that was acknowledged',
    async ({ code, operation: failing }) => {
      const faults = new Map<string, DiskErrorCode>();
      const disk = new MemoryDisk({
        crashes: new SeededRandom('disk errors'),
        faults: (operation, path) =>
          operation === failing && /\/t-0\/\d+\.log$/.test(path) ? faults.get('t-0') : undefined,
      });
      const lost = 'KAFKA_STORAGE_ERROR';
      {
        await using node = await embed({ disk, httpPort: 0 });
        const connection = await node.connect();
        await createTopic(connection, 't', 2);
        for (const partition of [0, 1]) expect(await produce(connection, 'kept', partition)).toBe('NONE');
        faults.set('t-0', code);
        expect(await produce(connection, 'never acknowledged', 0)).toBe(lost);
        // The disk is as it was; what has failed stays so until it is opened again.
        faults.clear();
        expect(await produce(connection, 'refused', 0)).toBe(lost);
        expect(await fetch0(connection, 0)).toBe(lost);
        expect([await produce(connection, 'more', 1), await fetch0(connection, 1)]).toEqual(['NONE', 2]);
        const { topics } = await connection.call('Metadata', 9, { topics: [{ name: 't' }] });
        const places = topics[0]!.partitions.map((each) => [each.partitionIndex, nameOf(each.errorCode)]);
        expect(places.toSorted(([left], [right]) => Number(left) - Number(right))).toEqual([
          [0, 'LEADER_NOT_AVAILABLE'],
          [1, 'NONE'],
        ]);
        const metrics = await (await fetch(`http://127.0.0.1:${node.broker.httpPort}/metrics`)).text();
        expect(metrics).toMatch(/^kappalog_partitions_failed 1$/m);
        const ready = await fetch(`http://127.0.0.1:${node.broker.httpPort}/health/ready`);
        expect(await ready.json()).toMatchObject({ offlinePartitions: ['t-0'], damagedPartitions: [] });
        expect(node.log.lines).toEqual([
          expect.stringMatching(
            /^error: the log of t-0 has failed: it takes no more writes until .*injected/,
          ),
        ]);
      }
      // The power fails too. What was answered with an error may be there or not, all else is.
      await using node = await embed({ disk: disk.crash() });
      const connection = await node.connect();
      expect([1, 2]).toContain(await fetch0(connection, 0));
      expect(await fetch0(connection, 1)).toBe(2);
      expect(await produce(connection, 'again', 0)).toBe('NONE');
    },
  );
});

const inTheMiddle = [
  { what: 'the count of its starts', path: /\/incarnation/ },
  { what: 'the metadata log', path: /\/__cluster_metadata-0\/\d+\.log$/ },
];

describe('a start whose disk refuses', () => {
  it.each(inTheMiddle)('$what ends with a sentence, and succeeds once there is room', async ({ path }) => {
    let isFull = true;
    const disk = new MemoryDisk({
      faults: (operation, file) =>
        isFull && path.test(file) && (operation === 'write' || operation === 'open') ? 'no-space' : undefined,
    });
    const error = await embed({ disk }).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(StartError);
    expect(error).toMatchObject({ code: 'directory-not-usable' });
    isFull = false;
    await using node = await embed({ disk });
    expect(await createTopic(await node.connect(), 't', 1)).toBeUndefined();
  });
});

import { describe, expect, it } from 'vitest';
import { movesUnderWay, planDirectories } from '../../../../cli/cluster/directory-plan.ts';
import type { DirectoryRequest } from '../../../../cli/cluster/directory-plan.ts';
import { CliError } from '../../../../cli/cli-error.ts';
import { KafkaError } from '../../../../client/index.ts';
import type { LogDirDescription } from '../../../../client/index.ts';

/** Of node 2. Partitions as `t:0 100`, or `t:0 100 of 300` for a copy that is under way and lacks 200 records. */
function directory(path: string, partitions: readonly string[], usableBytes = 10_000): LogDirDescription {
  const described = partitions.map((text) => {
    const [, topic = '', partition, size, , end] = /^(\w+):(\d+) (\d+)( of (\d+))?$/.exec(text) ?? [];
    const isFuture = end !== undefined;
    const offsetLag = isFuture ? Number(end) - Number(size) : 0;
    return { topic, partition: Number(partition), sizeBytes: Number(size), offsetLag, isFuture };
  });
  return { broker: 2, path, error: null, totalBytes: 20_000, usableBytes, partitions: described };
}

function failed(path: string): LogDirDescription {
  const error = new KafkaError('KAFKA_STORAGE_ERROR', 'it cannot be read');
  return { broker: 2, path, error, totalBytes: null, usableBytes: null, partitions: [] };
}

function plan(
  directories: readonly LogDirDescription[],
  { topics = [], from, to }: Partial<Omit<DirectoryRequest, 'node' | 'directories'>>,
): string[] {
  const moves = planDirectories({ node: 2, directories, topics, from, to: to ?? [] });
  expect(moves.every(({ node }) => node === 2)).toBe(true);
  return moves.map(
    ({ topic, partition, from: old, to: now, sizeBytes }) =>
      `${topic}:${partition} ${old} ${now} ${sizeBytes}`,
  );
}

function refusal(
  ...args: Parameters<typeof plan>
): readonly [code: string, exitCode: number, message: string] {
  try {
    plan(...args);
  } catch (error) {
    if (error instanceof CliError) return [error.code, error.exitCode, error.message];
    throw error;
  }
  throw new Error('Nothing was refused.');
}

const two = [directory('/a', ['t:0 100', 't:1 200', 'u:0 50']), directory('/b', ['t:2 300'])];

describe('a plan of moves between directories', () => {
  it('moves what is named and does not lie there', () => {
    const t = { topic: 't', partitions: undefined };
    expect(plan(two, { topics: [t], to: ['/b'] })).toEqual(['t:0 /a /b 100', 't:1 /a /b 200']);
    expect(plan(two, { topics: [{ topic: 't', partitions: [1, 2] }], to: ['/b/'] })).toEqual([
      't:1 /a /b 200',
    ]);
    expect(plan(two, { topics: [t], from: '/b', to: ['/a'] })).toEqual(['t:2 /b /a 300']);
    expect(plan(two, { topics: [{ topic: 't', partitions: [2] }], to: ['/b'] })).toEqual([]);
  });

  it('empties a directory into those where least lies', () => {
    const three = [
      directory('/a', ['t:0 100', 't:1 200', 't:2 400', 'u:0 50']),
      directory('/b', ['t:3 300']),
      directory('/c', []),
    ];
    expect(plan(three, { from: '/a', to: ['/b', '/c'] })).toEqual([
      't:0 /a /c 100',
      't:1 /a /b 200',
      't:2 /a /c 400',
      'u:0 /a /b 50',
    ]);
  });

  it('goes on with what is under way to one of them, and redirects what goes elsewhere', () => {
    const three = [
      directory('/a', ['t:0 300', 't:1 300']),
      directory('/b', ['t:0 100 of 300']),
      directory('/c', ['t:1 100 of 300', 'u:0 2000']),
    ];
    expect(plan(three, { from: '/a', to: ['/b', '/c'] })).toEqual(['t:0 /a /b 300', 't:1 /a /c 300']);
    expect(plan(three, { from: '/a', to: ['/b'] })).toEqual(['t:0 /a /b 300', 't:1 /a /b 300']);
  });

  it('is refused where the disk is too small, but for what has been copied', () => {
    const full = [directory('/a', ['t:0 300', 't:1 300']), directory('/b', [], 500)];
    expect(refusal(full, { from: '/a', to: ['/b'] })).toEqual([
      'NO_SPACE',
      1,
      '600 B would go to /b of node 2, which has 500 B free; nothing was done. Name fewer partitions, or more directories with --to.',
    ]);
    const begun = [directory('/a', ['t:0 300', 't:1 300']), directory('/b', ['t:0 100 of 300'], 500)];
    expect(plan(begun, { from: '/a', to: ['/b'] })).toHaveLength(2);
  });

  it.each([
    [
      { topics: [{ topic: 't', partitions: [7] }], to: ['/b'] },
      'REPLICA_NOT_AVAILABLE',
      3,
      /no replica of t-7;/,
    ],
    [
      { topics: [{ topic: 'v', partitions: undefined }], to: ['/b'] },
      'REPLICA_NOT_AVAILABLE',
      3,
      /of topic v;/,
    ],
    [{ from: '/a', to: ['/x'] }, 'LOG_DIR_NOT_FOUND', 3, /no data directory "\/x".* It has: \/a, \/b\.$/],
    [{ from: '/a', to: ['/b', '/a'] }, 'USAGE', 2, /both name \/a/],
  ] as const)('%j is refused with %s', (request, code, exitCode, message) => {
    expect(refusal(two, request)).toEqual([code, exitCode, expect.stringMatching(message)]);
  });

  it('uses no directory that has failed', () => {
    const broken = [two[0]!, failed('/b')];
    expect(refusal(broken, { from: '/a', to: ['/b'] })).toEqual([
      'KAFKA_STORAGE_ERROR',
      1,
      expect.stringMatching(/^Data directory \/b of node 2 cannot be used .* The log of the node says/),
    ]);
    const [code, , message] = refusal(broken, { topics: [{ topic: 't', partitions: [2] }], to: ['/a'] });
    expect([code, message]).toEqual([
      'REPLICA_NOT_AVAILABLE',
      expect.stringContaining('no replica of t-2 that can be used'),
    ]);
  });

  it('does not pass over what is about to leave', () => {
    const leaving = [directory('/a', ['t:0 300']), directory('/b', ['t:0 100 of 300'])];
    expect(refusal(leaving, { topics: [{ topic: 't', partitions: [0] }], to: ['/a'] })).toEqual([
      'MOVE_UNDER_WAY',
      1,
      't-0 lies in /a already and is on its way to /b; nothing was done. "kappalog cluster move t:0 --node 2 --cancel" keeps it where it is.',
    ]);
  });
});

describe('moves under way', () => {
  it('are those of which there is a copy, of each node for itself', () => {
    const other = { ...directory('/b', ['t:1 7', 't:0 5']), broker: 1 };
    expect(
      movesUnderWay([
        directory('/a', ['t:1 300', 't:0 200']),
        directory('/b', ['t:1 100 of 300', 't:0 0 of 90']),
        other,
      ]),
    ).toEqual([
      {
        node: 2,
        topic: 't',
        partition: 0,
        from: '/a',
        to: '/b',
        sizeBytes: 200,
        copiedBytes: 0,
        lagRecords: 90,
      },
      {
        node: 2,
        topic: 't',
        partition: 1,
        from: '/a',
        to: '/b',
        sizeBytes: 300,
        copiedBytes: 100,
        lagRecords: 200,
      },
    ]);
  });
});

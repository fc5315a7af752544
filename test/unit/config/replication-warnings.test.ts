import { expect, it } from 'vitest';
import { replicationWarnings, spreadOver } from '../../../broker/config/replication-warnings.ts';

/** Nodes as `rack/host`; `-` is none. */
function nodesOf(text: string) {
  const name = (part: string | undefined) => (part === undefined || part === '-' ? null : part);
  return text.split(' ').map((each) => {
    const [rack, host] = each.split('/');
    return { rack: name(rack), host: name(host) };
  });
}

function warned(nodes: string, replicas: number): string[] {
  return replicationWarnings('t', [spreadOver(nodesOf(nodes), replicas)]);
}

it('nothing is said of one replica, or of three on three machines in three racks', () => {
  expect(warned('-/-', 1)).toEqual([]);
  expect(warned('a/1 b/2 c/3', 3)).toEqual([]);
  expect(warned('-/1 -/2 -/3', 3)).toEqual([]);
  expect(warned('-/- -/- -/-', 3)).toEqual([]);
});

it('two replicas bear no failure', () => {
  const [sentence, ...rest] = warned('a/1 b/2 c/3', 2);
  expect(sentence).toMatch(/^t has two replicas of each partition: while either is away, nobody leads/);
  expect(rest).toEqual([]);
});

it('fewer machines than replicas are said, or else fewer racks', () => {
  const sentence = (where: string, domain: string) =>
    `t has 3 replicas of each partition and ${where} for them: the loss of one ${domain} can take a majority.`;
  expect(warned('-/1 -/1 -/1', 3)).toEqual([sentence('one machine', 'machine')]);
  expect(warned('a/1 a/1 b/2', 3)).toEqual([sentence('2 machines', 'machine')]);
  expect(warned('a/1 a/2 b/3', 3)).toEqual([sentence('2 racks', 'rack')]);
  // Where one has no rack, nobody knows.
  expect(warned('a/1 a/2 -/3', 3)).toEqual([]);
  expect(warned('a/1 a/1', 2)).toHaveLength(2);
});

it('a sentence that holds for many partitions is said once', () => {
  const spread = spreadOver(nodesOf('-/1 -/1 -/1'), 3);
  expect(replicationWarnings('t', [spread, spread, spread])).toHaveLength(1);
});

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  parseNodeIds,
  parseReassignmentFile,
  parseTopicSelections,
  reassignmentDocument,
} from '../../../../cli/cluster/reassignment-file.ts';

describe('a file for kafka-reassign-partitions', () => {
  it('is read as it is written', () => {
    const assignment = fc.record({
      topic: fc.constantFrom('a', 'b.c', '__consumer_offsets'),
      partition: fc.nat(1_000),
      replicas: fc.uniqueArray(fc.nat(20), { minLength: 1, maxLength: 7 }),
    });
    const assignments = fc.uniqueArray(assignment, {
      minLength: 1,
      selector: ({ topic, partition }) => `${topic}-${partition}`,
    });
    fc.assert(
      fc.property(assignments, (list) => {
        const text = JSON.stringify(reassignmentDocument(list));
        expect(parseReassignmentFile(text, 'plan.json')).toEqual(list);
      }),
    );
  });

  it('may leave the version out and name any directories', () => {
    const text = '{"partitions":[{"topic":"t","partition":0,"replicas":[1,2],"log_dirs":["any","any"]}]}';
    expect(parseReassignmentFile(text, 'f')).toEqual([{ topic: 't', partition: 0, replicas: [1, 2] }]);
  });

  it.each([
    ['{', 'f is no JSON'],
    ['[]', 'f has no list "partitions"'],
    ['{"version":2,"partitions":[]}', 'f has version 2; 1 is known.'],
    ['{"partitions":[]}', 'f has no partitions.'],
    ['{"partitions":[7]}', 'f, partition 0: an object'],
    ['{"partitions":[{"partition":0,"replicas":[1]}]}', '"topic" must be a name'],
    ['{"partitions":[{"topic":"t","partition":-1,"replicas":[1]}]}', '"partition" must be a whole number'],
    ['{"partitions":[{"topic":"t","partition":0,"replicas":[]}]}', '"replicas" must be a list'],
    ['{"partitions":[{"topic":"t","partition":0,"replicas":["1"]}]}', '"replicas" must be a list'],
    ['{"partitions":[{"topic":"t","partition":0,"replicas":[1,1]}]}', 'names a node more than once'],
    [
      '{"partitions":[{"topic":"t","partition":0,"replicas":[1],"log_dirs":["/d"]}]}',
      '"log_dirs" can only be "any"',
    ],
    [
      '{"partitions":[{"topic":"t","partition":0,"replicas":[1]},{"topic":"t","partition":0,"replicas":[2]}]}',
      'f has t-0 more than once.',
    ],
  ])('%s is refused', (text, message) => {
    expect(() => parseReassignmentFile(text, 'f')).toThrow(message);
    expect(() => parseReassignmentFile(text, 'f')).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });
});

describe('topics on the command line', () => {
  it('have all of their partitions, or those that are named, together', () => {
    expect(parseTopicSelections(['a', 'b:0-2,5', 'b:5,6', 'c:1', 'c'])).toEqual([
      { topic: 'a', partitions: undefined },
      { topic: 'b', partitions: [0, 1, 2, 5, 6] },
      { topic: 'c', partitions: undefined },
    ]);
    expect(parseTopicSelections(['c', 'c:1'])).toEqual([{ topic: 'c', partitions: undefined }]);
    expect(() => parseTopicSelections([':1'])).toThrow('names no topic');
    expect(() => parseTopicSelections(['a:'])).toThrow('--partitions takes numbers');
  });
});

describe('nodes on the command line', () => {
  it('are different numbers', () => {
    expect(parseNodeIds('3, 1,2', '--to')).toEqual([3, 1, 2]);
    for (const wrong of ['', '1,', '1,x', '1,1', '-1']) {
      expect(() => parseNodeIds(wrong, '--to')).toThrow('--to takes different node numbers');
    }
  });
});

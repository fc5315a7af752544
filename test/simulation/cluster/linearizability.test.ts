import {
  assert as property,
  array,
  constantFrom,
  integer,
  nat,
  property as forAll,
  record,
} from 'fast-check';
import { describe, expect, it } from 'vitest';
import { History, describeViolation } from './history.ts';
import { checkLinearizable, shortestFailing, shrink } from './linearizability.ts';
import type { Operation, Specification } from './linearizability.ts';
import { gappedSpecification, partitionSpecification } from './partition-specification.ts';
import type { PartitionInput, PartitionOperation, PartitionOutput } from './partition-specification.ts';

/** A register, as most of what is written on linearizability has it. */
type RegisterInput = { readonly write: number } | 'read';
type RegisterOperation = Operation<RegisterInput, number>;

const register: Specification<number, RegisterInput, number> = {
  initial: 0,
  step: (state, input, output) => {
    if (input !== 'read') return input.write;
    return output === undefined || output === state ? state : undefined;
  },
  isEqual: (left, right) => left === right,
};

/** Times are places in one order; without a second one there was no answer. */
function at<Input, Output>(
  client: string,
  [invokedAt, answeredAt = Infinity]: readonly [number, number?],
  input: Input,
  output?: Output,
): Operation<Input, Output> {
  return { client, input, output, invokedAt, answeredAt };
}

const append = (value: number, times: readonly [number, number?], offset?: number): PartitionOperation =>
  at('a', times, { kind: 'append', value, count: 1 } as const, offset === undefined ? undefined : { offset });
const read = (
  offset: number,
  times: readonly [number, number?],
  output: PartitionOutput,
): PartitionOperation => at('b', times, { kind: 'read', offset } as const, output);
const latest = (times: readonly [number, number?], offset: number): PartitionOperation =>
  at('c', times, { kind: 'list-latest' } as const, { offset });

function kindOf(operations: readonly PartitionOperation[]): string {
  return checkLinearizable(partitionSpecification(), operations).kind;
}

/** Every order of every choice of operations that has all with an answer: what the search must agree with. */
function isLinearizableByTrying<State, Input, Output>(
  specification: Specification<State, Input, Output>,
  left: readonly Operation<Input, Output>[],
  state = specification.initial,
): boolean {
  if (left.every(({ answeredAt }) => answeredAt === Infinity)) return true;
  const firstAnswer = Math.min(...left.map(({ answeredAt }) => answeredAt));
  return left.some((operation) => {
    if (operation.invokedAt > firstAnswer) return false;
    const next = specification.step(state, operation.input, operation.output);
    const others = left.filter((other) => other !== operation);
    return next !== undefined && isLinearizableByTrying(specification, others, next);
  });
}

/** Draws intervals, of which some never end, as one order of moments. */
const intervals = array(record({ from: nat(1000), length: integer({ min: 1, max: 400 }), isLost: nat(5) }), {
  minLength: 1,
  maxLength: 7,
}).map((drawn) => {
  const moments = drawn.flatMap(({ from, length }, place) => [
    { time: from, key: 2 * place },
    { time: from + length, key: 2 * place + 1 },
  ]);
  moments.sort((a, b) => a.time - b.time || a.key - b.key);
  const orderOf = new Map(moments.map(({ key }, order) => [key, order]));
  return drawn.map(({ isLost }, place) => ({
    invokedAt: orderOf.get(2 * place)!,
    answeredAt: isLost === 0 ? Infinity : orderOf.get(2 * place + 1)!,
  }));
});

describe('the search for an order', () => {
  it('finds one in which everybody has seen what he has seen', () => {
    const operations: RegisterOperation[] = [
      at('a', [1, 10], { write: 1 }),
      at('b', [2, 5], 'read', 1),
      at('c', [3, 4], 'read', 0),
      at('d', [6, 7], 'read', 1),
    ];
    const verdict = checkLinearizable(register, operations);
    expect(verdict).toMatchObject({ kind: 'linearizable' });
    const order = verdict.kind === 'linearizable' ? verdict.order.map(({ client }) => client) : [];
    expect(order).toEqual(['c', 'a', 'b', 'd']);
  });

  it('finds none where a value is seen, and later the one before', () => {
    const operations: RegisterOperation[] = [
      at('a', [1, 10], { write: 1 }),
      at('b', [2, 3], 'read', 1),
      at('c', [4, 5], 'read', 0),
    ];
    expect(checkLinearizable(register, operations).kind).toBe('not-linearizable');
  });

  it('lets what was never answered take effect late, or never, but not before it was asked', () => {
    const lost = at('a', [5], { write: 1 });
    expect(checkLinearizable(register, [lost, at('b', [90, 91], 'read', 0)]).kind).toBe('linearizable');
    expect(checkLinearizable(register, [lost, at('b', [90, 91], 'read', 1)]).kind).toBe('linearizable');
    expect(checkLinearizable(register, [lost, at('b', [1, 2], 'read', 1)]).kind).toBe('not-linearizable');
  });

  it('says that it does not know when it has taken too many steps', () => {
    const writes = Array.from({ length: 12 }, (_, place) =>
      at<RegisterInput, number>('a', [place, 50 + place], { write: place }),
    );
    const operations: RegisterOperation[] = [...writes, at('b', [80, 81], 'read', 99)];
    expect(checkLinearizable(register, operations, 1000).kind).toBe('undecided');
    expect(checkLinearizable(register, operations.slice(0, 12), 1000).kind).toBe('linearizable');
  });

  it('tries no set of operations twice that has led to the same', () => {
    // In 14! orders; with memory, in less than 14 x 2^14 steps, and as many back.
    const writes = Array.from({ length: 14 }, (_, place) =>
      at<RegisterInput, number>('a', [place, 50 + place], { write: 1 }),
    );
    const operations: RegisterOperation[] = [...writes, at('b', [80, 81], 'read', 2)];
    expect(checkLinearizable(register, operations, 2 ** 14 * 30).kind).toBe('not-linearizable');
  });

  it('agrees with trying all orders, of registers', () => {
    const seen = { linearizable: 0, 'not-linearizable': 0, undecided: 0 };
    const inputs = array(record({ value: nat(2), isRead: constantFrom(true, false) }), {
      minLength: 7,
      maxLength: 7,
    });
    property(
      forAll(intervals, inputs, (times, drawn) => {
        const operations: RegisterOperation[] = times.map((time, place) => {
          const { value, isRead } = drawn[place]!;
          const output = isRead && time.answeredAt !== Infinity ? value : undefined;
          return { client: `${place}`, input: isRead ? 'read' : { write: value }, output, ...time };
        });
        const { kind } = checkLinearizable(register, operations);
        seen[kind]++;
        expect(kind === 'linearizable').toBe(isLinearizableByTrying(register, operations));
      }),
      { numRuns: 2000 },
    );
    expect(Math.min(seen.linearizable, seen['not-linearizable'])).toBeGreaterThan(100);
    expect(seen.undecided).toBe(0);
  });

  it('agrees with trying all orders, of partitions', () => {
    const seen = { linearizable: 0, 'not-linearizable': 0, undecided: 0 };
    const kinds = array(
      record({
        kind: constantFrom('append', 'append', 'read', 'list'),
        offset: nat(3),
        isEnd: nat(2),
        isKnown: nat(1),
      }),
      { minLength: 7, maxLength: 7 },
    );
    property(
      forAll(intervals, kinds, (times, drawn) => {
        let offset = 0;
        const operations = times.map((time, place): PartitionOperation => {
          const { kind, offset: drawnOffset, isEnd, isKnown } = drawn[place]!;
          const isTold = time.answeredAt !== Infinity || isKnown === 1;
          const told = (output: PartitionOutput): { readonly output: PartitionOutput | undefined } => ({
            output: isTold ? output : undefined,
          });
          const client = `${place}`;
          if (kind === 'append') {
            // Mostly as it could be, so that some histories are right.
            const base = isEnd === 0 ? drawnOffset : offset++;
            return { client, input: { kind, value: place, count: 1 }, ...told({ offset: base }), ...time };
          }
          if (kind === 'list')
            return { client, input: { kind: 'list-latest' }, ...told({ offset: drawnOffset }), ...time };
          const output = isEnd === 0 ? { offset: drawnOffset, value: drawnOffset } : { offset: drawnOffset };
          return { client, input: { kind: 'read', offset: drawnOffset }, ...told(output), ...time };
        });
        const { kind } = checkLinearizable(partitionSpecification(), operations);
        seen[kind]++;
        const isRight = isLinearizableByTrying(partitionSpecification(), operations);
        expect(kind === 'linearizable').toBe(isRight);
        // What is right stays so for those who do not know all of it.
        if (!isRight) return;
        for (const left of operations) {
          const some = operations.filter((operation) => operation !== left);
          expect(checkLinearizable(gappedSpecification, some).kind).toBe('linearizable');
        }
      }),
      { numRuns: 3000 },
    );
    expect(Math.min(seen.linearizable, seen['not-linearizable'])).toBeGreaterThan(100);
    expect(seen.undecided).toBe(0);
  });
});

describe('a partition', () => {
  it('gives each append the next offset, and each reader what was there', () => {
    const operations = [
      append(7, [1, 4], 0),
      append(8, [2, 3], 1),
      read(1, [5, 6], { offset: 1, value: 8 }),
      read(2, [7, 8], { offset: 2 }),
      latest([9, 10], 2),
    ];
    expect(kindOf(operations)).toBe('linearizable');
  });

  it('has a batch at each of its offsets', () => {
    const batch = at<PartitionInput, PartitionOutput>(
      'a',
      [1, 2],
      { kind: 'append', value: 7, count: 3 },
      { offset: 0 },
    );
    expect(kindOf([batch, read(2, [3, 4], { offset: 0, value: 7 }), latest([5, 6], 3)])).toBe('linearizable');
    expect(kindOf([batch, latest([5, 6], 1)])).toBe('not-linearizable');
  });

  const violations: Readonly<Record<string, readonly PartitionOperation[]>> = {
    'a read misses what was acknowledged before': [append(7, [1, 2], 0), latest([3, 4], 0)],
    'an end is seen, and later an earlier one': [append(7, [1, 9], 0), latest([2, 3], 1), latest([4, 5], 0)],
    'an offset is given twice': [append(7, [1, 2], 0), append(8, [3, 4], 0)],
    'an offset is left out': [append(7, [1, 2], 0), append(8, [3, 4], 2)],
    'later appends stand before earlier ones': [append(7, [1, 2], 1), append(8, [3, 4], 0)],
    'what is read changes': [
      append(7, [1], 0),
      append(8, [2], 0),
      read(0, [3, 4], { offset: 0, value: 7 }),
      read(0, [5, 6], { offset: 0, value: 8 }),
    ],
    'something is read that nobody appended': [read(0, [1, 2], { offset: 0, value: 7 })],
    'something is read before it is appended': [
      read(0, [1, 2], { offset: 0, value: 7 }),
      append(7, [3, 4], 0),
    ],
  };
  for (const [name, operations] of Object.entries(violations)) {
    it(`does not let this be: ${name}`, () => {
      expect(kindOf(operations)).toBe('not-linearizable');
    });
  }
});

describe('a violation', () => {
  it('is told by the few operations that cannot be together', () => {
    const appends = Array.from({ length: 50 }, (_, place) =>
      append(100 + place, [4 * place, 4 * place + 1], place),
    );
    const reads = appends.map((_, place) =>
      read(place, [4 * place + 2, 4 * place + 3], { offset: place, value: 100 + place }),
    );
    const stale = latest([1000, 1001], 49);
    const lines = describeViolation([...appends, ...reads, stale]);
    expect(lines).toHaveLength(2);
    expect(lines[0]).toMatch(/(append 149|read offset 49)/);
    expect(lines[1]).toContain('c: list the latest offset, answer: the log ends at 49');
  });

  it('that shows only in what is missing is told with the appends up to it', () => {
    const appends = [append(1, [1, 2], 0), append(2, [3, 4], 1), append(3, [5, 6], 3), append(4, [7, 8], 4)];
    const lines = describeViolation([...appends, latest([9, 10], 5)]);
    expect(lines.map((line) => line.replace(/^.*a: /, ''))).toEqual([
      'append 1 (1 records), answer: at offset 0',
      'append 2 (1 records), answer: at offset 1',
      'append 3 (1 records), answer: at offset 3',
    ]);
  });

  it('is cut down to the shortest beginning, and to what is needed', () => {
    const fails = (some: readonly { readonly answeredAt: number }[]): boolean =>
      some.filter(({ answeredAt }) => answeredAt % 10 === 0).length >= 2;
    const operations = Array.from({ length: 40 }, (_, place) => at('a', [place, place + 1], place, place));
    expect(
      shortestFailing(operations, fails).filter(({ answeredAt }) => answeredAt !== Infinity),
    ).toHaveLength(20);
    expect(shrink(operations, fails).map(({ answeredAt }) => answeredAt)).toHaveLength(2);
  });
});

describe('the history of a group', () => {
  const appendTo = (history: History, value: number, offset: number): ReturnType<History['invoke']> =>
    history.invoke(
      { group: 0, client: 'a', nodeId: 1, input: { kind: 'append', value, count: 1 } },
      { offset },
    );
  const readFrom = (history: History, offset: number, output: PartitionOutput): void =>
    history.invoke({ group: 0, client: 'b', nodeId: 1, input: { kind: 'read', offset } }).answer(output);

  it('takes appends without an answer as they turn out to be', () => {
    const history = new History(() => 0);
    appendTo(history, 1, 0);
    appendTo(history, 2, 0);
    appendTo(history, 3, 1).answer({ offset: 1 });
    readFrom(history, 0, { offset: 0, value: 2 });
    history.check(0, 0);
    expect(history.counts).toMatchObject({ appends: 1, reads: 1, 'without answer': 2, undecided: 0 });
  });

  it('fails where an acknowledged append is not there', () => {
    const history = new History(() => 0);
    appendTo(history, 1, 0).answer({ offset: 0 });
    readFrom(history, 0, { offset: 0 });
    expect(() => history.check(0, 0)).toThrow(/not linearizable:\n.*append 1 .*\n.*the log ends at 0/);
  });

  it('lets a fetch return an old end, but no end of before, and nothing but what is committed', () => {
    const history = new History(() => 0);
    appendTo(history, 1, 0).answer({ offset: 0 });
    appendTo(history, 2, 1).answer({ offset: 1 });
    const fetch = { group: 0, offset: 0, reader: 'c' };
    history.fetching(0, 'c on node 1', 1);
    history.fetched({ ...fetch, batches: [{ offset: 0, value: 1, count: 1 }], end: 1 });
    history.fetching(0, 'c on node 2', 0);
    expect(() => history.fetching(0, 'c on node 1', 0)).toThrow('goes back from 1 to 0');
    const changed = [{ offset: 0, value: 3, count: 1 }];
    expect(() => history.fetched({ ...fetch, batches: changed, end: 1 })).toThrow('was 1 and is 3');
    const beyond = [
      { offset: 0, value: 1, count: 1 },
      { offset: 1, value: 2, count: 1 },
    ];
    expect(() => history.fetched({ ...fetch, batches: beyond, end: 1 })).toThrow('above its end 1');
    const gap = [beyond[0]!, { offset: 2, value: 5, count: 1 }];
    expect(() => history.fetched({ ...fetch, batches: gap, end: 3 })).toThrow('gets a batch of offset 2');
    history.fetched({ ...fetch, offset: 1, batches: [{ offset: 1, value: 9, count: 1 }], end: 2 });
    readFrom(history, 0, { offset: 0, value: 1 });
    readFrom(history, 1, { offset: 1, value: 2 });
    expect(() => history.check(0, 0)).toThrow('9 was fetched at offset 1 of group 0, where 2 is committed');
  });
});

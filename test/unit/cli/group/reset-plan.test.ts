import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromCsv, planReset, toCsv } from '../../../../cli/group/reset-plan.ts';
import type { ResetTarget } from '../../../../cli/group/reset-plan.ts';
import { parseTopics, selects } from '../../../../cli/group/topic-selection.ts';

const known = { topic: 't', partition: 3, committed: 50, start: 10, end: 100 };

describe('a planned reset', () => {
  it.each<[ResetTarget, number, number, boolean]>([
    [{ kind: 'offset', offset: 20 }, 20, 30, false],
    [{ kind: 'offset', offset: 70 }, 70, -20, false],
    [{ kind: 'offset', offset: 0 }, 10, 40, true],
    [{ kind: 'offset', offset: 1_000 }, 100, -50, true],
    [{ kind: 'before-end', records: 5 }, 95, -45, false],
    [{ kind: 'before-end', records: 500 }, 10, 40, true],
    [{ kind: 'shift', records: -15 }, 35, 15, false],
    [{ kind: 'shift', records: 60 }, 100, -50, true],
    [{ kind: 'shift', records: 0 }, 50, 0, false],
  ])('%j goes to %i', (target, to, again, isClamped) => {
    expect(planReset(known, target)).toEqual({ topic: 't', partition: 3, from: 50, to, again, isClamped });
  });

  it('shifts from the beginning where nothing is committed', () => {
    const plan = planReset({ ...known, committed: null }, { kind: 'shift', records: 5 });
    expect(plan).toEqual({ topic: 't', partition: 3, from: null, to: 15, again: null, isClamped: false });
  });

  it('lies within the log, and says truly how much is read again', () => {
    const kinds = fc.oneof(
      fc.record({ kind: fc.constant('offset' as const), offset: fc.nat(1_000) }),
      fc.record({
        kind: fc.constantFrom('before-end' as const, 'shift' as const),
        records: fc.integer({ min: -500, max: 500 }),
      }),
    );
    fc.assert(
      fc.property(fc.nat(300), fc.nat(300), fc.nat(700), kinds, (start, length, committed, target) => {
        const end = start + length;
        const plan = planReset({ topic: 't', partition: 0, committed, start, end }, target);
        expect(plan.to).toBeGreaterThanOrEqual(start);
        expect(plan.to).toBeLessThanOrEqual(end);
        expect(plan.again).toBe(committed - plan.to);
      }),
    );
  });
});

describe('lines of topic,partition,offset', () => {
  it('come back as they were written', () => {
    const plan = [
      { topic: 'a.b_c-d', partition: 0, to: 17 },
      { topic: 'e', partition: 12, to: 2 ** 40 },
    ];
    expect(fromCsv(toCsv(plan))).toEqual(
      plan.map(({ topic, partition, to }) => ({ topic, partition, offset: to })),
    );
  });

  it("are read as Kafka's tool writes them, with quotes, a heading and empty lines", () => {
    expect(fromCsv('TOPIC,PARTITION,OFFSET\n"t",0,5\n\nu, 1 ,6\n')).toEqual([
      { topic: 't', partition: 0, offset: 5 },
      { topic: 'u', partition: 1, offset: 6 },
    ]);
  });

  it.each(['t,0', 't,0,5,6', ',0,5', 't,-1,5', 't,0,x', 't,0,99999999999999999'])(
    'are refused where one is %s',
    (line) => {
      expect(fromCsv(`t,0,1\n${line}\n`)).toBe(2);
    },
  );
});

describe('topics on the command line', () => {
  it('are meant as a whole, or in part', () => {
    const selection = parseTopics(['orders', 'payments:0,2-4', 'payments:7', 'both:1', 'both']);
    const meant = (topic: string, partition: number): boolean => selects(selection, { topic, partition });
    expect([meant('orders', 9), meant('payments', 1), meant('payments', 3), meant('payments', 7)]).toEqual([
      true,
      false,
      true,
      true,
    ]);
    expect([meant('both', 5), meant('other', 0)]).toEqual([true, false]);
  });

  it.each(['', ':1', 'a:', 'a:x', 'a:3-1', 'a:0,'])('are refused as %j', (text) => {
    expect(() => parseTopics([text])).toThrow('--topic takes');
  });
});

import { describe, expect, it } from 'vitest';
import type { Header, Message } from '../../../../client/index.ts';
import { readProvenance, withProvenance } from '../../../../client/replay/provenance.ts';

const source: Message = {
  topic: 'flights',
  partition: 4,
  offset: 123,
  timestamp: 0,
  key: null,
  value: null,
  headers: [],
  leaderEpoch: 0,
};

function asRead(headers: ReturnType<typeof withProvenance>): Header[] {
  const pairs = Array.isArray(headers) ? headers : [];
  return pairs.map(([name, value]) => [name, value === null ? null : Buffer.from(value)]);
}

describe('provenance', () => {
  it('is read back from the headers that were written', () => {
    const headers = asRead(withProvenance('r1', source, {}));
    expect(readProvenance(headers)).toEqual({ replayId: 'r1', topic: 'flights', partition: 4, offset: 123 });
  });

  it('keeps other headers, in order, repeated ones too', () => {
    const headers = asRead(
      withProvenance('r1', source, {
        headers: [
          ['a', '1'],
          ['b', null],
          ['a', '2'],
        ],
      }),
    );
    expect(headers.slice(0, 3)).toEqual([
      ['a', Buffer.from('1')],
      ['b', null],
      ['a', Buffer.from('2')],
    ]);
  });

  it('names the record that was read last where a replay is replayed', () => {
    const first = asRead(withProvenance('r1', source, {}));
    const second = asRead(withProvenance('r2', { ...source, topic: 'copy', offset: 5 }, { headers: first }));
    expect(readProvenance(second)).toEqual({ replayId: 'r2', topic: 'copy', partition: 4, offset: 5 });
    expect(second).toHaveLength(4);
  });

  it('is undefined for records that no replay has written', () => {
    expect(readProvenance([])).toBeUndefined();
    expect(readProvenance([['kappalog-replay-id', Buffer.from('x')]])).toBeUndefined();
  });
});

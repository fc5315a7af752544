import { describe, expect, it } from 'vitest';
import type { Message } from '../../../../client/index.ts';
import { compileFormat, valueFormat, type RecordFormat } from '../../../../cli/consume/format.ts';

const message: Message = {
  topic: 't',
  partition: 3,
  offset: 7,
  timestamp: 0,
  key: Buffer.from('k'),
  value: Buffer.from([0xff, 0x00]),
  headers: [
    ['a', Buffer.from('1')],
    ['b', null],
  ],
  leaderEpoch: 0,
};

function print(format: RecordFormat, record: Message): Buffer {
  const pieces: Buffer[] = [];
  format(record, (piece) => pieces.push(typeof piece === 'string' ? Buffer.from(piece) : piece));
  return Buffer.concat(pieces);
}

describe('compileFormat', () => {
  it('fills in every placeholder', () => {
    const text = print(compileFormat('%t/%p@%o %T %s %k [%h] 100%%\\t\\\\\\n'), message).toString();
    expect(text).toBe('t/3@7 1970-01-01T00:00:00.000Z 0 k [a=1,b=] 100%\t\\\n');
  });

  it('prints bytes as they are', () => {
    expect(print(valueFormat, message)).toEqual(Buffer.from([0xff, 0x00, 0x0a]));
  });

  it('prints nothing for a null', () => {
    expect(print(compileFormat('%k|%v'), { ...message, key: null, value: null }).toString()).toBe('|');
  });

  it.each(['%x', '%'])('refuses %j and lists what there is', (format) => {
    expect(() => compileFormat(format)).toThrow(/means nothing; there are %k key/);
  });
});

import { describe, expect, it } from 'vitest';
import { parseBrokers, resolveSettings } from '../../../client/settings.ts';

describe('broker addresses', () => {
  it.each([
    ['127.0.0.1:9092', [{ host: '127.0.0.1', port: 9092 }]],
    ['kafka', [{ host: 'kafka', port: 9092 }]],
    [
      ' a:1, b:2 ,',
      [
        { host: 'a', port: 1 },
        { host: 'b', port: 2 },
      ],
    ],
    ['[::1]:19092', [{ host: '::1', port: 19092 }]],
    ['PLAINTEXT://broker-1.example:9093', [{ host: 'broker-1.example', port: 9093 }]],
  ])('%s', (text, expected) => {
    expect(parseBrokers(text)).toEqual(expected);
  });

  it('may come as a list whose entries hold several', () => {
    expect(parseBrokers(['a:1,b:2', 'c:3']).map((address) => address.host)).toEqual(['a', 'b', 'c']);
  });

  it.each(['', ',', 'a:0', 'a:65536', 'a:b', '::1', 'http://a:1/path', 'a b:1'])('refuses "%s"', (text) => {
    expect(() => parseBrokers(text)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });
});

describe('settings', () => {
  it('refuse times that are not positive, by name', () => {
    expect(() => resolveSettings({ brokers: 'a', requestTimeoutMs: 0 })).toThrow('`requestTimeoutMs`');
    expect(() => resolveSettings({ brokers: 'a', retry: { backoffMs: Number.NaN } })).toThrow(
      '`retry.backoffMs`',
    );
  });
});

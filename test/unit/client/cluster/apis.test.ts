import { describe, expect, it } from 'vitest';
import { BrokerVersions } from '../../../../client/cluster/apis.ts';

function broker(key: number, minVersion: number, maxVersion: number): BrokerVersions {
  return new BrokerVersions({ apiKeys: [{ apiKey: key, minVersion, maxVersion }] });
}

describe('the version to speak', () => {
  it('is the newest that both sides know', () => {
    expect(broker(0, 0, 9).require('Produce')).toBe(9);
    expect(broker(0, 0, 99).require('Produce')).toBe(13);
    expect(broker(0, 0, 13).require('Produce', 12)).toBe(12);
  });

  it('is none where the ranges do not meet, and the error names both', () => {
    expect(broker(0, 0, 2).pick('Produce')).toBeUndefined();
    expect(() => broker(0, 90, 99).require('Produce')).toThrow('serves versions 90 to 99');
    expect(() => broker(0, 0, 9).require('Fetch')).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED_VERSION' }),
    );
  });
});

import { expect, test } from 'vitest';
import { metadataHash } from '../../../../broker/groups/consumer/topics-view.ts';
import { Topics } from './consumer-client.ts';

test('the hash of topics differs wherever counts of partitions do, and does not depend on the order of the names', () => {
  const names = ['t', 'u', 'v'];
  const seen = new Map<number, string>();
  for (let t = 0; t <= 12; t++) {
    for (let u = 0; u <= 12; u++) {
      for (let v = 0; v <= 12; v++) {
        const topics = new Topics({ t, u, v });
        const hash = metadataHash(topics, names);
        expect([seen.get(hash), Number.isSafeInteger(hash)]).toEqual([undefined, true]);
        expect(metadataHash(topics, names.toReversed())).toBe(hash);
        seen.set(hash, `${t} ${u} ${v}`);
      }
    }
  }
});

import { describe, expect, it } from 'vitest';
import { MetadataCache } from '../../../../client/cluster/metadata-cache.ts';
import { codec, type MetadataResponse } from '../../../../protocol/index.ts';

const idA = 'AAAAAAAAAAAAAAAAAAAAAQ';
const idB = 'AAAAAAAAAAAAAAAAAAAAAg';

function answer(topicId: string, leaderId: number, leaderEpoch: number): MetadataResponse {
  const metadata = codec('MetadataResponse', 12);
  return metadata.decode(
    metadata.encode({
      brokers: [1, 2].map((nodeId) => ({ nodeId, host: 'h', port: 9_000 + nodeId })),
      topics: [{ name: 't', topicId, partitions: [{ partitionIndex: 0, leaderId, leaderEpoch }] }],
    }),
  );
}

describe('the metadata cache', () => {
  it('does not go back to an older leader of the same topic', () => {
    const cache = new MetadataCache();
    cache.update(answer(idA, 2, 5));
    cache.update(answer(idA, 1, 4));
    expect(cache.leader('t', 0)).toMatchObject({ id: 2, port: 9_002 });
    cache.update(answer(idA, 1, 6));
    expect(cache.leader('t', 0)?.id).toBe(1);
  });

  it('starts anew when the topic was made again', () => {
    const cache = new MetadataCache();
    cache.update(answer(idA, 2, 5));
    cache.update(answer(idB, 1, 0));
    expect(cache.partition('t', 0)).toMatchObject({ leader: 1, leaderEpoch: 0 });
  });

  it('takes a newer leader from a refusal, with its address, and ignores an older one', () => {
    const cache = new MetadataCache();
    cache.update(answer(idA, 1, 5));
    const endpoint = { id: 3, host: 'new', port: 1, rack: null };
    expect(cache.applyHint('t', 0, { leaderId: 3, leaderEpoch: 5 }, [endpoint])).toBe(false);
    expect(cache.applyHint('t', 0, { leaderId: -1, leaderEpoch: 9 }, [])).toBe(false);
    expect(cache.applyHint('t', 0, { leaderId: 3, leaderEpoch: 6 }, [endpoint])).toBe(true);
    expect(cache.leader('t', 0)).toEqual(endpoint);
  });

  it('has no leader while there is none, or its address is not known', () => {
    const cache = new MetadataCache();
    cache.update(answer(idA, -1, 3));
    expect(cache.leader('t', 0)).toBeUndefined();
    cache.update(answer(idA, 7, 4));
    expect(cache.leader('t', 0)).toBeUndefined();
  });
});

/** What a codec refuses and what it leaves out, by examples. */
import { describe, expect, it } from 'vitest';
import { apiByKey, apiByName, apis, codec, messages, ProtocolError } from '../../../protocol/index.ts';
import type { ProtocolErrorCode } from '../../../protocol/index.ts';
import { codecByName } from '../../../protocol/codec.ts';

function codeOf(run: () => unknown): ProtocolErrorCode | undefined {
  try {
    run();
  } catch (error) {
    if (error instanceof ProtocolError) return error.code;
    throw error;
  }
  return undefined;
}

function encodeErrors(name: string, version: number, value: unknown): ProtocolErrorCode | undefined {
  return codeOf(() => codecByName(name, version).encode(value));
}

function decodeErrors(name: string, version: number, hex: string): ProtocolErrorCode | undefined {
  return codeOf(() => codecByName(name, version).decode(Buffer.from(hex, 'hex')));
}

describe('codec', () => {
  it('knows every message and refuses other names and versions', () => {
    expect(messages.length).toBe(278);
    expect(codeOf(() => codecByName('NoSuchRequest', 0))).toBe('unknown-message');
    expect(codeOf(() => codecByName('LeaderAndIsrRequest', 0))).toBe('unknown-message');
    expect(codeOf(() => codecByName('toString', 0))).toBe('unknown-message');
    for (const version of [3, 19, -1, 4.5, NaN]) {
      expect(codeOf(() => codec('FetchRequest', version))).toBe('unsupported-version');
    }
    expect(codec('FetchRequest', 4)).toBe(codec('FetchRequest', 4));
    expect([codec('FetchRequest', 11).flexible, codec('FetchRequest', 12).flexible]).toEqual([false, true]);
  });

  it('encodes an empty value of every message in every version', () => {
    let count = 0;
    for (const { name, min, max } of messages) {
      for (let version = min; version <= max; version++) {
        const one = codecByName(name, version);
        expect(one.encode(one.decode(one.encode({}))).equals(one.encode({}))).toBe(true);
        count++;
      }
    }
    expect(count).toBe(744);
  });

  it('gives the fields that a version lacks their defaults', () => {
    const request = codec('FetchRequest', 4).decode(codec('FetchRequest', 4).encode({ minBytes: 1 }));
    expect(request).toStrictEqual({
      clusterId: null,
      replicaId: -1,
      replicaState: { replicaId: -1, replicaEpoch: -1 },
      maxWaitMs: 0,
      minBytes: 1,
      maxBytes: 0x7fffffff,
      isolationLevel: 0,
      sessionId: 0,
      sessionEpoch: -1,
      topics: [],
      forgottenTopicsData: [],
      rackId: '',
    });
  });

  it('drops what a version lacks only where that is allowed', () => {
    // Both are absent from version 4; only the rack may be dropped.
    expect(codec('FetchRequest', 4).encode({ rackId: 'r' })).toEqual(codec('FetchRequest', 4).encode({}));
    expect(encodeErrors('FetchRequest', 4, { forgottenTopicsData: [{ topic: 't' }] })).toBe(
      'unsupported-field',
    );
    expect(encodeErrors('FetchRequest', 4, { forgottenTopicsData: [] })).toBeUndefined();
    expect(encodeErrors('FetchRequest', 18, { replicaId: 3 })).toBe('unsupported-field');
    expect(encodeErrors('FetchRequest', 18, { replicaId: -1 })).toBeUndefined();
    expect(encodeErrors('FetchRequest', 14, { replicaState: { replicaId: 1 } })).toBe('unsupported-field');
    expect(encodeErrors('FetchRequest', 14, { replicaState: { replicaId: -1 } })).toBeUndefined();
    expect(
      encodeErrors('FetchRequest', 4, { unknownTaggedFields: [{ tag: 9, data: Buffer.alloc(1) }] }),
    ).toBe('unsupported-field');
  });

  it('refuses values that their type cannot carry', () => {
    const cases: [value: object, code: ProtocolErrorCode | undefined][] = [
      [{ maxWaitMs: 2 ** 31 }, 'out-of-range'],
      [{ maxWaitMs: 2 ** 31 - 1 }, undefined],
      [{ maxWaitMs: -(2 ** 31) - 1 }, 'out-of-range'],
      [{ maxWaitMs: 1.5 }, 'out-of-range'],
      [{ maxWaitMs: NaN }, 'out-of-range'],
      [{ maxWaitMs: '7' }, 'out-of-range'],
      [{ maxWaitMs: null }, 'null-not-allowed'],
      [{ isolationLevel: 128 }, 'out-of-range'],
      [{ topics: null }, 'null-not-allowed'],
      [{ topics: [{ topic: null }] }, 'null-not-allowed'],
      [{ topics: [{ topic: 5 }] }, 'bad-value'],
      [{ topics: [{ topic: 'é'.repeat(16_384) }] }, 'too-large'],
      [{ topics: [{ topic: 'e'.repeat(32_767) }] }, undefined],
      [{ topics: [{ partitions: [{ fetchOffset: 2 ** 53 }] }] }, 'unsafe-integer'],
      [{ topics: [{ partitions: [{ fetchOffset: 2 ** 53 - 1 }] }] }, undefined],
    ];
    for (const [value, code] of cases)
      expect(encodeErrors('FetchRequest', 11, value), JSON.stringify(value).slice(0, 60)).toBe(code);
    expect(encodeErrors('FetchRequest', 13, { topics: [{ topicId: 'short' }] })).toBe('bad-value');
    expect(encodeErrors('FetchRequest', 13, { topics: [{ topicId: 'AAAAAAAAAAAAAAAAAAAAAB' }] })).toBe(
      'bad-value',
    );
    expect(encodeErrors('ApiVersionsRequest', 5, { clientSoftwareName: null })).toBe('null-not-allowed');
    expect(encodeErrors('SaslAuthenticateRequest', 2, { authBytes: null })).toBe('null-not-allowed');
    expect(encodeErrors('SaslAuthenticateRequest', 2, { authBytes: 'text' })).toBe('bad-value');
    expect(encodeErrors('CreateTopicsRequest', 7, { validateOnly: 1 })).toBe('bad-value');
  });

  it('keeps unknown tags between known ones, in order and once each', () => {
    const metadata = codec('RequestHeader', 2);
    const unknownTaggedFields = [
      { tag: 3, data: Buffer.from('three') },
      { tag: 200, data: Buffer.alloc(0) },
    ];
    const value = {
      requestApiKey: 1,
      requestApiVersion: 12,
      correlationId: 5,
      clientId: 'c',
      unknownTaggedFields,
    };
    expect(metadata.decode(metadata.encode(value))).toStrictEqual(value);
    const fetch = codec('FetchRequest', 15);
    const between = {
      clusterId: 'c',
      replicaState: { replicaId: 4 },
      unknownTaggedFields: [{ tag: 2, data: Buffer.from([7]) }],
    };
    expect(fetch.decode(fetch.encode(between))).toMatchObject(between);
    for (const tags of [[1], [5, 5], [6, 5]]) {
      const repeated = {
        ...between,
        unknownTaggedFields: tags.map((tag) => ({ tag, data: Buffer.alloc(1) })),
      };
      expect(
        codeOf(() => fetch.encode(repeated)),
        tags.join(),
      ).toBe('bad-tag');
    }
  });

  it('leaves out tagged fields at their default and writes null where the default is not null', () => {
    const fetch = codec('FetchRequest', 18);
    const offsetUnbounded = { topics: [{ partitions: [{ highWatermark: 2 ** 63 }] }] };
    expect(fetch.encode(offsetUnbounded)).toEqual(fetch.encode({ topics: [{ partitions: [{}] }] }));
    const assignment = codec('ConsumerGroupCurrentMemberAssignmentValue', 0);
    const partitions = {
      assignedPartitions: [{ topicId: 'AAAAAAAAAAAAAAAAAAAAAA', partitions: [], assignmentEpochs: null }],
    };
    expect(assignment.decode(assignment.encode(partitions))).toMatchObject(partitions);
  });

  it('reads and writes nullable structs', () => {
    const describe = codec('DescribeTopicPartitionsRequest', 0);
    expect(describe.decode(describe.encode({})).cursor).toBeNull();
    const cursor = { topicName: 't', partitionIndex: 4 };
    expect(describe.decode(describe.encode({ cursor })).cursor).toStrictEqual(cursor);
    // Neither -1 nor 1 stands in front of the struct.
    expect(decodeErrors('DescribeTopicPartitionsRequest', 0, '01000007d00700')).toBe('bad-value');
  });

  it('refuses malformed bytes before anything is allocated', () => {
    const cases: [hex: string, code: ProtocolErrorCode][] = [
      // MetadataRequest v1: a plain array of plain strings.
      ['7fffffff', 'too-large'],
      ['fffffffe', 'negative-length'],
      ['000f4241', 'too-large'],
      ['00000001fffe', 'negative-length'],
      ['00000001ffff', 'null-not-allowed'],
      ['000000017fff61', 'short'],
      ['00000001000161ff', 'trailing-bytes'],
      ['0000', 'short'],
    ];
    for (const [hex, code] of cases) expect(decodeErrors('MetadataRequest', 1, hex), hex).toBe(code);
    const compact: [hex: string, code: ProtocolErrorCode][] = [
      // MetadataRequest v9: compact, with tags.
      ['ffffffff7f', 'bad-varint'],
      ['8080808080', 'bad-varint'],
      ['ffffffff0f', 'too-large'],
      ['02ffffffff0f', 'too-large'],
      ['020000000000', 'null-not-allowed'],
      ['0000000001', 'too-large'],
      ['00000000ffffffff0f', 'too-large'],
      ['00000000010205', 'short'],
      ['000000000207000700', 'bad-tag'],
      ['000000000207000600', 'bad-tag'],
      ['0000000000ff', 'trailing-bytes'],
    ];
    for (const [hex, code] of compact) expect(decodeErrors('MetadataRequest', 9, hex), hex).toBe(code);
    expect(codec('MetadataRequest', 1).decode(Buffer.from('ffffffff', 'hex')).topics).toBeNull();
  });

  it('confines a known tagged field to its size', () => {
    // FetchRequest v12, tag 0 is the cluster id: a string of one letter in a field of three bytes.
    const plain = codec('FetchRequest', 12).encode({}).toString('hex');
    expect(plain.endsWith('00')).toBe(true);
    const withTag = (field: string): string => `${plain.slice(0, -2)}01${field}`;
    expect(decodeErrors('FetchRequest', 12, withTag('00020261'))).toBeUndefined();
    expect(decodeErrors('FetchRequest', 12, withTag('0003026162'))).toBe('trailing-bytes');
    expect(decodeErrors('FetchRequest', 12, withTag('00010261'))).toBe('short');
  });

  it('allows a million elements and no more', () => {
    const elements = codec('MetadataRequest', 0).encode({
      topics: Array.from({ length: 1_000_000 }, () => ({ name: '' })),
    });
    expect(codec('MetadataRequest', 0).decode(elements).topics?.length).toBe(1_000_000);
    const more = Buffer.concat([elements, Buffer.alloc(2)]);
    more.writeInt32BE(1_000_001, 0);
    expect(codeOf(() => codec('MetadataRequest', 0).decode(more))).toBe('too-large');
    expect(
      encodeErrors('MetadataRequest', 0, { topics: Array.from({ length: 1_000_001 }, () => ({ name: '' })) }),
    ).toBe('too-large');
  });

  it('rounds an int64 that no double holds when it decodes', () => {
    const bytes = codec('AbortedTxn', 0).encode({});
    bytes.writeBigInt64BE(9_223_372_036_854_775_807n, 0);
    bytes.writeBigInt64BE(-9_007_199_254_740_993n, 8);
    const { producerId, firstOffset } = codec('AbortedTxn', 0).decode(bytes);
    expect([producerId, firstOffset]).toEqual([2 ** 63, -9_007_199_254_740_992]);
  });

  it('gives slices of the input, not copies', () => {
    const produce = codec('ProduceRequest', 9);
    const records = Buffer.alloc(3000, 7);
    const bytes = produce.encode({ topicData: [{ name: 't', partitionData: [{ index: 0, records }] }] });
    const decoded = produce.decode(bytes).topicData[0]!.partitionData[0]!.records!;
    expect(decoded.equals(records)).toBe(true);
    expect(decoded.buffer).toBe(bytes.buffer);
  });
});

describe('the table of APIs', () => {
  it('lists the APIs that are left, by key', () => {
    expect(apis.length).toBe(91);
    expect(apis.map(({ key }) => key)).toEqual(
      apis.map(({ key }) => key).sort((left, right) => left - right),
    );
    expect(apiByKey(4)).toBeUndefined();
    expect(apiByName('Produce')).toBe(apiByKey(0));
    expect(apiByKey(0)).toMatchObject({
      name: 'Produce',
      min: 3,
      max: 13,
      latestStable: 13,
      advertisedMin: 0,
    });
    expect(apiByName('InitProducerId')).toMatchObject({ max: 6, latestStable: 5 });
  });

  it('knows which headers go with which versions', () => {
    const fetch = apiByName('Fetch')!;
    expect([11, 12].map((version) => fetch.requestHeaderVersion(version))).toEqual([1, 2]);
    expect([11, 12].map((version) => fetch.responseHeaderVersion(version))).toEqual([0, 1]);
    const apiVersions = apiByName('ApiVersions')!;
    expect([2, 3, 5].map((version) => apiVersions.requestHeaderVersion(version))).toEqual([1, 2, 2]);
    expect([0, 3, 5].map((version) => apiVersions.responseHeaderVersion(version))).toEqual([0, 0, 0]);
  });
});

/** The vectors of hashes, checksums, numbers, uuids and of the classic consumer protocol, both ways. */
import { describe, expect, it } from 'vitest';
import {
  codec,
  crc32c,
  decodeConsumerAssignment,
  decodeConsumerSubscription,
  decodeCooperativeStickyUserData,
  decodeStickyUserData,
  encodeConsumerAssignment,
  encodeConsumerSubscription,
  encodeCooperativeStickyUserData,
  encodeStickyUserData,
  javaStringHash,
  murmur2,
  partitionOfCoordinator,
  partitionOfKey,
  Reader,
  Writer,
} from '../../../protocol/index.ts';
import { crc32 } from '../../../protocol/checksums.ts';
import { varintBytes, varlongBytes, writeVarint, writeVarlong } from '../../../protocol/varint.ts';
import { hashVectorsOf, loadVectors, vectorsOf } from '../../vectors/load-vectors.ts';
import type { ConsumerProtocolVector, TopicPartition } from '../../vectors/load-vectors.ts';

const vectors = loadVectors();

function entriesOf(partitions: unknown): [count: number, partition: unknown][] {
  if (typeof partitions !== 'object' || partitions === null) throw new Error('partitions were expected');
  return Object.entries(partitions).map(([count, partition]) => [Number(count), partition]);
}

it('no kind of vector is left out', () => {
  expect(new Set(vectors.map((vector) => vector.set))).toEqual(
    new Set([
      'message',
      'frame',
      'recordBatch',
      'consumerProtocol',
      'murmur2',
      'stringHash',
      'crc',
      'varint',
      'uuid',
      'scram',
    ]),
  );
});

describe('hashes and checksums', () => {
  it('murmur2 and the partitions of keys', () => {
    const set = hashVectorsOf(vectors, 'murmur2');
    expect(set.length).toBe(100);
    for (const vector of set) {
      const key = Buffer.from(String(vector['inputHex']), 'hex');
      expect(murmur2(key)).toBe(vector['murmur2']);
      for (const [count, partition] of entriesOf(vector['partitions'])) {
        expect(partitionOfKey(key, count)).toBe(partition);
      }
    }
  });

  it("Java's string hash and the partitions of coordinators", () => {
    const set = hashVectorsOf(vectors, 'stringHash');
    expect(set.length).toBe(61);
    for (const vector of set) {
      const text = String(vector['input']);
      expect(javaStringHash(text)).toBe(vector['hashCode']);
      for (const [count, partition] of entriesOf(vector['partitions'])) {
        expect(partitionOfCoordinator(text, count)).toBe(partition);
      }
    }
  });

  it('CRC-32C and CRC-32, whole and in two pieces', () => {
    const set = hashVectorsOf(vectors, 'crc');
    expect(set.length).toBe(106);
    for (const vector of set) {
      const bytes = Buffer.from(String(vector['inputHex']), 'hex');
      expect(crc32c(bytes)).toBe(vector['crc32c']);
      expect(crc32(bytes)).toBe(vector['crc32']);
      const middle = bytes.length >> 1;
      expect(crc32c(bytes.subarray(middle), crc32c(bytes.subarray(0, middle)))).toBe(vector['crc32c']);
    }
  });

  it('the portable and the native CRC-32C agree at the size where one takes over', () => {
    const bytes = Buffer.from(Array.from({ length: 2000 }, (_, index) => (index * 31) & 0xff));
    for (const size of [511, 512, 513, 2000]) {
      const piecewise = Array.from({ length: size }, (_, index) => bytes.subarray(index, index + 1)).reduce(
        (seed, byte) => crc32c(byte, seed),
        0,
      );
      expect(crc32c(bytes.subarray(0, size))).toBe(piecewise);
    }
  });
});

describe('numbers', () => {
  const set = hashVectorsOf(vectors, 'varint');

  it('varints and varlongs are read', () => {
    expect(set.length).toBe(287);
    for (const vector of set) {
      const expected = Number(vector['value']);
      const long = new Reader(Buffer.from(String(vector['varlong']), 'hex'));
      expect(long.varlong(), String(vector['value'])).toBe(expected);
      expect(long.remaining).toBe(0);
      const { varint } = vector;
      if (typeof varint !== 'string') continue;
      const short = new Reader(Buffer.from(varint, 'hex'));
      expect(short.varint()).toBe(expected);
      expect(short.remaining).toBe(0);
    }
  });

  it('varints and varlongs are written, unless they are not safe', () => {
    let written = 0;
    for (const vector of set) {
      const value = Number(vector['value']);
      if (!Number.isSafeInteger(value)) {
        expect(() => new Writer().varlong(value)).toThrow(
          expect.objectContaining({ code: 'unsafe-integer' }),
        );
        expect(() => varlongBytes(value)).toThrow(expect.objectContaining({ code: 'unsafe-integer' }));
        continue;
      }
      written++;
      expect(written64(value)).toEqual([vector['varlong'], vector['varlong']]);
      if (vector['varint'] !== undefined)
        expect(written32(value)).toEqual([vector['varint'], vector['varint']]);
    }
    expect(written).toBeGreaterThan(200);
  });

  it('uuids', () => {
    const uuids = hashVectorsOf(vectors, 'uuid');
    expect(uuids.length).toBe(12);
    for (const vector of uuids) {
      const writer = new Writer();
      writer.uuid(String(vector['text']));
      expect(writer.finish().toString('hex')).toBe(vector['hex']);
      expect(new Reader(Buffer.from(String(vector['hex']), 'hex')).uuid()).toBe(vector['text']);
    }
  });
});

/** By a Writer, and in place as records have it. */
function written64(value: number): [string, string] {
  const writer = new Writer();
  writer.varlong(value);
  const buffer = Buffer.alloc(10);
  const end = writeVarlong(buffer, 0, value);
  expect(end).toBe(varlongBytes(value));
  return [writer.finish().toString('hex'), buffer.toString('hex', 0, end)];
}

function written32(value: number): [string, string] {
  const writer = new Writer();
  writer.varint(value);
  const buffer = Buffer.alloc(5);
  const end = writeVarint(buffer, 0, value);
  expect(end).toBe(varintBytes(value));
  return [writer.finish().toString('hex'), buffer.toString('hex', 0, end)];
}

describe('the classic consumer protocol', () => {
  const set = vectorsOf(vectors, 'consumerProtocol');
  const ofKind = (kind: ConsumerProtocolVector['kind']): ConsumerProtocolVector[] =>
    set.filter((vector) => vector.kind === kind);

  it('subscriptions', () => {
    expect(ofKind('subscription').length).toBe(13);
    for (const vector of ofKind('subscription')) {
      const { version } = vector;
      const value = {
        topics: [...vector.topics].sort(),
        userData: bytesOf(vector.userDataHex),
        ownedPartitions: version >= 1 ? grouped(vector.ownedPartitions, { isSorted: true }) : [],
        generationId: version >= 2 ? vector.generationId : -1,
        rackId: version >= 3 ? vector.rackId : null,
      };
      expect(encodeConsumerSubscription(version, value).toString('hex')).toBe(vector.hex);
      expect(decodeConsumerSubscription(Buffer.from(vector.hex, 'hex'))).toStrictEqual({ version, value });
    }
  });

  it('assignments', () => {
    expect(ofKind('assignment').length).toBe(9);
    for (const vector of ofKind('assignment')) {
      const { version } = vector;
      const value = {
        assignedPartitions: grouped(vector.partitions, { isSorted: false }),
        userData: bytesOf(vector.userDataHex),
      };
      expect(encodeConsumerAssignment(version, value).toString('hex')).toBe(vector.hex);
      expect(decodeConsumerAssignment(Buffer.from(vector.hex, 'hex'))).toStrictEqual({ version, value });
    }
  });

  it('user data of the sticky assignors', () => {
    expect(ofKind('sticky-userData').length).toBe(3);
    expect(ofKind('cooperative-sticky-userData').length).toBe(2);
    for (const { generation, ownedPartitions, hex } of ofKind('sticky-userData')) {
      const decoded = decodeStickyUserData(Buffer.from(hex, 'hex'));
      expect(decoded.generation).toBe(generation);
      const flat = decoded.partitions.flatMap(({ topic, partitions }) =>
        partitions.map((partition) => ({ topic, partition })),
      );
      expect(new Set(flat.map((one) => JSON.stringify(one)))).toEqual(
        new Set(ownedPartitions.map((one) => JSON.stringify(one))),
      );
      expect(encodeStickyUserData(decoded).toString('hex')).toBe(hex);
    }
    for (const { generation, hex } of ofKind('cooperative-sticky-userData')) {
      expect(decodeCooperativeStickyUserData(Buffer.from(hex, 'hex'))).toBe(generation);
      expect(encodeCooperativeStickyUserData(generation).toString('hex')).toBe(hex);
    }
  });

  it('a newer version is read as the newest known one', () => {
    const value = { topics: ['a'], userData: null, ownedPartitions: [], generationId: 7, rackId: 'r' };
    const body = codec('ConsumerProtocolSubscription', 3).encode(value);
    const newer = Buffer.concat([Buffer.from([0, 9]), body, Buffer.from('a field of version 9')]);
    expect(decodeConsumerSubscription(newer)).toStrictEqual({ version: 9, value });
  });

  it('no bytes are an assignment of nothing', () => {
    expect(decodeConsumerAssignment(Buffer.alloc(0)).value).toStrictEqual({
      assignedPartitions: [],
      userData: null,
    });
  });
});

function bytesOf(hex: string | null): Buffer | null {
  return hex === null ? null : Buffer.from(hex, 'hex');
}

function grouped(
  partitions: readonly TopicPartition[],
  { isSorted }: { readonly isSorted: boolean },
): { topic: string; partitions: number[] }[] {
  const byTopic = new Map<string, number[]>();
  for (const { topic, partition } of partitions) {
    const list = byTopic.get(topic) ?? [];
    list.push(partition);
    byTopic.set(topic, list);
  }
  const groups = [...byTopic].map(([topic, list]) => ({ topic, partitions: list }));
  if (!isSorted) return groups;
  for (const group of groups) group.partitions.sort((left, right) => left - right);
  return groups.sort((left, right) => (left.topic < right.topic ? -1 : 1));
}

/* oxlint-disable typescript/no-unsafe-type-assertion -- names and values come from the vectors, not from types */
/** Every message and frame vector of the Java client, both ways. */
import { describe, expect, it } from 'vitest';
import {
  decodeCoordinatorKey,
  decodeCoordinatorValue,
  decodeMetadataRecord,
  decodeRequestHeader,
  decodeResponse,
  encodeCoordinatorKey,
  encodeCoordinatorValue,
  encodeMetadataRecord,
  encodeRequest,
  encodeResponse,
  ProtocolError,
} from '../../../protocol/index.ts';
import type {
  CoordinatorKeyName,
  CoordinatorValueName,
  MetadataRecordName,
} from '../../../protocol/index.ts';
import { codecByName } from '../../../protocol/codec.ts';
import { loadVectors, vectorsOf } from '../../vectors/load-vectors.ts';
import type { MessageVector } from '../../vectors/load-vectors.ts';
import { loadMessage, valueOfJson } from './schema-values.ts';

const vectors = loadVectors();
const messageVectors = vectorsOf(vectors, 'message');
const frameVectors = vectorsOf(vectors, 'frame');

function withUnknown(vector: MessageVector, value: Record<string, unknown>): Record<string, unknown> {
  if (vector.unknownTaggedFields === undefined) return value;
  const unknownTaggedFields = vector.unknownTaggedFields.map(({ tag, hex }) => ({
    tag,
    data: Buffer.from(hex, 'hex'),
  }));
  return { ...value, unknownTaggedFields };
}

function title(vector: MessageVector): string {
  return `${vector.name} v${vector.version} ${vector.kind}`;
}

function holdsUnsafe(value: unknown): boolean {
  if (typeof value === 'number') return Number.isInteger(value) && !Number.isSafeInteger(value);
  if (Buffer.isBuffer(value) || typeof value !== 'object' || value === null) return false;
  return Object.values(value).some(holdsUnsafe);
}

describe('message vectors', () => {
  it('are all here', () => {
    expect(messageVectors.length).toBe(1285);
    expect(frameVectors.length).toBe(231);
    expect(new Set(messageVectors.map((vector) => vector.kind))).toEqual(
      new Set(['default', 'filled', 'unknown-tags']),
    );
  });

  it('decode to their values, with the defaults of absent fields', () => {
    for (const vector of messageVectors) {
      const expected = withUnknown(
        vector,
        valueOfJson(loadMessage(vector.name), vector.json, { fill: true }),
      );
      const decoded = codecByName(vector.name, vector.version).decode(Buffer.from(vector.hex, 'hex'));
      expect(decoded, title(vector)).toStrictEqual(expected);
    }
  });

  it('encode to their bytes, unless they hold an integer that is not safe', () => {
    let refused = 0;
    for (const vector of messageVectors) {
      const value = withUnknown(vector, valueOfJson(loadMessage(vector.name), vector.json, { fill: false }));
      const codec = codecByName(vector.name, vector.version);
      // The float64 fields hold integers beyond 2^53 as well, and those are written.
      if (holdsUnsafe(value) && !hasFloat(vector.name)) {
        expect(() => codec.encode(value), title(vector)).toThrow(ProtocolError);
        refused++;
      } else expect(codec.encode(value).toString('hex'), title(vector)).toBe(vector.hex);
    }
    expect(refused).toBeGreaterThan(50);
    expect(refused).toBeLessThan(300);
  });

  it('encode again to the bytes that they were decoded from', () => {
    for (const vector of messageVectors) {
      const codec = codecByName(vector.name, vector.version);
      const value = codec.decode(Buffer.from(vector.hex, 'hex'));
      if (holdsUnsafe(value) && vector.kind === 'filled') continue;
      expect(codec.encode(value).toString('hex'), title(vector)).toBe(vector.hex);
    }
  });
});

function hasFloat(name: string): boolean {
  const message = loadMessage(name);
  return [...message.structs.values()].some((struct) =>
    struct.fields.some((field) => field.type.kind === 'primitive' && field.type.name === 'float64'),
  );
}

describe('framed record vectors', () => {
  const framed = messageVectors.filter((vector) => vector.framedHex !== undefined);

  it('are of coordinators and of the metadata log', () => {
    expect(new Set(framed.map((vector) => vector.type))).toEqual(
      new Set(['metadata', 'coordinator-key', 'coordinator-value']),
    );
  });

  it('decode to the value of their body', () => {
    for (const vector of framed) {
      const bytes = Buffer.from(vector.framedHex!, 'hex');
      const expected = codecByName(vector.name, vector.version).decode(Buffer.from(vector.hex, 'hex'));
      expect(decodeFramed(vector, bytes), title(vector)).toStrictEqual({
        name: vector.name,
        version: vector.version,
        value: expected,
      });
    }
  });

  it('encode to their bytes', () => {
    for (const vector of framed) {
      const value = codecByName(vector.name, vector.version).decode(Buffer.from(vector.hex, 'hex'));
      if (holdsUnsafe(value)) continue;
      expect(encodeFramed(vector, value).toString('hex'), title(vector)).toBe(vector.framedHex);
    }
  });
});

function decodeFramed({ name, type }: MessageVector, bytes: Buffer): unknown {
  if (type === 'metadata')
    return decodeMetadataRecord(bytes, name.startsWith('Remote') ? 'remote-log' : 'cluster');
  if (type === 'coordinator-key') {
    return { name, version: 0, value: decodeCoordinatorKey(name as CoordinatorKeyName, bytes) };
  }
  return { name, ...decodeCoordinatorValue(name as CoordinatorValueName, bytes) };
}

function encodeFramed({ name, type, version }: MessageVector, value: unknown): Buffer {
  if (type === 'metadata') return encodeMetadataRecord(name as MetadataRecordName, version, value as never);
  if (type === 'coordinator-key') return encodeCoordinatorKey(name as CoordinatorKeyName, value as never);
  return encodeCoordinatorValue(name as CoordinatorValueName, version, value as never);
}

describe('frame vectors', () => {
  it('encode to their bytes, size and header included', () => {
    for (const vector of frameVectors) {
      const { name, apiKey, version: apiVersion, header } = vector;
      const parts = name.endsWith('Request')
        ? encodeRequest({ api: apiKey, apiVersion, ...header, clientId: header.clientId ?? null }, {})
        : encodeResponse({ apiKey, apiVersion, ...header }, {});
      expect(Buffer.concat(parts).toString('hex'), `${name} v${apiVersion}`).toBe(vector.hex);
    }
  });

  it('decode to their header and a default body', () => {
    for (const { name, apiKey, version: apiVersion, header, hex } of frameVectors) {
      const frame = Buffer.from(hex, 'hex').subarray(4);
      const body = codecByName(name, apiVersion);
      const defaults = body.decode(body.encode({}));
      if (name.endsWith('Request')) {
        const { bodyPosition, ...decoded } = decodeRequestHeader(frame);
        expect(decoded).toStrictEqual({
          apiKey,
          apiVersion,
          correlationId: header.correlationId,
          clientId: header.clientId,
        });
        expect(body.decode(frame.subarray(bodyPosition)), name).toStrictEqual(defaults);
      } else {
        expect(decodeResponse(apiKey, apiVersion, frame), name).toStrictEqual({
          correlationId: header.correlationId,
          body: defaults,
        });
      }
    }
  });
});

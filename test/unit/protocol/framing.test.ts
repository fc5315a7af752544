import { describe, expect, it } from 'vitest';
import {
  codec,
  decodeRequestHeader,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  ErrorCode,
  errorInfo,
  errorName,
  ProtocolError,
  Writer,
} from '../../../protocol/index.ts';
import type { FetchResponse } from '../../../protocol/index.ts';

describe('requests', () => {
  it('come back with their header', () => {
    const body = {
      topicData: [{ name: 't', partitionData: [{ index: 1, records: Buffer.alloc(5000, 1) }] }],
    };
    const parts = encodeRequest({ api: 'Produce', apiVersion: 9, correlationId: 77, clientId: 'é' }, body);
    const whole = Buffer.concat(parts);
    expect(whole.readInt32BE(0)).toBe(whole.length - 4);
    // The records travel as the caller's own buffer.
    expect(parts).toContain(body.topicData[0]!.partitionData[0]!.records);
    const frame = whole.subarray(4);
    const { bodyPosition, ...header } = decodeRequestHeader(frame);
    expect(header).toStrictEqual({ apiKey: 0, apiVersion: 9, correlationId: 77, clientId: 'é' });
    expect(codec('ProduceRequest', 9).decode(frame.subarray(bodyPosition))).toMatchObject(body);
  });

  it('of unknown APIs and versions still show key, version and correlation id', () => {
    for (const [apiKey, apiVersion] of [
      [18, 99],
      [999, 0],
      [4, 0],
      [-1, -1],
    ] as const) {
      const writer = new Writer();
      writer.int16(apiKey);
      writer.int16(apiVersion);
      writer.int32(-5);
      writer.raw(Buffer.from('whatever'));
      expect(decodeRequestHeader(writer.finish())).toStrictEqual({
        apiKey,
        apiVersion,
        correlationId: -5,
        clientId: null,
        bodyPosition: 8,
      });
    }
  });

  it('that are cut off in the header are refused', () => {
    const frame = Buffer.concat(
      encodeRequest({ api: 18, apiVersion: 3, correlationId: 1, clientId: 'cc' }, {}),
    ).subarray(4);
    const { bodyPosition } = decodeRequestHeader(frame);
    for (let length = 0; length < bodyPosition; length++) {
      expect(() => decodeRequestHeader(frame.subarray(0, length))).toThrow(ProtocolError);
    }
  });

  it('of APIs that do not exist cannot be made', () => {
    expect(() =>
      encodeRequest({ api: 'Nothing', apiVersion: 0, correlationId: 0, clientId: null }, {}),
    ).toThrow(ProtocolError);
  });
});

describe('responses', () => {
  it('hold records without copying them, in order, under one size', () => {
    const records = [Buffer.alloc(2000, 1), Buffer.alloc(10, 2), Buffer.alloc(1024, 3)];
    const body = {
      responses: [
        {
          topic: 't',
          partitions: records.map((data, partitionIndex) => ({ partitionIndex, records: data })),
        },
      ],
    };
    const parts = encodeResponse({ apiKey: 1, apiVersion: 11, correlationId: 9 }, body);
    expect(parts).toContain(records[0]);
    expect(parts).toContain(records[2]);
    const whole = Buffer.concat(parts);
    expect(whole.readInt32BE(0)).toBe(whole.length - 4);
    const decoded = decodeResponse<FetchResponse>('Fetch', 11, whole.subarray(4));
    expect(decoded.correlationId).toBe(9);
    expect(decoded.body.responses[0]!.partitions.map((partition) => partition.records)).toStrictEqual(
      records,
    );
  });

  it('take records in pieces', () => {
    const pieces = [Buffer.alloc(3000, 1), Buffer.from([9]), Buffer.alloc(2000, 2)];
    const parts = encodeResponse(
      { apiKey: 1, apiVersion: 12, correlationId: 1 },
      { responses: [{ topic: 't', partitions: [{ partitionIndex: 0, records: pieces }] }] },
    );
    expect(parts).toContain(pieces[0]);
    const { body } = decodeResponse<FetchResponse>('Fetch', 12, Buffer.concat(parts).subarray(4));
    expect(body.responses[0]!.partitions[0]!.records).toStrictEqual(Buffer.concat(pieces));
  });

  it('grow beyond the first buffer without losing what was written', () => {
    const topics = Array.from({ length: 500 }, (_, index) => ({
      name: `topic-${index}`.repeat(1 + (index % 9)),
    }));
    const request = codec('MetadataRequest', 9);
    expect(request.decode(request.encode({ topics })).topics?.map(({ name }) => name)).toEqual(
      topics.map(({ name }) => name),
    );
  });
});

describe('error codes', () => {
  it('have names, and whether to retry', () => {
    expect(ErrorCode.NONE).toBe(0);
    expect(ErrorCode.UNKNOWN_SERVER_ERROR).toBe(-1);
    expect(errorName(ErrorCode.NOT_LEADER_OR_FOLLOWER)).toBe('NOT_LEADER_OR_FOLLOWER');
    expect(errorInfo(3)).toStrictEqual({
      code: 3,
      name: 'UNKNOWN_TOPIC_OR_PARTITION',
      retriable: true,
      refreshMetadata: true,
    });
    expect(errorInfo(31_000)).toMatchObject({ name: 'UNKNOWN_ERROR_31000', retriable: false });
    expect(Object.values(ErrorCode).map((code) => errorName(code))).toEqual(Object.keys(ErrorCode));
  });
});

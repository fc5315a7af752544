import { describe, expect, it } from 'vitest';
import { Connection, correlationIdAfter } from '../../../../client/cluster/connection.ts';
import { closedError } from '../../../../client/errors.ts';
import { FrameReader } from '../../../../client/cluster/frame-reader.ts';
import { ManualClock } from '../../../../platform/manual-clock.ts';
import { MemoryNetwork } from '../../../../platform/memory-network.ts';
import { decodeRequestHeader, encodeResponse } from '../../../../protocol/index.ts';

const address = { host: 'broker', port: 9092 };
const options = { timeoutMs: 1_000 };
const group = { groupId: 'g', generationId: 1, memberId: 'm' };

/** A connection to a broker that answers every heartbeat. */
async function connect(): Promise<{ clock: ManualClock; connection: Connection }> {
  const clock = new ManualClock();
  const network = new MemoryNetwork({ clock });
  await network.listen(address, (stream) => {
    const frames = new FrameReader((frame) => {
      stream.write(encodeResponse(decodeRequestHeader(frame), { errorCode: 0 }));
    });
    stream.onData((chunk) => frames.push(chunk));
    stream.onClose(() => {});
  });
  let connection: Connection | undefined;
  void network.connect(address, options).then((stream) => {
    connection = new Connection(stream, { clock, clientId: 'c', peer: 'the broker' });
  });
  await clock.runUntil(() => connection !== undefined, 1_000);
  return { clock, connection: connection! };
}

async function outcome(clock: ManualClock, promise: Promise<unknown>): Promise<unknown> {
  let result: unknown;
  promise.then(
    () => {
      result = 'answered';
    },
    (error: unknown) => {
      result = error;
    },
  );
  await clock.runUntil(() => result !== undefined, 10_000);
  return result;
}

describe('a request that cannot be written', () => {
  const unwritable = { ...group, generationId: 1.5 };

  it('fails alone, and the connection goes on', async () => {
    const { clock, connection } = await connect();
    const refused = connection.send('Heartbeat', 4, unwritable, options);
    const next = connection.send('Heartbeat', 4, group, options);
    expect(await outcome(clock, refused)).toMatchObject({ code: 'INVALID_ARGUMENT', retriable: false });
    expect(await outcome(clock, next)).toBe('answered');
    expect(connection.isOpen).toBe(true);
  });

  it('fails alone also where it waited for the client to say anew who it is', async () => {
    const { clock, connection } = await connect();
    connection.hold();
    const refused = connection.send('Heartbeat', 4, unwritable, options);
    const unanswered = connection.sendUnanswered('Heartbeat', 4, unwritable);
    const next = connection.send('Heartbeat', 4, group, options);
    for (const promise of [refused, unanswered, next]) promise.catch(() => undefined);
    connection.release();
    expect(await outcome(clock, refused)).toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(await outcome(clock, unanswered)).toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(await outcome(clock, next)).toBe('answered');
  });
});

describe('requests that are held', () => {
  it('go out in their order when they are released, and fail when the connection ends before', async () => {
    const { clock, connection } = await connect();
    connection.hold();
    const held = connection.send('Heartbeat', 4, group, options);
    connection.release();
    expect(await outcome(clock, held)).toBe('answered');
    connection.hold();
    const late = connection.send('Heartbeat', 4, group, options);
    late.catch(() => undefined);
    connection.close(closedError('client'));
    expect(await outcome(clock, late)).toMatchObject({ code: 'CLOSED' });
  });
});

describe('correlation ids', () => {
  it('go on at 0 after the last that a 32-bit field holds', () => {
    expect([0, 41, 2 ** 31 - 2, 2 ** 31 - 1].map(correlationIdAfter)).toEqual([1, 42, 2 ** 31 - 1, 0]);
  });
});

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PartitionState } from '../../../../client/consumer/partition-state.ts';
import { PartitionWork, type Started } from '../../../../client/consumer/partition-work.ts';
import { batchPieces, messagePieces } from '../../../../client/consumer/pieces.ts';
import type { Message } from '../../../../client/messages.ts';

const at = { topic: 't', partition: 0 };

/** A handout of messages with these keys, from `offset` on; the offset behind the last is the end of a gap. */
function handout(state: PartitionState, offset: number, keys: readonly (string | null)[]) {
  const messages = keys.map((key, index): Message => ({
    ...at,
    offset: offset + index,
    timestamp: 0,
    key: key === null ? null : Buffer.from(key),
    value: null,
    headers: [],
    leaderEpoch: 3,
  }));
  const { fetchEpoch, seekEpoch } = state;
  const nextOffset = offset + keys.length + 2;
  state.readOffset = nextOffset;
  return { state, messages, nextOffset, highWatermark: 1_000, fetchEpoch, seekEpoch };
}

function workOn(keys: readonly (string | null)[], order: 'partition' | 'key') {
  const state = new PartitionState(at, 0);
  const work = new PartitionWork(state, messagePieces(order));
  work.add(handout(state, 0, keys));
  return { state, work };
}

function startAll(work: PartitionWork<Message>): Started<Message>[] {
  const started = [];
  while (work.mayStart) started.push(work.start());
  return started;
}

const offsets = (started: readonly Started<Message>[]): number[] => started.map(({ item }) => item.offset);

describe('the messages of one partition', () => {
  it('come one after another where the partition keeps its order', () => {
    const { state, work } = workOn(['a', 'b', null], 'partition');
    for (const offset of [0, 1, 2]) {
      const started = startAll(work);
      expect(offsets(started)).toEqual([offset]);
      started[0]!.end('all');
    }
    // Behind the last comes the gap, too.
    expect([state.position, state.positionEpoch]).toEqual([5, 3]);
    expect([work.mayStart, work.isIdle, work.hasRoom]).toEqual([false, true, true]);
  });

  it('come together where their keys differ, and those without a key as they like', () => {
    const { state, work } = workOn(['a', 'b', 'a', null, null, 'b'], 'key');
    const first = startAll(work);
    expect(offsets(first)).toEqual([0, 1, 3, 4]);
    first[1]!.end('all');
    expect(offsets(startAll(work))).toEqual([5]);
    expect(state.position).toBe(0);
    first[0]!.end('all');
    expect(state.position).toBe(2);
  });

  it('stop behind one that failed, which is handed out again', () => {
    const { state, work } = workOn(['a', 'b', 'a'], 'key');
    const [failing, other] = startAll(work);
    failing!.end('nothing');
    other!.end('all');
    expect(work.mayStart).toBe(false);
    expect(state.position).toBe(0);
    work.giveBack();
    expect(state.readOffset).toBe(0);
    expect(work.isCurrent).toBe(false);
  });

  it('say nothing of the position after a seek, nor where it is further already', () => {
    const { state, work } = workOn(['a', 'b'], 'key');
    const [first, second] = startAll(work);
    state.finish(2, 3);
    first!.end('all');
    expect(state.position).toBe(2);
    state.seek(77);
    second!.end('all');
    expect(state.position).toBe(77);
    work.giveBack();
    expect(state.readOffset).toBe(77);
  });

  it('wait while the partition is paused, and are not started when it is taken away', () => {
    const { state, work } = workOn(['a', 'b'], 'key');
    state.isPaused = true;
    expect(work.mayStart).toBe(false);
    state.isPaused = false;
    expect(work.mayStart).toBe(true);
    state.drop();
    expect([work.mayStart, work.hasRoom]).toEqual([false, false]);
    expect(work.signal.aborted).toBe(false);
    work.abort();
    expect(work.signal.aborted).toBe(true);
  });

  it('get no more than so far ahead of one that is not finished', () => {
    const { state, work } = workOn(['slow', ...Array.from({ length: 5_000 }, () => null)], 'key');
    const [slow, ...others] = startAll(work);
    for (const one of others) one.end('all');
    expect(work.hasRoom).toBe(true);
    work.add(
      handout(
        state,
        5_003,
        Array.from({ length: 5_000 }, () => null),
      ),
    );
    for (const one of startAll(work)) one.end('all');
    expect(work.hasRoom).toBe(false);
    slow!.end('all');
    expect(work.hasRoom).toBe(true);
    expect(state.position).toBe(10_005);
  });

  it('come again from where the handler says, as a batch', () => {
    const state = new PartitionState(at, 0);
    const work = new PartitionWork(state, batchPieces);
    work.add(handout(state, 0, ['a', 'b', 'c']));
    expect(work.mayStart).toBe(true);
    const started = work.start();
    const { item } = started;
    expect([item.messages.length, item.highWatermark, work.mayStart, work.hasRoom]).toEqual([
      3,
      1_000,
      false,
      true,
    ]);
    started.end(2);
    expect(state.position).toBe(2);
    work.giveBack();
    expect([state.readOffset, work.isCurrent]).toEqual([2, false]);
    const again = new PartitionWork(state, batchPieces);
    again.add(handout(state, 2, ['c']));
    again.start().end('all');
    // Behind the last message comes the gap, too.
    expect(state.position).toBe(5);
  });

  it('keep their order by key, each once, and the position is behind no unfinished one, however they end', () => {
    const keys = fc.array(fc.option(fc.constantFrom('a', 'b', 'c'), { nil: null }), {
      minLength: 1,
      maxLength: 40,
    });
    fc.assert(
      fc.property(keys, fc.array(fc.nat(), { maxLength: 200 }), (keys, draws) => {
        const { state, work } = workOn(keys, 'key');
        const running: Started<Message>[] = [];
        const ended: number[] = [];
        const byKey = new Map<string, number>();
        const next = [...draws];
        for (;;) {
          if (work.mayStart && (running.length === 0 || (next.shift() ?? 0) % 2 === 0)) {
            const started = work.start();
            const { key, offset } = started.item;
            if (key !== null) {
              expect(offset).toBeGreaterThan(byKey.get(key.toString()) ?? -1);
              expect(running.some((other) => other.item.key?.equals(key))).toBe(false);
              byKey.set(key.toString(), offset);
            }
            running.push(started);
          } else if (running.length > 0) {
            const [one] = running.splice((next.shift() ?? 0) % running.length, 1);
            one!.end('all');
            ended.push(one!.item.offset);
          } else break;
          const firstOpen = keys.findIndex((_, offset) => !ended.includes(offset));
          expect(state.position).toBe(firstOpen === -1 ? keys.length + 2 : firstOpen);
        }
        expect(ended.toSorted((a, b) => a - b)).toEqual(keys.map((_, offset) => offset));
      }),
    );
  });
});

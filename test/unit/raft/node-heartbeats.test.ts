import { describe, expect, it } from 'vitest';
import { NodeHeartbeats } from '../../../broker/raft/node-heartbeats.ts';
import type { NodeEvent, NodeMessage } from '../../../broker/raft/node-heartbeats.ts';

const timing = { heartbeatTicks: 2, electionTicks: 10, rankTicks: 4 };

function node(nodeId: number, incarnation = 1): NodeHeartbeats {
  const heartbeats = new NodeHeartbeats({ nodeId, incarnation, timing });
  for (const peer of [1, 2]) heartbeats.meet(peer);
  return heartbeats;
}

/** Delivers everything between the two until nothing is left, and returns what each tells its groups. */
function exchange(
  one: NodeHeartbeats,
  two: NodeHeartbeats,
): { messages: NodeMessage[]; events: NodeEvent[][] } {
  const messages: NodeMessage[] = [];
  const events: NodeEvent[][] = [[], []];
  for (let isQuiet = false; !isQuiet;) {
    isQuiet = true;
    for (const [place, from] of [one, two].entries()) {
      for (const event of from.take()) {
        if (event.kind !== 'send') {
          events[place]!.push(event);
          continue;
        }
        isQuiet = false;
        messages.push(event.message);
        (place === 0 ? two : one).receive(event.message);
      }
    }
  }
  return { messages, events };
}

function ticks(count: number, ...nodes: NodeHeartbeats[]): void {
  for (let tick = 0; tick < count; tick++) for (const each of nodes) each.tick();
}

const led = { term: 3, leaderNode: 1, nodes: [1, 2] };

describe('NodeHeartbeats', () => {
  it('tells once that a node is heard, and once that it is silent', () => {
    const one = node(1);
    const two = node(2);
    ticks(1, one, two);
    expect(exchange(one, two).events).toEqual([
      [{ kind: 'node-heard', nodeId: 2 }],
      [{ kind: 'node-heard', nodeId: 1 }],
    ]);
    ticks(2, one, two);
    expect(exchange(one, two).events).toEqual([[], []]);
    expect([one.heardAt(2), one.confirmedAt(2)]).toEqual([3, 3]);
    ticks(9, one);
    expect(one.take().filter(({ kind }) => kind !== 'send')).toEqual([]);
    ticks(9, one);
    expect(one.take().filter(({ kind }) => kind !== 'send')).toEqual([{ kind: 'node-silent', nodeId: 2 }]);
  });

  it('costs one heartbeat for ten thousand groups', () => {
    const one = node(1);
    const two = node(2);
    for (let group = 0; group < 10_000; group++) {
      one.place(`g${group}`, led);
      two.place(`g${9999 - group}`, led);
    }
    ticks(1, one, two);
    const { messages } = exchange(one, two);
    expect(messages.map(({ kind }) => kind).sort()).toEqual([
      'heartbeat',
      'heartbeat',
      'heartbeat-answer',
      'heartbeat-answer',
    ]);
    expect(one.confirmedAt(2)).toBe(1);
  });

  it('calls the roll while the sets differ, and takes its answer for a confirmation when the strayed have been told', () => {
    const one = node(1);
    const two = node(2);
    one.place('both', led);
    two.place('both', led);
    one.place('unfollowed', led);
    two.place('given up', led);
    two.place('of another term', { ...led, term: 2 });
    one.place('of another term', led);
    ticks(1, one, two);
    const { events } = exchange(one, two);
    expect(one.confirmedAt(2)).toBe(Number.NEGATIVE_INFINITY);
    expect(one.take()).toEqual([]);
    expect(one.confirmedAt(2)).toBe(1);
    expect(events[0]).toEqual([
      { kind: 'node-heard', nodeId: 2 },
      { kind: 'unfollowed', group: 'unfollowed', nodeId: 2 },
      { kind: 'unfollowed', group: 'of another term', nodeId: 2 },
    ]);
    expect(events[1]).toEqual([
      { kind: 'node-heard', nodeId: 1 },
      { kind: 'leader-gone', group: 'given up', term: 3 },
      { kind: 'leader-gone', group: 'of another term', term: 2 },
    ]);
    two.place('unfollowed', led);
    two.place('given up', undefined);
    two.place('of another term', led);
    ticks(2, one, two);
    exchange(one, two);
    expect(one.confirmedAt(2)).toBe(3);
  });

  it('tells that a node has started anew, and takes nothing from the run before', () => {
    const one = node(1);
    ticks(1, one);
    exchange(one, node(2, 1));
    const again = node(2, 2);
    ticks(1, again);
    const { events } = exchange(one, again);
    expect(events[0]).toEqual([{ kind: 'node-restarted', nodeId: 2 }]);
    expect(one.isCurrent(2, 1)).toBe(false);
    expect(one.isCurrent(2, 2)).toBe(true);
    ticks(5, one);
    one.take();
    one.receive({ kind: 'heartbeat', from: 2, to: 1, incarnation: 1, sentAt: 9, ledDigest: 0 });
    expect(one.take()).toEqual([]);
    expect(one.heardAt(2)).toBe(1);
  });

  it('counts no answer to a heartbeat of the run before', () => {
    const one = node(1, 2);
    ticks(1, one);
    const answer = {
      kind: 'heartbeat-answer',
      from: 2,
      to: 1,
      incarnation: 1,
      sentAt: 40,
      isConfirmed: true,
    } as const;
    one.receive({ ...answer, askedBy: 1 });
    expect(one.confirmedAt(2)).toBe(Number.NEGATIVE_INFINITY);
    one.receive({ ...answer, sentAt: 1, askedBy: 2 });
    expect(one.confirmedAt(2)).toBe(1);
  });

  it('wakes the leaders of groups when their heartbeats are not answered, though the node is heard', () => {
    const one = node(1);
    const two = node(2);
    one.place('g', led);
    two.place('g', led);
    ticks(1, one, two);
    exchange(one, two);
    const events: NodeEvent[] = [];
    for (let tick = 0; tick < 12; tick++) {
      ticks(1, one);
      one.receive({ kind: 'heartbeat', from: 2, to: 1, incarnation: 1, sentAt: tick, ledDigest: 0 });
      events.push(...one.take().filter(({ kind }) => kind !== 'send'));
    }
    expect(events).toEqual([{ kind: 'node-silent', nodeId: 2 }]);
  });
});

import * as fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { BufferPool, unpooled } from '../../../platform/buffer-pool.ts';
import type { Lease } from '../../../platform/buffer-pool.ts';
import type { Network } from '../../../platform/network.ts';
import { SeededRandom } from '../../../platform/seeded-random.ts';
import { CuttingNetwork } from '../../support/cutting-network.ts';
import { introduce, PeerCluster } from './peer-cluster.ts';
import type { NodeChanges, TestNode } from './peer-cluster.ts';

describe('frames of consensus', () => {
  let cluster = new PeerCluster();
  afterEach(async () => {
    expect(await cluster.close()).toBe(0);
    cluster = new PeerCluster();
  });

  async function pair(changes: NodeChanges = {}): Promise<[TestNode, TestNode]> {
    const nodes: [TestNode, TestNode] = [await cluster.open(1, changes), await cluster.open(2, changes)];
    introduce(nodes);
    return nodes;
  }

  it('arrive whole and in order, from the first that is sent, and are released once each', async () => {
    const [one, two] = await pair();
    const random = new SeededRandom(3);
    const sent = [1, 3, 70, 100_000, 5, 64 * 1024, 9_000_000, 2].map((size) => random.bytes(size));
    const released = sent.map(() => 0);
    for (const [index, frame] of sent.entries()) {
      const half = frame.length >> 1;
      one.peers.send(2, [frame.subarray(0, half), frame.subarray(half)], () => released[index]!++);
    }
    expect(await cluster.clock.runUntil(() => two.seen.frames.length === sent.length, 60_000)).toBe(true);
    expect(two.seen.frames.map((frame, index) => frame.equals(sent[index]!))).toEqual(sent.map(() => true));
    expect(released).toEqual(sent.map(() => 1));
    expect(one.peers.counters).toMatchObject({ framesSent: sent.length, framesDropped: 0 });
  });

  it('lie in memory that is used again once nobody refers to it, where they are large', async () => {
    const [one, two] = await pair({ pool: new BufferPool({ idleBytesMax: 1_000_000 }) });
    const frames: { readonly memory: ArrayBufferLike; readonly lease: Lease; readonly isWhole: boolean }[] =
      [];
    const sent = new SeededRandom(4).bytes(100_000);
    two.peers.deliverTo({
      received: (frame, lease = unpooled) => {
        // The second is kept for longer than the call.
        if (frames.length === 1) lease.retain();
        frames.push({ memory: frame.buffer, lease, isWhole: frame.equals(sent) });
        return true;
      },
      connected: () => undefined,
      disconnected: () => undefined,
    });
    const send = async (count: number): Promise<void> => {
      one.peers.send(2, [sent], () => undefined);
      expect(await cluster.clock.runUntil(() => frames.length === count, 1000)).toBe(true);
    };
    for (const count of [1, 2, 3]) await send(count);
    frames[1]!.lease.release();
    await send(4);
    expect(frames.map(({ isWhole }) => isWhole)).toEqual([true, true, true, true]);
    const places = frames.map(({ memory }) => frames.findIndex((other) => other.memory === memory));
    expect(places).toEqual([0, 0, 2, 0]);
  });

  it('arrive whatever their sizes and the pieces that they come in', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { minLength: 1, maxLength: 12 }),
        async (frames) => {
          const [one, two] = await pair();
          for (const frame of frames) one.peers.send(2, [Buffer.from(frame)], () => undefined);
          await cluster.pass(500);
          expect(two.seen.frames).toEqual(frames.map((frame) => Buffer.from(frame)));
          expect(await cluster.close()).toBe(0);
          cluster = new PeerCluster();
        },
      ),
      { numRuns: 40 },
    );
  });

  it('go on a connection for each direction, of which both sides are told', async () => {
    const [one, two] = await pair();
    one.peers.send(2, [Buffer.from('to two')], () => undefined);
    await cluster.pass(20);
    expect([one.seen.events, two.seen.events]).toEqual([['+2'], []]);
    two.peers.send(1, [Buffer.from('to one')], () => undefined);
    await cluster.pass(20);
    expect([one.seen.events, two.seen.events]).toEqual([['+2'], ['+1']]);
    expect(one.seen.frames.map(String)).toEqual(['to one']);
    expect(two.seen.frames.map(String)).toEqual(['to two']);
  });

  it('are dropped and released where no address is known, and where they are larger than any may be', async () => {
    const [one, two] = await pair({ limits: { consensusFrameBytesMax: 100 } });
    let released = 0;
    const release = (): void => void released++;
    one.peers.send(7, [Buffer.alloc(1)], release);
    one.peers.send(2, [Buffer.alloc(60), Buffer.alloc(41)], release);
    expect(released).toBe(2);
    one.peers.send(2, [Buffer.alloc(60), Buffer.alloc(40)], release);
    await cluster.pass(50);
    expect([two.seen.frames.length, released, one.peers.counters.framesDropped]).toEqual([1, 3, 2]);
  });

  it('are dropped and released where the other node takes nothing, and one alone may be as large as any', async () => {
    const [one, two] = await pair({ limits: { unsentBytesMax: 1_000_000 } });
    const released: number[] = [];
    for (let index = 0; index < 8; index++) {
      one.peers.send(2, [Buffer.alloc(300_000, index)], () => released.push(index));
    }
    expect(released).toEqual([3, 4, 5, 6, 7]);
    expect(await cluster.clock.runUntil(() => two.seen.frames.length === 3, 10_000)).toBe(true);
    one.peers.send(2, [Buffer.alloc(2_000_000, 9)], () => released.push(9));
    one.peers.send(2, [Buffer.alloc(1, 10)], () => released.push(10));
    expect(await cluster.clock.runUntil(() => two.seen.frames.length === 4, 10_000)).toBe(true);
    expect(two.seen.frames.map((frame) => frame[0])).toEqual([0, 1, 2, 9]);
    expect(released.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 9, 10]);
  });

  it('that cannot be read end the connection, which is told once and made anew', async () => {
    const [one, two] = await pair();
    two.seen.isReadable = false;
    for (let round = 0; round < 3; round++) {
      one.peers.send(2, [Buffer.from('nonsense')], () => undefined);
      await cluster.pass(2000);
    }
    expect(one.seen.events.slice(0, 4)).toEqual(['+2', '-2', '+2', '-2']);
    expect(two.peers.counters.malformed).toBe(3);
    expect(two.seen.notices.map(({ kind }) => kind)).toEqual(['malformed']);
    two.seen.isReadable = true;
    one.peers.send(2, [Buffer.from('sense')], () => undefined);
    await cluster.pass(2000);
    expect(two.seen.frames.at(-1)?.toString()).toBe('sense');
  });

  it('behind one that cannot be read are not looked at', async () => {
    const [one, two] = await pair();
    two.seen.isReadable = false;
    for (let index = 0; index < 5; index++) one.peers.send(2, [Buffer.alloc(1, index)], () => undefined);
    await cluster.pass(40);
    expect(two.seen.frames).toEqual([Buffer.alloc(1, 0)]);
  });

  it('have a node that is not there dialed less and less often, but at least once a second', async () => {
    let dials = 0;
    const network: Network = {
      listen: (address, onConnection) => cluster.network.listen(address, onConnection),
      connect: (address, options) => {
        dials++;
        return cluster.network.connect(address, options);
      },
    };
    const one = await cluster.open(1, { network });
    one.peers.setAddress(2, { host: '127.0.0.1', port: 9 });
    one.peers.send(2, [Buffer.from('a')], () => undefined);
    await cluster.pass(500);
    expect(dials).toBeGreaterThan(3);
    const before = dials;
    await cluster.pass(20_000);
    expect(dials - before).toBeGreaterThan(18);
    expect(dials - before).toBeLessThan(45);
  });

  it('stop where the other node ends: both ways tell of it at once, and of its coming back', async () => {
    const [one, two] = await pair();
    one.peers.send(2, [Buffer.from('a')], () => undefined);
    two.peers.send(1, [Buffer.from('b')], () => undefined);
    await cluster.pass(20);
    const { address } = two.peers;
    await cluster.settle(two.peers.close());
    await cluster.pass(5);
    expect(one.seen.events).toEqual(['+2', '-2', '-2']);
    await cluster.pass(3000);
    const told = one.seen.events.length;
    expect(told).toBe(3);
    const again = await cluster.open(2, { address, incarnation: 2 });
    one.peers.send(2, [Buffer.from('lost')], () => undefined);
    await cluster.pass(1500);
    expect(one.seen.events.slice(told)).toEqual(['+2']);
    one.peers.send(2, [Buffer.from('c')], () => undefined);
    await cluster.pass(10);
    expect(again.seen.frames.map(String)).toEqual(['c']);
  });

  it('do not have a node dialed that nothing was sent to for long', async () => {
    const one = await cluster.open(1);
    one.peers.setAddress(2, { host: '127.0.0.1', port: 9 });
    one.peers.send(2, [Buffer.from('a')], () => undefined);
    await cluster.pass(29_000);
    expect(cluster.clock.pendingTimers).toBe(1);
    await cluster.pass(3000);
    expect(cluster.clock.pendingTimers).toBe(0);
    expect(one.seen.events).toEqual(['-2']);
    expect(one.seen.notices.map(({ kind, nodeId }) => [kind, nodeId])).toEqual([['unreachable', 2]]);
  });

  it('find a node that has restarted without waiting, once it has connected', async () => {
    const [one, two] = await pair();
    one.peers.send(2, [Buffer.from('a')], () => undefined);
    await cluster.pass(20);
    const { address } = two.peers;
    await cluster.settle(two.peers.close());
    for (let second = 0; second < 20; second++) {
      one.peers.send(2, [Buffer.from('lost')], () => undefined);
      await cluster.pass(1000);
    }
    const again = await cluster.open(2, { address, incarnation: 2 });
    again.peers.setAddress(1, one.peers.address);
    again.peers.send(1, [Buffer.from('here I am')], () => undefined);
    await cluster.pass(40);
    expect(one.seen.events.at(-1)).toBe('+2');
    expect(one.seen.frames.map(String)).toEqual(['here I am']);
  });

  it('go on a new connection where the node says nothing for long although it is spoken to', async () => {
    const cutting = new CuttingNetwork(cluster.network);
    const one = await cluster.open(1, { network: cutting });
    const two = await cluster.open(2);
    introduce([one, two]);
    for (let time = 0; time < 10; time++) {
      one.peers.send(2, [Buffer.from('a')], () => undefined);
      two.peers.send(1, [Buffer.from('b')], () => undefined);
      await cluster.pass(1000);
    }
    expect([one.seen.events, two.seen.events]).toEqual([['+2'], ['+1']]);
    cutting.freezeAll();
    for (let time = 0; time < 10; time++) {
      one.peers.send(2, [Buffer.from('c')], () => undefined);
      await cluster.pass(1000);
    }
    expect(one.seen.events).toEqual(['+2', '-2', '+2']);
    expect(two.seen.frames.at(-1)?.toString()).toBe('c');
  });

  it('go to a node of the cluster that nobody has told of, once it has said where it is', async () => {
    const one = await cluster.open(1);
    const two = await cluster.open(2);
    const stranger = await cluster.open(3, { clusterId: '' });
    one.peers.send(2, [Buffer.from('dropped')], () => undefined);
    for (const { peers } of [two, stranger]) {
      peers.setAddress(1, one.peers.address);
      peers.send(1, [Buffer.from('here I am')], () => undefined);
    }
    await cluster.pass(20);
    one.peers.send(2, [Buffer.from('I see')], () => undefined);
    one.peers.send(3, [Buffer.from('who?')], () => undefined);
    await cluster.pass(20);
    expect([one, two, stranger].map(({ seen }) => seen.frames.map(String))).toEqual([
      ['here I am'],
      ['I see'],
      [],
    ]);
  });

  it('go to the new address when a node has moved', async () => {
    const [one, two] = await pair();
    one.peers.send(2, [Buffer.from('a')], () => undefined);
    await cluster.pass(20);
    const moved = await cluster.open(2, { incarnation: 2 });
    one.peers.setAddress(2, moved.peers.address);
    one.peers.send(2, [Buffer.from('b')], () => undefined);
    await cluster.pass(20);
    expect([two.seen.frames, moved.seen.frames].map((frames) => frames.map(String))).toEqual([['a'], ['b']]);
    one.peers.setAddress(2, undefined);
    await cluster.pass(20);
    expect(one.seen.events).toEqual(['+2', '-2', '+2', '-2']);
  });

  it('that were handed over before the end of the node are still sent', async () => {
    const [one, two] = await pair();
    one.peers.send(2, [Buffer.from('a')], () => undefined);
    await cluster.pass(20);
    one.peers.send(2, [Buffer.alloc(3_000_000, 1)], () => undefined);
    one.peers.send(2, [Buffer.from('resigned')], () => undefined);
    await cluster.settle(one.peers.close());
    expect(two.seen.frames.map(({ length }) => length)).toEqual([1, 3_000_000, 8]);
  });
});

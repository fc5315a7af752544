/** Whatever connects that is no node, or lies about being one: its connection ends, and that is all. */
import * as fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { encodeAnswer, encodeHello } from '../../../broker/peers/peer-handshake.ts';
import type { Hello } from '../../../broker/peers/peer-handshake.ts';
import { introduce, PeerCluster, testClusterId } from './peer-cluster.ts';

const hello: Hello = {
  versions: { lowest: 1, highest: 1 },
  lane: 'control',
  goal: 1,
  identity: { nodeId: 2, incarnation: 3, clusterId: testClusterId, softwareVersion: '1.9.0', process: 12 },
};

describe('whoever else connects', () => {
  let cluster = new PeerCluster();
  afterEach(async () => {
    expect(await cluster.close()).toBe(0);
    cluster = new PeerCluster();
  });

  it.each([
    ['a Kafka client', Buffer.from('0000001a00120003000000010008', 'hex'), /Kafka clients belong/],
    ['a browser', Buffer.from('GET / HTTP/1.1\r\n'), /HTTP/],
    ['TLS', Buffer.from('160301020001', 'hex'), /TLS/],
    ['one that lies about a size', Buffer.from('4b4c504effff00', 'hex'), /a greeting of 65535 bytes/],
    ['one that greets with nonsense', Buffer.from('4b4c504e000400ff00ff', 'hex'), /./],
    ['one that says nothing', Buffer.alloc(0), /did not say who it is within 5000 ms/],
  ])('%s is hung up on, which is told once for its address', async (_, bytes, message) => {
    const one = await cluster.open(1);
    for (let time = 0; time < 3; time++) {
      const connecting = cluster.network.connect(one.peers.address, { timeoutMs: 100 });
      const stream = await cluster.settle(connecting);
      let closes = 0;
      stream.onClose(() => closes++);
      stream.onData(() => expect.unreachable());
      if (bytes.length > 0) stream.write([bytes]);
      await cluster.pass(6000);
      expect(closes).toBe(1);
    }
    expect(one.seen.notices).toEqual([
      { kind: 'stranger', nodeId: undefined, address: '127.0.0.1', message: expect.stringMatching(message) },
    ]);
    expect(one.peers.counters.strangers).toBe(3);
  });

  it('is let in up to a number while it says nothing', async () => {
    const one = await cluster.open(1, { limits: { unknownMax: 2 } });
    const ends: number[] = [];
    for (let index = 0; index < 4; index++) {
      const stream = await cluster.settle(cluster.network.connect(one.peers.address, { timeoutMs: 100 }));
      stream.onClose(() => ends.push(index));
      stream.onData(() => undefined);
    }
    await cluster.pass(10);
    expect(ends).toEqual([2, 3]);
  });

  it('with a greeting and then bytes that no node sends is hung up on', async () => {
    const one = await cluster.open(1);
    for (const [lane, bytes] of [
      ['control', '7fffffff'],
      ['control', '00000000'],
      ['bulk', '000000020900'],
      ['control', '0000000700000000000000'],
      ['consensus', 'ffffffff'],
    ] as const) {
      const stream = await cluster.settle(cluster.network.connect(one.peers.address, { timeoutMs: 100 }));
      let closes = 0;
      stream.onClose(() => closes++);
      stream.onData(() => undefined);
      stream.write([encodeHello({ ...hello, lane }), Buffer.from(bytes, 'hex')]);
      await cluster.pass(50);
      expect([lane, bytes, closes]).toEqual([lane, bytes, 1]);
    }
    expect(one.peers.counters).toMatchObject({ malformed: 5, strangers: 0 });
  });

  it('with a greeting and then any bytes does no more than end its connection', async () => {
    const limits = { questionFrameBytesMax: 5000, consensusFrameBytesMax: 5000 };
    const one = await cluster.open(1, { limits });
    one.peers.serve('', ({ payload }) => Promise.resolve([payload]));
    const frame = fc.uint8Array({ minLength: 1, maxLength: 40 }).map((bytes) => {
      const size = Buffer.alloc(4);
      size.writeInt32BE(bytes.length);
      return Buffer.concat([size, bytes]);
    });
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('consensus' as const, 'control' as const, 'bulk' as const),
        fc.array(fc.oneof(frame, fc.uint8Array({ maxLength: 20 })), { maxLength: 6 }),
        async (lane, pieces) => {
          const stream = await cluster.settle(cluster.network.connect(one.peers.address, { timeoutMs: 100 }));
          let closes = 0;
          stream.onClose(() => closes++);
          stream.onData(() => undefined);
          stream.write([encodeHello({ ...hello, lane }), ...pieces.map((bytes) => Buffer.from(bytes))]);
          await cluster.pass(200);
          stream.destroy();
          await cluster.pass(5);
          expect(closes).toBe(1);
        },
      ),
      { numRuns: 100 },
    );
    expect(one.peers.counters.malformed).toBeGreaterThan(20);
    const two = await cluster.open(3);
    introduce([one, two]);
    const echo = two.peers.request(1, '', [Buffer.from('still there')], { timeoutMs: 1000 });
    expect((await cluster.settle(echo)).toString()).toBe('still there');
  });

  it('listens as a node and answers with any bytes: the question fails, and nothing else does', async () => {
    const one = await cluster.open(1);
    let bytes = Buffer.alloc(0);
    const listener = await cluster.network.listen({ host: '127.0.0.1', port: 0 }, (stream) => {
      stream.onClose(() => undefined);
      let isGreeted = false;
      stream.onData(() => {
        if (isGreeted) return;
        stream.write([encodeAnswer({ kind: 'welcome', version: 1, identity: hello.identity }), bytes]);
        isGreeted = true;
      });
    });
    one.peers.setAddress(2, listener.address);
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 60 }), async (answer) => {
        bytes = Buffer.from(answer);
        const asked = one.peers.request(2, 'x', [], { timeoutMs: 1000 });
        await expect(cluster.settle(asked)).rejects.toMatchObject({ name: 'PeerError' });
      }),
      { numRuns: 60 },
    );
    await listener.close();
  });

  it("listens at a node's address and is none: it is told of once, and asked again in vain", async () => {
    const one = await cluster.open(1);
    const listener = await cluster.network.listen({ host: '127.0.0.1', port: 0 }, (stream) => {
      stream.onClose(() => undefined);
      stream.onData(() => stream.write([Buffer.from('HTTP/1.1 400 Bad Request\r\n')]));
    });
    one.peers.setAddress(2, listener.address);
    for (let time = 0; time < 3; time++) {
      const answer = one.peers.request(2, 'x', [], { timeoutMs: 5000 });
      await expect(cluster.settle(answer)).rejects.toMatchObject({ code: 'unreachable' });
    }
    expect(one.seen.notices.map(({ kind, message }) => [kind, message])).toEqual([
      [
        'unreachable',
        `No connection to node 2 at 127.0.0.1:${listener.address.port}: it speaks HTTP or the like.`,
      ],
    ]);
    expect(one.peers.counters.malformed).toBe(3);
    await listener.close();
  });
});

import * as fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { encodeHello } from '../../../broker/peers/peer-handshake.ts';
import { questionHead } from '../../../broker/peers/question-frames.ts';
import { PeerError } from '../../../broker/peers/peer-requests.ts';
import type { PeerQuestion } from '../../../broker/peers/peer-requests.ts';
import type { ByteStream } from '../../../platform/network.ts';
import { introduce, PeerCluster } from './peer-cluster.ts';
import type { NodeChanges, TestNode } from './peer-cluster.ts';

const timeoutMs = 1000;

describe('questions between nodes', () => {
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

  /** Questions of a kind that are answered when the test does. */
  function held(node: TestNode, kind: string) {
    const waiting: { question: PeerQuestion; answer: (parts: readonly Buffer[]) => void }[] = [];
    node.peers.serve(kind, (question) => {
      const { promise, resolve } = Promise.withResolvers<readonly Buffer[]>();
      waiting.push({ question, answer: resolve });
      return promise;
    });
    return waiting;
  }

  it('are answered, whatever the sizes of question and answer, each with its own', async () => {
    const [one, two] = await pair();
    two.peers.serve('reverse', ({ payload }) =>
      Promise.resolve([Buffer.from('=>'), Buffer.from(payload.toReversed())]),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.uint8Array({ maxLength: 400 }), fc.constantFrom('control', 'bulk')), {
          minLength: 1,
          maxLength: 10,
        }),
        async (questions) => {
          const answers = questions.map(([bytes, lane]) =>
            one.peers.request(
              2,
              'reverse',
              [Buffer.from(bytes.subarray(0, 3)), Buffer.from(bytes.subarray(3))],
              {
                timeoutMs: 60_000,
                lane: lane === 'bulk' ? 'bulk' : 'control',
              },
            ),
          );
          const expected = questions.map(([bytes]) =>
            Buffer.concat([Buffer.from('=>'), Buffer.from(bytes.toReversed())]),
          );
          expect(await cluster.settle(Promise.all(answers))).toEqual(expected);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('are answered in any order, and say who asks', async () => {
    const [one, two] = await pair();
    const waiting = held(two, 'wait');
    const answers = ['a', 'b', 'c'].map((text) =>
      one.peers.request(2, 'wait', [Buffer.from(text)], { timeoutMs }),
    );
    await cluster.pass(50);
    expect(waiting.map(({ question }) => [question.from, question.payload.toString()])).toEqual([
      [1, 'a'],
      [1, 'b'],
      [1, 'c'],
    ]);
    for (const index of [2, 0, 1]) waiting[index]!.answer([Buffer.from(`answer ${index}`)]);
    expect((await cluster.settle(Promise.all(answers))).map(String)).toEqual([
      'answer 0',
      'answer 1',
      'answer 2',
    ]);
  });

  it('are served here when they are for the own node', async () => {
    const one = await cluster.open(1);
    one.peers.serve('who', ({ from, payload }) => Promise.resolve([Buffer.from(`${from}:`), payload]));
    one.peers.serve('sink', () => {
      throw new Error('the sink is full');
    });
    const options = { timeoutMs };
    const answer = one.peers.request(1, 'who', [Buffer.from('x'), Buffer.from('y')], options);
    expect((await cluster.settle(answer)).toString()).toBe('1:xy');
    const failed = one.peers.request(1, 'sink', [], options);
    await expect(cluster.settle(failed)).rejects.toMatchObject({
      code: 'failed',
      message: 'the sink is full',
    });
    await expect(one.peers.request(1, 'none', [], options)).rejects.toMatchObject({ code: 'unsupported' });
    held(one, 'wait');
    const late = one.peers.request(1, 'wait', [], options);
    await expect(cluster.settle(late)).rejects.toMatchObject({ code: 'timed-out' });
  });

  it.each([
    [
      'throws',
      () => {
        throw new Error('no room');
      },
    ],
    ['rejects', () => Promise.reject(new Error('no room'))],
  ])('fail with the message of a service that %s', async (_, service) => {
    const [one, two] = await pair();
    two.peers.serve('fill', service);
    const answer = cluster.settle(one.peers.request(2, 'fill', [], { timeoutMs }));
    await expect(answer).rejects.toBeInstanceOf(PeerError);
    await expect(answer).rejects.toMatchObject({ code: 'failed', message: 'no room' });
  });

  it('of a kind that nobody answers there are unsupported', async () => {
    const [one] = await pair();
    const answer = cluster.settle(one.peers.request(2, 'other', [], { timeoutMs }));
    await expect(answer).rejects.toMatchObject({
      code: 'unsupported',
      message: "Node 2 does not answer 'other'.",
    });
  });

  it('time out, and the answer that comes after that is no answer to another one', async () => {
    const [one, two] = await pair();
    const waiting = held(two, 'wait');
    const first = one.peers.request(2, 'wait', [], { timeoutMs });
    await expect(cluster.settle(first)).rejects.toMatchObject({
      code: 'timed-out',
      message: "Node 2 did not answer 'wait' within 1000 ms.",
    });
    const second = one.peers.request(2, 'wait', [], { timeoutMs });
    await cluster.pass(10);
    waiting[0]!.answer([Buffer.from('late')]);
    await cluster.pass(10);
    waiting[1]!.answer([Buffer.from('in time')]);
    expect((await cluster.settle(second)).toString()).toBe('in time');
  });

  it('fail at once where nobody listens, and where no address is known', async () => {
    const one = await cluster.open(1);
    const options = { timeoutMs: 10_000 };
    await expect(one.peers.request(3, 'x', [], options)).rejects.toMatchObject({ code: 'unreachable' });
    one.peers.setAddress(3, { host: '127.0.0.1', port: 9 });
    const answers = [1, 2].map(() => one.peers.request(3, 'x', [], options));
    const outcomes = await cluster.settle(Promise.allSettled(answers), 100);
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({
        status: 'rejected',
        reason: {
          code: 'unreachable',
          wasSent: false,
          message:
            'No connection to node 3 at 127.0.0.1:9: Could not connect to 127.0.0.1:9: nobody listens there.',
        },
      });
    }
    expect(cluster.clock.pendingTimers).toBe(0);
  });

  it('fail when the other node ends, and go through again when it is back', async () => {
    const [one, two] = await pair();
    const waiting = held(two, 'wait');
    const answer = one.peers.request(2, 'wait', [], { timeoutMs: 60_000 });
    const failed = expect(answer).rejects.toMatchObject({ code: 'unreachable', wasSent: true });
    await cluster.pass(20);
    expect(waiting).toHaveLength(1);
    const { address } = two.peers;
    await cluster.settle(two.peers.close());
    await failed;
    const again = await cluster.open(2, { address, incarnation: 2 });
    again.peers.serve('wait', () => Promise.resolve([Buffer.from('back')]));
    expect((await cluster.settle(one.peers.request(2, 'wait', [], { timeoutMs }))).toString()).toBe('back');
  });

  it('are closed with the node, those under way and those that come later', async () => {
    const [one, two] = await pair();
    held(two, 'wait');
    held(one, 'own');
    const options = { timeoutMs: 60_000 };
    const answers = [
      one.peers.request(2, 'wait', [], options),
      one.peers.request(1, 'own', [], options),
      one.peers.requestAt(two.peers.address, 'wait', [], options),
    ];
    const closed = answers.map((answer) => expect(answer).rejects.toMatchObject({ code: 'closed' }));
    await cluster.pass(20);
    answers.push(one.peers.requestAt({ host: '127.0.0.1', port: 9 }, 'wait', [], options));
    closed.push(expect(answers.at(-1)).rejects.toMatchObject({ code: 'closed' }));
    await cluster.settle(one.peers.close());
    await Promise.all(closed);
    await expect(one.peers.request(2, 'wait', [], options)).rejects.toMatchObject({ code: 'closed' });
    expect(await cluster.settle(one.peers.close())).toBeUndefined();
  });

  it('can be put to whoever is at an address, by a node that has no id yet', async () => {
    const joining = await cluster.open(-1, { clusterId: '' });
    const two = await cluster.open(2);
    two.peers.serve('join', ({ from }) => Promise.resolve([Buffer.from(`welcome, ${from}`)]));
    const options = { timeoutMs };
    const answer = joining.peers.requestAt(two.peers.address, 'join', [], options);
    expect((await cluster.settle(answer)).toString()).toBe('welcome, -1');
    const nobody = joining.peers.requestAt({ host: '127.0.0.1', port: 9 }, 'join', [], options);
    await expect(cluster.settle(nobody)).rejects.toMatchObject({ code: 'unreachable' });
    const self = joining.peers.requestAt(joining.peers.address, 'join', [], options);
    await expect(cluster.settle(self)).rejects.toMatchObject({ code: 'unsupported' });
    await cluster.pass(50);
    expect(cluster.clock.pendingTimers).toBe(0);
  });

  it('are served up to a number and a size at one time: beyond that the connection is not read', async () => {
    const [one, two] = await pair({
      limits: { questionsInServiceMax: 3, questionBytesInServiceMax: 500_000 },
    });
    const waiting = held(two, 'wait');
    const options = { timeoutMs: 60_000 };
    const answers = Array.from({ length: 20 }, () =>
      one.peers.request(2, 'wait', [Buffer.alloc(200_000)], options),
    );
    await cluster.pass(300);
    expect(waiting).toHaveLength(3);
    for (let index = 0; index < 20; index++) {
      expect(waiting.length).toBeLessThanOrEqual(index + 3);
      waiting[index]!.answer([Buffer.alloc(1)]);
      await cluster.pass(300);
    }
    expect(await cluster.settle(Promise.all(answers))).toHaveLength(20);
    expect(waiting).toHaveLength(20);
  });

  /** A node's connection in the hands of the test. */
  async function connectTo(node: TestNode): Promise<ByteStream> {
    const stream = await cluster.settle(cluster.network.connect(node.peers.address, { timeoutMs }));
    stream.onClose(() => undefined);
    const { clusterId } = node.peers.identity;
    const identity = { nodeId: 9, incarnation: 1, clusterId, softwareVersion: '1', process: 5 };
    stream.write([encodeHello({ versions: { lowest: 1, highest: 1 }, lane: 'bulk', goal: -1, identity })]);
    return stream;
  }

  function ask(stream: ByteStream, id: number, payload: Buffer): void {
    const head = questionHead(id, 'x');
    const size = Buffer.alloc(4);
    size.writeInt32BE(head.length + payload.length);
    stream.write([size, head, payload]);
  }

  it('that wait for an answer have a connection stay unread, so that their bytes stay with who asks', async () => {
    const two = await cluster.open(2, { limits: { questionBytesInServiceMax: 500_000 } });
    const waiting = held(two, 'x');
    const stream = await connectTo(two);
    stream.onData(() => undefined);
    for (let id = 1; id <= 40; id++) ask(stream, id, Buffer.alloc(100_000));
    await cluster.pass(2000);
    expect(waiting.length).toBeGreaterThan(4);
    expect(waiting.length).toBeLessThan(10);
    expect(stream.unsentBytes).toBeGreaterThan(2_500_000);
    for (let served = 0; served < 40; served++) {
      waiting[served]!.answer([]);
      await cluster.pass(500);
    }
    expect([waiting.length, stream.unsentBytes]).toEqual([40, 0]);
  });

  it('are not served while the answers before are not taken', async () => {
    const two = await cluster.open(2);
    let served = 0;
    two.peers.serve('x', () => {
      served++;
      return Promise.resolve([Buffer.alloc(900_000)]);
    });
    const stream = await connectTo(two);
    let answeredBytes = 0;
    stream.onData((chunk) => {
      answeredBytes += chunk.length;
    });
    stream.pause();
    for (let id = 1; id <= 40; id++) ask(stream, id, Buffer.alloc(10));
    await cluster.pass(2000);
    expect(served).toBeLessThan(5);
    stream.resume();
    await cluster.pass(20_000);
    expect(served).toBe(40);
    expect(answeredBytes).toBeGreaterThan(40 * 900_000);
  });

  it('fail where a listener takes the connection and says nothing, and leave no connection behind', async () => {
    const one = await cluster.open(1);
    let closes = 0;
    const listener = await cluster.network.listen({ host: '127.0.0.1', port: 0 }, (stream) => {
      stream.onData(() => undefined);
      stream.onClose(() => closes++);
    });
    one.peers.setAddress(2, listener.address);
    const asked = one.peers.request(2, 'x', [], { timeoutMs: 60_000 });
    await expect(cluster.settle(asked, 5100)).rejects.toMatchObject({
      code: 'unreachable',
      message: expect.stringMatching(/did not greet within 5000 ms\.$/),
    });
    await cluster.pass(10);
    expect(closes).toBe(1);
    await listener.close();
  });

  it('and answers larger than any may be fail, and nothing else does', async () => {
    const [one, two] = await pair({ limits: { questionFrameBytesMax: 1000 } });
    two.peers.serve('size', ({ payload }) => Promise.resolve([Buffer.alloc(payload.readInt32BE())]));
    const size = Buffer.alloc(4);
    size.writeInt32BE(1000);
    const options = { timeoutMs };
    await expect(cluster.settle(one.peers.request(2, 'size', [size], options))).rejects.toMatchObject({
      code: 'failed',
      message: 'The answer has 1006 bytes; 1000 are the most.',
    });
    await expect(
      cluster.settle(one.peers.request(2, 'size', [Buffer.alloc(2000)], options)),
    ).rejects.toMatchObject({ code: 'failed', message: 'The question has 2011 bytes; 1000 are the most.' });
    size.writeInt32BE(900);
    expect(await cluster.settle(one.peers.request(2, 'size', [size], options))).toHaveLength(900);
    expect(two.peers.counters.malformed).toBe(0);
  });

  it('come on one connection for each lane: a new one ends that before, whose own end may be lost', async () => {
    const two = await cluster.open(2);
    const ends: string[] = [];
    const identity = {
      nodeId: 1,
      incarnation: 1,
      clusterId: two.peers.identity.clusterId,
      softwareVersion: '1',
      process: 5,
    };
    const connect = async (name: string, lane: 'control' | 'bulk', goal: number) => {
      const stream = await cluster.settle(cluster.network.connect(two.peers.address, { timeoutMs }));
      stream.onClose(() => ends.push(name));
      stream.onData(() => undefined);
      stream.write([encodeHello({ versions: { lowest: 1, highest: 1 }, lane, goal, identity })]);
      await cluster.pass(50);
    };
    await connect('first', 'control', 2);
    await connect('other lane', 'bulk', 2);
    await connect('to an address', 'control', -1);
    expect(ends).toEqual([]);
    await connect('second', 'control', 2);
    expect(ends).toEqual(['first']);
  });

  it('of one lane do not wait for those of the other', async () => {
    const [one, two] = await pair({ limits: { questionsInServiceMax: 1 } });
    held(two, 'copy');
    two.peers.serve('quick', () => Promise.resolve([]));
    const options = { timeoutMs: 1000, lane: 'bulk' } as const;
    const slow = [1, 2].map(() =>
      expect(one.peers.request(2, 'copy', [], options)).rejects.toMatchObject({ code: 'timed-out' }),
    );
    await cluster.pass(20);
    expect(await cluster.settle(one.peers.request(2, 'quick', [], { timeoutMs: 20 }))).toHaveLength(0);
    await cluster.pass(1000);
    await Promise.all(slow);
  });
});

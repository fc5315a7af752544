/** The same network over the machine's sockets, plain and with TLS. */
import { afterEach, describe, expect, it } from 'vitest';
import { RealClock } from '../../../platform/real/real-clock.ts';
import { RealNetwork } from '../../../platform/real/real-network.ts';
import { SeededRandom } from '../../../platform/seeded-random.ts';
import { authority, nodeIdentity, strangerIdentity } from '../../support/certificates.ts';
import { GreetingReader } from '../../../broker/peers/greeting-reader.ts';
import { decodeAnswer, encodeHello } from '../../../broker/peers/peer-handshake.ts';
import type { VersionRange } from '../../../broker/peers/peer-handshake.ts';
import { introduce, openNode } from './peer-cluster.ts';
import type { NodeChanges, TestNode } from './peer-cluster.ts';

const platform = { network: new RealNetwork(), clock: new RealClock() };
const tls = { ca: authority, ...nodeIdentity };
const timeoutMs = 10_000;

describe.each([
  { name: 'plain', changes: {} },
  { name: 'TLS', changes: { tls } },
])('nodes over sockets: $name', ({ changes }) => {
  const nodes: TestNode[] = [];
  afterEach(async () => {
    await Promise.all(nodes.splice(0).map(({ peers }) => peers.close()));
  });

  async function open(nodeId: number, more: NodeChanges = {}): Promise<TestNode> {
    const node = await openNode(nodeId, platform, { ...changes, ...more });
    nodes.push(node);
    return node;
  }

  it('send frames and ask questions, small and large, both ways', async () => {
    const [one, two] = [await open(1), await open(2)];
    introduce([one, two]);
    const random = new SeededRandom(1);
    const frames = [10, 3_000_000, 1, 70_000, 12_000_000, 5].map((size) => random.bytes(size));
    let released = 0;
    const release = (): void => void released++;
    for (const frame of frames) {
      one.peers.send(2, [frame.subarray(0, 4), frame.subarray(4)], release);
      two.peers.send(1, [frame], release);
    }
    one.peers.serve('echo', ({ payload }) => Promise.resolve([payload.subarray(0, 3), payload.subarray(3)]));
    const questions = [0, 2, 100, 5_000_000, 7, 300_000];
    const answers = questions.map((size) =>
      two.peers.request(1, 'echo', [random.bytes(size)], {
        timeoutMs,
        lane: size > 1000 ? 'bulk' : 'control',
      }),
    );
    expect((await Promise.all(answers)).map(({ length }) => length)).toEqual(questions);
    for (const { seen } of [one, two]) {
      await seen.until(() => seen.frames.length === frames.length);
      expect(seen.frames.map((frame, index) => frame.equals(frames[index]!))).toEqual(frames.map(() => true));
    }
    expect(released).toBe(2 * frames.length);
  });

  it('see the end of another at once, on both ways, and find it again', async () => {
    const [one, two] = [await open(1), await open(2)];
    introduce([one, two]);
    one.peers.send(2, [Buffer.from('a')], () => undefined);
    two.peers.send(1, [Buffer.from('b')], () => undefined);
    await one.seen.until(() => one.seen.frames.length === 1 && one.seen.events.length === 1);
    await two.seen.until(() => two.seen.frames.length === 1);
    const { address } = two.peers;
    await two.peers.close();
    await one.seen.until(() => one.seen.events.length === 3);
    expect(one.seen.events).toEqual(['+2', '-2', '-2']);
    const again = await open(2, { address, incarnation: 2 });
    again.peers.serve('back', () => Promise.resolve([Buffer.from('yes')]));
    await one.seen.until(() => one.seen.events.at(-1) === '+2');
    expect((await one.peers.request(2, 'back', [], { timeoutMs })).toString()).toBe('yes');
  });
});

describe('nodes of two releases over sockets', () => {
  const nodes: TestNode[] = [];
  afterEach(async () => {
    await Promise.all(nodes.splice(0).map(({ peers }) => peers.close()));
  });

  async function open(nodeId: number, lowest: number, highest: number): Promise<TestNode> {
    const node = await openNode(nodeId, platform, { versions: { lowest, highest } });
    nodes.push(node);
    return node;
  }

  /** What it says to a hello of a node that speaks these. */
  async function answerTo(
    { peers }: TestNode,
    versions: VersionRange,
  ): Promise<ReturnType<typeof decodeAnswer>> {
    const stream = await platform.network.connect(peers.address, { timeoutMs });
    const identity = { ...peers.identity, nodeId: 9, process: 77, softwareVersion: '9.9.9' };
    const body = await new Promise<Buffer>((resolve) => {
      stream.onClose(() => undefined);
      stream.onBytes(new GreetingReader(resolve));
      stream.write([encodeHello({ versions, lane: 'control', goal: -1, identity })]);
    });
    stream.destroy();
    return decodeAnswer(body);
  }

  it('speak the highest version that both know', async () => {
    const [old, next] = [await open(1, 1, 1), await open(2, 1, 2)];
    expect(await answerTo(old, { lowest: 1, highest: 2 })).toMatchObject({ kind: 'welcome', version: 1 });
    expect(await answerTo(next, { lowest: 1, highest: 1 })).toMatchObject({ kind: 'welcome', version: 1 });
    expect(await answerTo(next, { lowest: 1, highest: 2 })).toMatchObject({ kind: 'welcome', version: 2 });
    introduce([old, next]);
    for (const [node, to] of [
      [old, 2],
      [next, 1],
    ] as const) {
      node.peers.serve('who', ({ from }) => Promise.resolve([Buffer.from(`asked by ${from}`)]));
      node.peers.send(to, [Buffer.from(`from ${node.peers.identity.nodeId}`)], () => undefined);
    }
    expect(String(await old.peers.request(2, 'who', [], { timeoutMs }))).toBe('asked by 1');
    expect(String(await next.peers.request(1, 'who', [], { timeoutMs }))).toBe('asked by 2');
    for (const { seen } of [old, next]) await seen.until(() => seen.frames.length === 1);
    expect([String(old.seen.frames[0]), String(next.seen.frames[0])]).toEqual(['from 2', 'from 1']);
    expect([...old.seen.notices, ...next.seen.notices]).toEqual([]);
  });

  it('do not talk where they have none in common, and say why', async () => {
    const [old, far] = [await open(1, 1, 1), await open(2, 2, 2)];
    introduce([old, far]);
    for (const { peers } of [old, far]) peers.serve('who', () => expect.unreachable());
    const advice = 'upgrade the nodes of a cluster one release at a time';
    await expect(far.peers.request(1, 'who', [], { timeoutMs })).rejects.toMatchObject({
      message: expect.stringContaining(
        'it speaks versions 1 to 1 of the protocol between nodes (release 1.2.3), the other one 2 to 2 (release 1.2.3); ' +
          advice,
      ),
    });
    await expect(old.peers.request(2, 'who', [], { timeoutMs })).rejects.toMatchObject({
      message: expect.stringContaining(`it speaks versions 2 to 2 of the protocol between nodes`),
    });
    for (const { seen } of [old, far]) {
      await seen.until(() => seen.notices.length >= 2);
      expect(seen.notices.map(({ kind }) => kind).toSorted()).toEqual(['refused', 'refusing']);
      for (const { message } of seen.notices) expect(message).toContain(advice);
    }
  });
});

describe('nodes with TLS', () => {
  const nodes: TestNode[] = [];
  afterEach(async () => {
    await Promise.all(nodes.splice(0).map(({ peers }) => peers.close()));
  });

  it.each<[string, NodeChanges]>([
    ['whose certificate another authority has signed', { tls: { ca: authority, ...strangerIdentity } }],
    ['without TLS', {}],
  ])('do not talk to one %s', async (_, changes) => {
    const one = await openNode(1, platform, { tls });
    const stranger = await openNode(2, platform, changes);
    nodes.push(one, stranger);
    one.peers.serve('x', () => expect.unreachable());
    stranger.peers.serve('x', () => expect.unreachable());
    introduce([one, stranger]);
    for (const asked of [
      one.peers.request(2, 'x', [], { timeoutMs }),
      stranger.peers.request(1, 'x', [], { timeoutMs }),
    ]) {
      await expect(asked).rejects.toMatchObject({ code: 'unreachable' });
    }
    await one.seen.until(() => one.seen.notices.some(({ kind }) => kind === 'listener'));
  });
});

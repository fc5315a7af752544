import * as fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import {
  decodeAnswer,
  decodeHello,
  encodeAnswer,
  encodeHello,
  judgeHello,
  judgeWelcome,
} from '../../../broker/peers/peer-handshake.ts';
import type { Hello, PeerIdentity } from '../../../broker/peers/peer-handshake.ts';
import { ProtocolError } from '../../../protocol/index.ts';
import { introduce, PeerCluster } from './peer-cluster.ts';

const own: PeerIdentity = {
  nodeId: 1,
  incarnation: 7,
  clusterId: 'C',
  softwareVersion: '2.0.0',
  process: 11,
};
const other: PeerIdentity = {
  nodeId: 2,
  incarnation: 3,
  clusterId: 'C',
  softwareVersion: '1.9.0',
  process: 12,
};
const hello: Hello = { versions: { lowest: 1, highest: 1 }, lane: 'control', goal: 1, identity: other };
const spoken = { lowest: 1, highest: 1 };
const host = { own, spoken, newest: undefined };
const prefixBytes = 6;

describe('the greetings of nodes', () => {
  const identities = fc.record({
    nodeId: fc.integer({ min: -1, max: 0x7fffffff }),
    incarnation: fc.maxSafeNat(),
    clusterId: fc.string({ maxLength: 30 }),
    softwareVersion: fc.string({ maxLength: 30 }),
    process: fc.maxSafeNat(),
  });

  it('are read as they were written, whatever a later release adds at their end', () => {
    fc.assert(
      fc.property(identities, fc.uint8Array({ maxLength: 50 }), (identity, more) => {
        const greeting: Hello = { ...hello, lane: 'bulk', goal: -1, identity };
        const body = encodeHello(greeting).subarray(prefixBytes);
        expect(decodeHello(Buffer.concat([body, more]))).toEqual(greeting);
        const welcome = { kind: 'welcome', version: 3, identity } as const;
        const answer = encodeAnswer(welcome).subarray(prefixBytes);
        expect(decodeAnswer(Buffer.concat([answer, more]))).toEqual(welcome);
        const refusal = { kind: 'refusal', code: 'wrong-node', reason: 'it is another', identity } as const;
        const refused = encodeAnswer(refusal).subarray(prefixBytes);
        expect(decodeAnswer(Buffer.concat([refused, more]))).toEqual(refusal);
      }),
    );
  });

  it('have these bytes', () => {
    expect(encodeHello(hello).toString('hex')).toBe(
      '4b4c504e' +
        '002e' +
        '00010001' +
        '01' +
        '00000001' +
        '00000002' +
        '0000000000000003' +
        '000143' +
        '0005312e392e30' +
        '000000000000000c' +
        '0000' +
        '00000000' +
        '00',
    );
    const listens = { host: 'h', port: 9093 };
    const body = encodeHello({ ...hello, listens }).subarray(prefixBytes);
    expect(body.toString('hex').slice(-16)).toBe('0001680000238500');
    expect(decodeHello(body)).toEqual({ ...hello, listens });
    // As the releases before have it.
    expect(decodeHello(body.subarray(0, 0x27))).toEqual(hello);
    expect(encodeAnswer({ kind: 'welcome', version: 1, identity: own }).toString('hex')).toBe(
      '4b4c504e' +
        '0024' +
        '00' +
        '0001' +
        '00000001' +
        '0000000000000007' +
        '000143' +
        '0005322e302e30' +
        '000000000000000b' +
        '0000' +
        '00',
    );
    const leases: PeerIdentity = { ...own, usesLeases: true };
    const answer = encodeAnswer({ kind: 'welcome', version: 1, identity: leases }).subarray(prefixBytes);
    expect(answer.toString('hex').slice(-2)).toBe('01');
    expect(decodeAnswer(answer)).toEqual({ kind: 'welcome', version: 1, identity: leases });
    // As the releases before have it.
    expect(decodeAnswer(answer.subarray(0, -1))).toEqual({ kind: 'welcome', version: 1, identity: own });
    const greeted = encodeHello({ ...hello, identity: { ...other, usesLeases: true } }).subarray(prefixBytes);
    expect(decodeHello(greeted).identity).toEqual({ ...other, usesLeases: true });
  });

  it('of other bytes are no greetings, and nothing worse', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        for (const decode of [decodeHello, decodeAnswer]) {
          try {
            decode(Buffer.from(bytes));
          } catch (error) {
            expect(error).toBeInstanceOf(ProtocolError);
          }
        }
      }),
    );
  });

  it('that have reasons of a later release are refusals all the same', () => {
    const refusal = { kind: 'refusal', code: 'other', reason: 'tomorrow', identity: own } as const;
    const body = encodeAnswer(refusal).subarray(prefixBytes);
    body.writeInt8(99, 0);
    expect(decodeAnswer(body)).toEqual(refusal);
  });

  it.each([
    ['the highest version of both', { versions: { lowest: 1, highest: 5 } }, { lowest: 1, highest: 4 }, 4],
    ['ours, where the other is older', { versions: { lowest: 1, highest: 2 } }, { lowest: 2, highest: 4 }, 2],
  ])('lead to %s', (_, changes, spoken, version) => {
    const answer = judgeHello({ ...hello, ...changes }, { ...host, spoken });
    expect(answer).toMatchObject({ kind: 'welcome', version });
  });

  it.each<[string, Partial<Hello>, Partial<PeerIdentity>, string, RegExp]>([
    [
      'releases too far apart',
      { versions: { lowest: 2, highest: 3 } },
      {},
      'no-common-version',
      /one release at a time/,
    ],
    [
      'another cluster',
      {},
      { clusterId: 'D' },
      'wrong-cluster',
      /belongs to cluster C, .* to cluster D; correct/,
    ],
    ['another node in mind', { goal: 5 }, {}, 'wrong-node', /it is node 1, and node 5 was expected/],
    ['our own id', {}, { nodeId: 1 }, 'same-node-id', /two processes run as node 1; stop one/],
    [
      'no cluster yet, for consensus',
      { lane: 'consensus' },
      { clusterId: '' },
      'not-formed',
      /does not belong/,
    ],
    [
      'leases, which are not used here',
      {},
      { usesLeases: true },
      'other',
      /lease\.enable=false, .* has true/,
    ],
    ['no id yet, for consensus', { lane: 'consensus' }, { nodeId: -1 }, 'not-formed', /does not belong/],
  ])('refuse a node with %s', (_, changes, identity, code, reason) => {
    const answer = judgeHello({ ...hello, ...changes, identity: { ...other, ...identity } }, host);
    expect(answer).toMatchObject({ kind: 'refusal', code, reason: expect.stringMatching(reason) });
  });

  it('refuse an earlier start of a node while a later one is connected, and take a later one', () => {
    const judge = (incarnation: number, process: number): string =>
      judgeHello(hello, { ...host, newest: { incarnation, process } }).kind;
    expect([judge(2, 99), judge(3, 12), judge(4, 99)]).toEqual(['welcome', 'welcome', 'refusal']);
  });

  it('refuse a second process that takes itself for the same start of a node', () => {
    const newest = { incarnation: 3, process: 99 };
    expect(judgeHello(hello, { ...host, newest })).toMatchObject({ kind: 'refusal', code: 'same-node-id' });
    const twin = { ...own, process: 99 };
    expect(judgeHello({ ...hello, identity: twin }, host)).toMatchObject({ code: 'same-node-id' });
    expect(judgeHello({ ...hello, identity: own }, host).kind).toBe('welcome');
  });

  it('let in who belongs to no cluster yet, for questions', () => {
    const identity = { ...other, clusterId: '', nodeId: -1 };
    expect(judgeHello({ ...hello, identity }, host).kind).toBe('welcome');
  });

  it('do not let a node be welcomed by the wrong one', () => {
    const welcome = { kind: 'welcome', version: 1, identity: own } as const;
    expect(judgeWelcome(hello, welcome)).toBeUndefined();
    expect(judgeWelcome({ ...hello, goal: 4 }, welcome)?.code).toBe('wrong-node');
    expect(judgeWelcome(hello, { ...welcome, version: 2 })?.code).toBe('no-common-version');
    const elsewhere = { ...welcome, identity: { ...own, clusterId: 'D' } };
    expect(judgeWelcome(hello, elsewhere)?.code).toBe('wrong-cluster');
    const trusting = { ...welcome, identity: { ...own, usesLeases: true } };
    expect(judgeWelcome(hello, trusting)?.reason).toMatch(/lease\.enable=true, .* has false/);
    const asTrusting = { ...hello, identity: { ...other, usesLeases: true } };
    expect(judgeWelcome(asTrusting, trusting)).toBeUndefined();
  });
});

describe('nodes that meet', () => {
  let cluster = new PeerCluster();
  afterEach(async () => {
    expect(await cluster.close()).toBe(0);
    cluster = new PeerCluster();
  });

  it('and do not agree on leases do not talk, which both tell; those that agree do', async () => {
    const nodes = [
      await cluster.open(1, { usesLeases: true }),
      await cluster.open(2),
      await cluster.open(3, { usesLeases: true }),
    ] as const;
    introduce(nodes);
    for (let second = 0; second < 5; second++) {
      for (const from of [0, 1] as const) {
        for (const to of [1, 2, 3]) {
          if (to !== from + 1) nodes[from].peers.send(to, [Buffer.from(`${from + 1}`)], () => undefined);
        }
      }
      await cluster.pass(1000);
    }
    const heard = nodes.map(({ seen }) => new Set(seen.frames.map(String)));
    expect(heard).toEqual([new Set(), new Set(), new Set(['1'])]);
    for (const [node, other] of [
      [nodes[0], 2],
      [nodes[1], 1],
    ] as const) {
      const told = node.seen.notices.filter(({ nodeId }) => nodeId === other);
      expect(told.map(({ kind }) => kind).toSorted()).toEqual(['refused', 'refusing']);
      for (const { message } of told)
        expect(message).toMatch(/kappalog\.leader\.lease\.enable=.*stop all nodes/);
    }
  });

  it('of two clusters do not talk, which both tell once, until it has passed', async () => {
    const one = await cluster.open(1);
    const two = await cluster.open(2, { clusterId: 'another' });
    introduce([one, two]);
    for (let second = 0; second < 10; second++) {
      one.peers.send(2, [Buffer.from('x')], () => undefined);
      await cluster.pass(1000);
    }
    expect(two.seen.frames).toEqual([]);
    expect(two.peers.counters.refusals).toBeGreaterThan(5);
    expect(one.seen.notices.map(({ kind, nodeId, message }) => ({ kind, nodeId, message }))).toEqual([
      {
        kind: 'refused',
        nodeId: 2,
        message:
          `The node at 127.0.0.1:${two.peers.address.port}, the address of node 2, cannot be talked to: it belongs to ` +
          'cluster another, and the node that connects to cluster kappalogTestClusterAAA; correct the address that led ' +
          'there, or give the node that is in the wrong cluster empty data directories.',
      },
    ]);
    expect(two.seen.notices.map(({ kind, nodeId }) => [kind, nodeId])).toEqual([['refusing', 1]]);
  });

  it("at an address that is another node's do not take it for the one they look for", async () => {
    const one = await cluster.open(1);
    const two = await cluster.open(2);
    two.peers.serve('x', () => expect.unreachable());
    one.peers.setAddress(3, two.peers.address);
    const answer = one.peers.request(3, 'x', [], { timeoutMs: 1000 });
    await expect(cluster.settle(answer)).rejects.toMatchObject({
      code: 'unreachable',
      message: expect.stringMatching(
        /it is node 2, and node 3 was expected; correct the address of node 3\.$/,
      ),
    });
  });

  it('of two releases agree on what both speak', async () => {
    const old = await cluster.open(1, { versions: { lowest: 1, highest: 1 } });
    const next = await cluster.open(2, { versions: { lowest: 1, highest: 2 } });
    const far = await cluster.open(3, { versions: { lowest: 2, highest: 3 } });
    introduce([old, next, far]);
    for (const { peers } of [old, next, far])
      peers.serve('x', ({ from }) => Promise.resolve([Buffer.from([from])]));
    const ask = (from: typeof old, to: number) =>
      cluster.settle(from.peers.request(to, 'x', [], { timeoutMs: 1000 })).then(
        (answer) => answer[0],
        () => undefined,
      );
    expect([await ask(old, 2), await ask(next, 1), await ask(next, 3), await ask(far, 2)]).toEqual([
      1, 2, 2, 3,
    ]);
    expect([await ask(old, 3), await ask(far, 1)]).toEqual([undefined, undefined]);
  });

  it('of one id: the later start ends what the earlier one had, and is not pushed out by it', async () => {
    const one = await cluster.open(1);
    const early = await cluster.open(2, { incarnation: 1 });
    introduce([one, early]);
    early.peers.send(1, [Buffer.from('early')], () => undefined);
    one.peers.send(2, [Buffer.from('to early')], () => undefined);
    await cluster.pass(20);
    const late = await cluster.open(2, { incarnation: 2 });
    introduce([one, late]);
    late.peers.send(1, [Buffer.from('late')], () => undefined);
    one.peers.send(2, [Buffer.from('to late')], () => undefined);
    await cluster.pass(20);
    early.peers.send(1, [Buffer.from('early again')], () => undefined);
    await cluster.pass(2000);
    expect(one.seen.frames.map(String)).toEqual(['early', 'late']);
    expect(late.seen.frames.map(String)).toEqual(['to late']);
    expect(one.seen.notices.map(({ kind, message }) => [kind, message])).toContainEqual([
      'refusing',
      'Node 2 at 127.0.0.1 was refused by this node: two processes run as node 2; stop one of them, or give it a node.id of its own.',
    ]);
  });

  it('of one id that have both started for the first time: the second one is refused, and told of', async () => {
    const one = await cluster.open(1);
    const first = await cluster.open(2, { seed: 1 });
    const second = await cluster.open(2, { seed: 2 });
    for (const { peers } of [first, second]) peers.setAddress(1, one.peers.address);
    for (let time = 0; time < 5; time++) {
      first.peers.send(1, [Buffer.from('first')], () => undefined);
      await cluster.pass(100);
      second.peers.send(1, [Buffer.from('second')], () => undefined);
      await cluster.pass(1000);
    }
    expect(new Set(one.seen.frames.map(String))).toEqual(new Set(['first']));
    expect(one.seen.events).toEqual([]);
    expect(
      second.seen.notices.map(({ kind, message }) => [kind, /two processes run as node 2/.test(message)]),
    ).toEqual([['refused', true]]);
  });

  it('for consensus wait until both belong to the cluster', async () => {
    const one = await cluster.open(1);
    const two = await cluster.open(2, { clusterId: '' });
    introduce([one, two]);
    two.peers.serve('x', () => Promise.resolve([]));
    one.peers.send(2, [Buffer.from('too early')], () => undefined);
    expect(await cluster.settle(one.peers.request(2, 'x', [], { timeoutMs: 1000 }))).toHaveLength(0);
    await cluster.pass(5000);
    two.peers.identify({ nodeId: 2, clusterId: 'kappalogTestClusterAAA' });
    two.peers.send(1, [Buffer.from('formed')], () => undefined);
    await cluster.pass(20);
    one.peers.send(2, [Buffer.from('in time')], () => undefined);
    await cluster.pass(20);
    expect([two.seen.frames.map(String), one.seen.frames.map(String)]).toEqual([['in time'], ['formed']]);
    expect([...one.seen.notices, ...two.seen.notices]).toEqual([]);
  });

  it('ask on a new connection what they ask as somebody new, and still get the answer to what they asked before', async () => {
    const one = await cluster.open(1);
    const two = await cluster.open(-1, { clusterId: '' });
    two.peers.setAddress(1, one.peers.address);
    const answers: ((parts: readonly Buffer[]) => void)[] = [];
    const asked: number[] = [];
    one.peers.serve('x', ({ from }) => {
      asked.push(from);
      const { promise, resolve } = Promise.withResolvers<readonly Buffer[]>();
      answers.push(resolve);
      return promise;
    });
    const before = two.peers.request(1, 'x', [], { timeoutMs: 1000 });
    await cluster.pass(20);
    two.peers.identify({ nodeId: 2, clusterId: 'kappalogTestClusterAAA' });
    const after = two.peers.request(1, 'x', [], { timeoutMs: 1000 });
    await cluster.pass(20);
    expect(asked).toEqual([-1, 2]);
    for (const [index, answer] of answers.entries()) answer([Buffer.from([index])]);
    expect((await cluster.settle(Promise.all([before, after]))).map((answer) => answer[0])).toEqual([0, 1]);
  });
});

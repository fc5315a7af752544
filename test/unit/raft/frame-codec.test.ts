import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeConfiguration, encodeConfiguration } from '../../../broker/raft/configuration-codec.ts';
import type { Configuration } from '../../../broker/raft/configuration.ts';
import { decodeFrame, encodeFrame } from '../../../broker/raft/frame-codec.ts';
import type { Frame, GroupMessage } from '../../../broker/raft/frame-codec.ts';
import { memberId } from '../../../broker/raft/member.ts';
import type { Append, Message } from '../../../broker/raft/messages.ts';
import type { GroupTerm } from '../../../broker/raft/node-heartbeats.ts';
import { RollAssembler, rollAnswerParts, rollCallParts } from '../../../broker/raft/roll-parts.ts';
import type { WireNodeMessage } from '../../../broker/raft/roll-parts.ts';
import { ProtocolError } from '../../../protocol/index.ts';

const from = 3;
const to = 70_000;
const incarnation = 2 ** 40 + 1;

const index = fc.nat({ max: 2 ** 50 });
const term = fc.nat({ max: 2 ** 31 - 1 });
const tick = fc.oneof(index, fc.constant(Number.NEGATIVE_INFINITY));
const text = fc.string({ minLength: 1, maxLength: 30 });
const member = fc.tuple(fc.nat({ max: 2 ** 31 - 1 }), text).map(([node, id]) => memberId(node, id));
const members = fc.uniqueArray(member, { maxLength: 5 });
const configuration: fc.Arbitrary<Configuration> = fc.record({
  voters: fc.uniqueArray(member, { minLength: 1, maxLength: 5 }),
  outgoing: members,
  learners: members,
  revision: index,
});
const placed = fc.record({ index, configuration });
const snapshot = fc.record({
  id: text,
  lastIndex: index,
  lastTerm: term,
  configuration: placed,
  sizeBytes: fc.integer({ min: 1, max: 2 ** 50 }),
  checksum: fc.nat({ max: 2 ** 32 - 1 }),
});
const ends = fc.record({ from: text, to: text }).map((ids) => ({
  from: memberId(from, ids.from),
  to: memberId(to, ids.to),
}));

/** Entries in which terms and configurations begin where they may. */
const append: fc.Arbitrary<Append> = fc
  .record({
    ends,
    fromIndex: fc.integer({ min: 1, max: 2 ** 45 }),
    count: fc.nat({ max: 1000 }),
    previousTerm: fc.nat({ max: 1000 }),
    starts: fc.uniqueArray(fc.nat({ max: 999 }), { maxLength: 4 }),
    steps: fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 4, maxLength: 4 }),
    places: fc.uniqueArray(fc.nat({ max: 999 }), { maxLength: 3 }),
    configurations: fc.array(configuration, { minLength: 3, maxLength: 3 }),
    committedEndIndex: index,
    sentAt: tick,
    readSequence: index,
  })
  .map((drawn) => {
    const { fromIndex, count, previousTerm, committedEndIndex, sentAt, readSequence } = drawn;
    const within = (places: readonly number[]): number[] =>
      places.filter((place) => place < count).sort((a, b) => a - b);
    let last = previousTerm;
    const terms = within(drawn.starts).map((place, at) => {
      last += drawn.steps[at]!;
      return { index: fromIndex + place, term: last };
    });
    return {
      kind: 'append' as const,
      ...drawn.ends,
      term: last,
      fromIndex,
      endIndex: fromIndex + count,
      previousTerm,
      terms,
      configurations: within(drawn.places).map((place, at) => ({
        index: fromIndex + place,
        configuration: drawn.configurations[at]!,
      })),
      committedEndIndex,
      sentAt,
      readSequence,
    };
  });

const body: fc.Arbitrary<Message> = fc.oneof(
  append,
  fc
    .record({
      ends,
      kind: fc.constantFrom('pre-vote' as const, 'vote' as const),
      term,
      lastIndex: index,
      lastTerm: term,
      isTransfer: fc.boolean(),
    })
    .map(({ ends: envelope, ...rest }) => ({ ...envelope, ...rest })),
  fc
    .record({
      ends,
      kind: fc.constantFrom('pre-vote-answer' as const, 'vote-answer' as const),
      term,
      isGranted: fc.boolean(),
    })
    .map(({ ends: envelope, ...rest }) => ({ ...envelope, ...rest })),
  fc
    .record({
      ends,
      kind: fc.constant('append-answer' as const),
      term,
      matchedEndIndex: index,
      writtenEndIndex: index,
      flushedEndIndex: index,
      committedEndIndex: index,
      sentAt: tick,
      readSequence: index,
      rejected: fc.option(fc.record({ fromIndex: index, hint: fc.record({ term, endIndex: index }) }), {
        nil: undefined,
      }),
    })
    .map(({ ends: envelope, ...rest }) => ({ ...envelope, ...rest })),
  fc.record({ ends, term, snapshot }).map(({ ends: envelope, ...rest }) => ({
    kind: 'snapshot-chunk' as const,
    ...envelope,
    ...rest,
    position: rest.snapshot.sizeBytes - 1,
    sizeBytes: 1,
  })),
  fc
    .record({ ends, kind: fc.constant('snapshot-answer' as const), term, snapshotId: text, position: index })
    .map(({ ends: envelope, ...rest }) => ({ ...envelope, ...rest })),
  fc
    .record({ ends, kind: fc.constant('copy-request' as const), term, endIndex: index, lastTerm: term })
    .map(({ ends: envelope, ...rest }) => ({ ...envelope, ...rest })),
  fc
    .record({
      ends,
      kind: fc.constantFrom('timeout-now' as const, 'resignation' as const, 'term-notice' as const),
      term,
    })
    .map(({ ends: envelope, ...rest }) => ({ ...envelope, ...rest })),
);
const groupMessage: fc.Arbitrary<GroupMessage> = fc.record({
  group: text,
  message: body,
  bytes: fc.array(
    fc.uint8Array({ minLength: 1, maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    { maxLength: 3 },
  ),
});
const groupTerm: fc.Arbitrary<GroupTerm> = fc.record({ group: text, term });
const envelope = { from, to, incarnation };
const nodeMessage: fc.Arbitrary<WireNodeMessage> = fc.oneof(
  fc
    .record({ sentAt: index, ledDigest: fc.nat({ max: 2 ** 52 - 1 }) })
    .map((rest) => ({ kind: 'heartbeat' as const, ...envelope, ...rest })),
  fc
    .record({ sentAt: index, askedBy: index, isConfirmed: fc.boolean() })
    .map((rest) => ({ kind: 'heartbeat-answer' as const, ...envelope, ...rest })),
  fc
    .record({ roll: index, led: fc.array(groupTerm, { maxLength: 5 }) })
    .map((rest) => ({ kind: 'roll-call-part' as const, ...envelope, ...rest, part: 1, parts: 3 })),
  fc
    .record({
      sentAt: index,
      askedBy: index,
      isWhole: fc.boolean(),
      strayed: fc.array(text, { maxLength: 5 }),
    })
    .map((rest) => ({ kind: 'roll-answer' as const, ...envelope, ...rest })),
);
const frame: fc.Arbitrary<Frame> = fc
  .record({
    nodeMessages: fc.array(nodeMessage, { maxLength: 3 }),
    groupMessages: fc.array(groupMessage, { maxLength: 6 }),
  })
  .map((rest) => ({ ...envelope, ...rest }));

function joined(message: GroupMessage): GroupMessage {
  const bytes = Buffer.concat(message.bytes);
  return { ...message, bytes: bytes.length === 0 ? [] : [bytes] };
}

describe('frames between nodes', () => {
  it('come out as they went in, with the bytes of each message', () => {
    fc.assert(
      fc.property(frame, (sent) => {
        const parts = encodeFrame(sent);
        const received = decodeFrame(Buffer.concat(parts));
        expect(received).toEqual({ ...sent, groupMessages: sent.groupMessages.map(joined) });
      }),
    );
  });

  it('carry entries without copying them, out or in', () => {
    const entries = Buffer.alloc(5000, 7);
    const message: Message = {
      kind: 'append',
      from: memberId(from, 'a'),
      to: memberId(to, 'b'),
      term: 1,
      fromIndex: 1,
      endIndex: 9,
      previousTerm: 0,
      terms: [{ index: 1, term: 1 }],
      configurations: [],
      committedEndIndex: 1,
      sentAt: 0,
      readSequence: 0,
    };
    const sent: Frame = {
      from,
      to,
      incarnation,
      nodeMessages: [],
      groupMessages: [{ group: 'g', message, bytes: [entries] }],
    };
    const parts = encodeFrame(sent);
    expect(parts.at(-1)).toBe(entries);
    const bytes = Buffer.concat(parts);
    const [part] = decodeFrame(bytes).groupMessages[0]!.bytes;
    expect(part!.buffer).toBe(bytes.buffer);
    expect(part).toEqual(entries);
  });

  it('are refused, and nothing else, wherever they are cut or a head is changed', () => {
    fc.assert(
      fc.property(frame, fc.nat(), fc.integer({ min: 1, max: 255 }), (sent, place, flip) => {
        const parts = encodeFrame(sent);
        const bytes = Buffer.concat(parts);
        expect(() => decodeFrame(bytes.subarray(0, place % bytes.length))).toThrow(ProtocolError);
        const headEnd = parts[0]!.length + parts[1]!.length;
        const changed = Buffer.from(bytes);
        changed[place % headEnd]! ^= flip;
        expect(() => decodeFrame(changed)).toThrow(ProtocolError);
      }),
    );
  });

  it('are refused where a leader contradicts itself', () => {
    fc.assert(
      fc.property(append, (message) => {
        fc.pre(message.terms.length > 0);
        const wrong = { ...message, terms: [...message.terms, message.terms[0]!] };
        const sent: Frame = {
          ...envelope,
          nodeMessages: [],
          groupMessages: [{ group: 'g', message: wrong, bytes: [] }],
        };
        expect(() => decodeFrame(Buffer.concat(encodeFrame(sent)))).toThrow(ProtocolError);
      }),
    );
  });
});

describe('configurations as entries of the log', () => {
  it('come out as they went in', () => {
    fc.assert(
      fc.property(configuration, (written) => {
        expect(decodeConfiguration(encodeConfiguration(written))).toEqual(written);
      }),
    );
  });

  it('are written so, for all time', () => {
    const written: Configuration = {
      voters: [memberId(1, 'ab'), memberId(2, 'cd')],
      outgoing: [memberId(1, 'ab')],
      learners: [],
      revision: 5,
    };
    expect(encodeConfiguration(written).toString('hex')).toBe(
      ['00', '0000000000000005', '03', '00000001036162', '00000002036364', '02', '00000001036162', '01'].join(
        '',
      ),
    );
  });

  it('are not read from other bytes', () => {
    fc.assert(
      fc.property(configuration, fc.nat(), (written, cut) => {
        const bytes = encodeConfiguration(written);
        expect(decodeConfiguration(bytes.subarray(0, cut % bytes.length))).toBeUndefined();
        expect(decodeConfiguration(Buffer.concat([bytes, Buffer.alloc(1)]))).toBeUndefined();
        bytes[0] = 1;
        expect(decodeConfiguration(bytes)).toBeUndefined();
      }),
    );
  });
});

describe('roll calls in parts', () => {
  const led = fc.array(groupTerm, { maxLength: 40 });

  it('are heard once, whole, when the last part has come', () => {
    fc.assert(
      fc.property(led, fc.integer({ min: 1, max: 9 }), (groups, groupsMax) => {
        const call = { kind: 'roll-call' as const, ...envelope, sentAt: 4, led: groups };
        const parts = rollCallParts(call, groupsMax);
        expect(parts.every(({ led: some }) => some.length <= groupsMax)).toBe(true);
        const assembler = new RollAssembler();
        const heard = parts.map((part) => assembler.add(part));
        expect(heard.slice(0, -1).every((each) => each === undefined)).toBe(true);
        expect(heard.at(-1)).toEqual(call);
        expect(assembler.add(parts.at(-1)!)).toEqual(parts.length === 1 ? call : undefined);
      }),
    );
  });

  it('are not heard where a part is missing, or is of another roll', () => {
    const call = { kind: 'roll-call' as const, ...envelope, sentAt: 1, led: groupsOf(5) };
    const [a, b, c] = rollCallParts(call, 2);
    const assembler = new RollAssembler();
    expect([a, c].map((part) => assembler.add(part!))).toEqual([undefined, undefined]);
    const [, otherB, otherC] = rollCallParts({ ...call, sentAt: 2 }, 2);
    expect([a, otherB, otherC].map((part) => assembler.add(part!))).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect([a, b, c].map((part) => assembler.add(part!))).toEqual([undefined, undefined, call]);
  });

  it('have answers that can be taken apart', () => {
    const strayed = groupsOf(5).map(({ group }) => group);
    const call = { sentAt: 3, askedBy: 1, isWhole: true };
    const answer = { kind: 'roll-answer' as const, ...envelope, ...call, strayed };
    const parts = rollAnswerParts(answer, 2);
    expect(parts.map((part) => part.strayed)).toEqual([['g0', 'g1'], ['g2', 'g3'], ['g4']]);
    expect(parts.some(({ isWhole }) => isWhole)).toBe(false);
    expect(rollAnswerParts(answer, 5)).toEqual([answer]);
  });
});

function groupsOf(count: number): GroupTerm[] {
  return Array.from({ length: count }, (_, place) => ({ group: `g${place}`, term: place }));
}

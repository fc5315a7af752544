import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeRaftOnly } from '../../../broker/log/raft-only.ts';
import {
  indexesWithin,
  receivedBatches,
  withoutFirst,
} from '../../../broker/partition/consensus/received-entries.ts';
import { encodeConfiguration } from '../../../broker/raft/configuration-codec.ts';
import type { Configuration, PlacedConfiguration } from '../../../broker/raft/configuration.ts';
import { memberId } from '../../../broker/raft/member.ts';
import type { Append } from '../../../broker/raft/messages.ts';
import type { TermStart } from '../../../broker/raft/term-log.ts';
import { encodeBatch } from '../../../protocol/index.ts';

interface Entries {
  readonly message: Append;
  readonly batches: readonly Buffer[];
  /** Of each batch, the index of its first entry. */
  readonly indexes: readonly number[];
}

const configuration: Configuration = {
  voters: [memberId(1, 'a')],
  outgoing: [],
  learners: [],
  revision: 0,
};

interface Drawn {
  readonly fromIndex: number;
  readonly startTerm: number;
  readonly offset: number;
  readonly kinds: readonly (number | 'term-start' | 'configuration' | 'delete-records')[];
}

/** A piece of a leader's log: numbers are batches of so many records, the others entries of Raft's own. */
const drawn: fc.Arbitrary<Drawn> = fc.record({
  fromIndex: fc.integer({ min: 1, max: 1000 }),
  startTerm: fc.integer({ min: 1, max: 50 }),
  offset: fc.nat({ max: 1000 }),
  kinds: fc.array(
    fc.oneof(
      fc.integer({ min: 1, max: 4 }),
      fc.constantFrom('term-start' as const, 'configuration' as const, 'delete-records' as const),
    ),
    { minLength: 1, maxLength: 12 },
  ),
});

function entriesOf({ fromIndex, startTerm, offset, kinds }: Drawn): Entries {
  const batches: Buffer[] = [];
  const indexes: number[] = [];
  const terms: TermStart[] = [];
  const configurations: PlacedConfiguration[] = [];
  let index = fromIndex;
  let term = startTerm;
  let nextOffset = offset;
  for (const kind of kinds) {
    indexes.push(index);
    if (typeof kind === 'number') {
      const records = Array.from({ length: kind }, () => ({
        timestamp: 5,
        key: null,
        value: Buffer.alloc(50, kind),
        headers: [],
      }));
      batches.push(encodeBatch(records, { baseOffset: nextOffset, partitionLeaderEpoch: term }));
      index += kind;
      nextOffset += kind;
      continue;
    }
    if (kind === 'term-start') terms.push({ index, term: ++term });
    if (kind === 'configuration') configurations.push({ index, configuration });
    const payload = kind === 'configuration' ? encodeConfiguration(configuration) : Buffer.alloc(0);
    batches.push(encodeRaftOnly({ kind, term, payload, index, offset: nextOffset }));
    index++;
  }
  const message: Append = {
    kind: 'append',
    from: memberId(1, 'a'),
    to: memberId(2, 'b'),
    term,
    fromIndex,
    endIndex: index,
    previousTerm: startTerm,
    terms,
    configurations,
    committedEndIndex: 1,
    sentAt: 0,
    readSequence: 0,
  };
  return { message, batches, indexes };
}

/** The same bytes, cut into parts anywhere. */
function cutAt(bytes: Buffer, places: readonly number[]): Buffer[] {
  const cuts = [...new Set(places.map((place) => place % bytes.length))].sort((a, b) => a - b);
  const parts: Buffer[] = [];
  let from = 0;
  for (const cut of [...cuts, bytes.length]) {
    if (cut > from) parts.push(bytes.subarray(from, cut));
    from = cut;
  }
  return parts;
}

describe('entries that come with a message', () => {
  it('are taken batch by batch, at their indexes', () => {
    fc.assert(
      fc.property(drawn, (each) => {
        const { message, batches, indexes } = entriesOf(each);
        const received = receivedBatches(message, Buffer.concat(batches));
        expect(received?.map(({ index }) => index)).toEqual(indexes);
        expect(received?.map(({ batch }) => batch)).toEqual(batches);
        expect(received?.map(({ raftOnly }) => raftOnly?.kind ?? 'data')).toEqual(
          each.kinds.map((kind) => (typeof kind === 'number' ? 'data' : kind)),
        );
      }),
    );
  });

  it('are not taken with any byte changed, but for those that are set at the append', () => {
    fc.assert(
      fc.property(drawn, fc.nat(), fc.integer({ min: 1, max: 255 }), (each, place, flip) => {
        const { message, batches } = entriesOf(each);
        const bytes = Buffer.concat(batches);
        const position = place % bytes.length;
        bytes[position]! ^= flip;
        const received = receivedBatches(message, bytes);
        // The offset of the first is compared with the log.
        const isFirstOffset = position < 8 && batches.length === 1 && typeof each.kinds[0] === 'number';
        if (!isFirstOffset) expect(received).toBeUndefined();
      }),
    );
  });

  it('are not taken where the message says something else', () => {
    fc.assert(
      fc.property(drawn, (each) => {
        const { message, batches } = entriesOf(each);
        const bytes = Buffer.concat(batches);
        const others: Append[] = [
          { ...message, endIndex: message.endIndex + 1 },
          { ...message, fromIndex: message.fromIndex - 1 },
          { ...message, terms: [...message.terms, { index: message.endIndex, term: message.term + 1 }] },
          {
            ...message,
            configurations: [...message.configurations, { index: message.endIndex, configuration }],
          },
        ];
        if (message.terms.length > 0) others.push({ ...message, terms: message.terms.slice(1) });
        if (message.configurations.length > 0) {
          const revision = { ...configuration, revision: 1 };
          const wrong = message.configurations.map(({ index }) => ({ index, configuration: revision }));
          others.push({ ...message, configurations: wrong });
        }
        for (const other of others) expect(receivedBatches(other, bytes)).toBeUndefined();
        expect(receivedBatches(message, bytes.subarray(0, -1))).toBeUndefined();
      }),
    );
  });
});

describe('entries that are read for a follower', () => {
  const cuts = fc.array(fc.nat(), { maxLength: 6 });

  const counts = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 6 });

  /** Batches of so many records, one after the other. */
  function dataFrom(offset: number, each: readonly number[]): Buffer[] {
    let next = offset;
    return each.map((count) => {
      const records = Array.from({ length: count }, () => ({ timestamp: 1, value: Buffer.from('v') }));
      const batch = encodeBatch(records, { baseOffset: next });
      next += count;
      return batch;
    });
  }

  it('are counted wherever their bytes are parted', () => {
    fc.assert(
      fc.property(fc.nat(), counts, cuts, (offset, each, places) => {
        const indexes = each.reduce((sum, count) => sum + count);
        const parts = cutAt(Buffer.concat(dataFrom(offset, each)), places);
        expect(indexesWithin(parts, { offset, endOffset: offset + indexes })).toBe(indexes);
        expect(indexesWithin(parts, { offset, endOffset: offset + indexes - 1 })).toBeUndefined();
        expect(indexesWithin(parts, { offset: offset + 1, endOffset: Infinity })).toBeUndefined();
      }),
    );
  });

  it('are not taken for entries where their place or size is another than it was', () => {
    const bit = fc.record({ batch: fc.nat(), field: fc.constantFrom(0, 8, 23), bit: fc.nat({ max: 31 }) });
    fc.assert(
      fc.property(fc.nat(), counts, cuts, bit, (offset, each, places, flipped) => {
        const batches = dataFrom(offset, each);
        const batch = batches[flipped.batch % batches.length]!;
        batch[flipped.field + (flipped.bit >> 3)]! ^= 1 << (flipped.bit & 7);
        const endOffset = offset + each.reduce((sum, count) => sum + count);
        const parts = cutAt(Buffer.concat(batches), places);
        expect(indexesWithin(parts, { offset, endOffset })).not.toBe(endOffset - offset);
      }),
    );
  });

  it('go on after any whole batch, and not after a part of one', () => {
    fc.assert(
      fc.property(drawn, cuts, fc.nat({ max: 40 }), (each, places, skipped) => {
        const { message, batches, indexes } = entriesOf(each);
        const parts = cutAt(Buffer.concat(batches), places);
        const borders = [...indexes, message.endIndex].map((index) => index - message.fromIndex);
        const rest = withoutFirst(parts, skipped);
        const place = borders.indexOf(skipped);
        if (place === -1) expect(rest).toBeUndefined();
        else expect(Buffer.concat(rest!)).toEqual(Buffer.concat(batches.slice(place)));
      }),
    );
  });
});

import { describe, expect, it } from 'vitest';
import {
  decodeManifest,
  decodePiece,
  decodeStatus,
  encodeQuestion,
  pieceBytesMax,
} from '../../../../broker/partition/consensus/catch-up/copy-protocol.ts';
import type { CopyQuestion } from '../../../../broker/partition/consensus/catch-up/copy-protocol.ts';
import { CopyService } from '../../../../broker/partition/consensus/catch-up/copy-service.ts';
import { SendPace } from '../../../../broker/partition/consensus/catch-up/send-pace.ts';
import { memberId } from '../../../../broker/raft/member.ts';
import { ManualClock } from '../../../../platform/manual-clock.ts';
import { MemoryDisk } from '../../../../platform/memory-disk.ts';
import { appendValues, flushed, openLog, startTerm } from '../../log/log-harness.ts';

const valueBytes = 5_000;

/** Gives a log of some 20 KB, in a group in which node 2 votes and node 3 does not, at most 10,000 bytes a second. */
async function open() {
  const clock = new ManualClock();
  const { log } = await openLog({ disk: new MemoryDisk(), clock });
  startTerm(log, 1);
  for (let batch = 0; batch < 4; batch++) appendValues(log, ['x'.repeat(valueBytes)]);
  await flushed(log);
  const sending = new SendPace({
    clock,
    entriesPerSecondMax: () => Infinity,
    throttles: {
      isLeaderThrottled: () => true,
      isFollowerThrottled: () => false,
      isCopyThrottled: () => false,
      leaderPerSecondMax: () => 10_000,
      followerPerSecondMax: () => Infinity,
    },
  });
  const service = new CopyService(clock, 'one', sending);
  const configuration = {
    voters: [memberId(2, 'd')],
    outgoing: [],
    learners: [memberId(3, 'd')],
    revision: 0,
  };
  service.add('g', {
    log,
    committedEndIndex: log.endIndex,
    configurationAt: () => ({ index: 0, configuration }),
  });
  const ask = async (from: number, question: CopyQuestion) =>
    decodeStatus(Buffer.concat([...(await service.serve({ from, payload: encodeQuestion(question) }))]));
  const { rest } = await ask(3, { operation: 'begin', group: 'g', endIndex: 2, previous: undefined });
  const manifest = decodeManifest(rest);
  const file = manifest.files.findIndex(({ name }) => name.endsWith('.log'));
  /** The bytes of one piece, and the seconds that it took. */
  const read = async (from: number, position: number) => {
    const beganMs = clock.monotonicMs();
    const pieces: Buffer[] = [];
    const sizeBytes = pieceBytesMax;
    void ask(from, { operation: 'read', manifest: manifest.id, file, position, sizeBytes }).then((answer) => {
      pieces.push(decodePiece(answer.rest) ?? Buffer.alloc(0));
    });
    for (let turn = 0; turn < 200 && pieces.length === 0; turn++) {
      for (let step = 0; step < 20; step++) await new Promise((resolve) => setImmediate(resolve));
      if (pieces.length === 0) clock.advance(10);
    }
    return { bytes: pieces[0]?.length ?? -1, tookMs: clock.monotonicMs() - beganMs };
  };
  return { manifest, file, read, sending };
}

describe('pieces of a log', () => {
  it('go to a learner in small parts, at the rate that is allowed', async () => {
    const { manifest, file, read, sending } = await open();
    const { sizeBytes } = manifest.files[file]!;
    expect(sizeBytes).toBeGreaterThan(4 * valueBytes);
    let position = 0;
    let tookMs = 0;
    while (position < sizeBytes) {
      const piece = await read(3, position);
      expect(piece.bytes).toBeGreaterThan(0);
      position += piece.bytes;
      tookMs += piece.tookMs;
    }
    expect([position, sending.sentBytes]).toEqual([sizeBytes, sizeBytes]);
    // Two seconds for 20,000 bytes; the last part is sent before it is paid for.
    expect(tookMs).toBeGreaterThan(1_600);
    expect(tookMs).toBeLessThan(2_300);
  });

  it('go to a voter at once', async () => {
    const { manifest, file, read, sending } = await open();
    expect(await read(2, 0)).toEqual({ bytes: manifest.files[file]!.sizeBytes, tookMs: 0 });
    expect(sending.sentBytes).toBe(0);
  });
});

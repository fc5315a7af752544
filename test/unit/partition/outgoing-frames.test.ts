import { describe, expect, it } from 'vitest';
import { OutgoingFrames } from '../../../broker/partition/consensus/outgoing-frames.ts';
import { decodeFrame } from '../../../broker/raft/frame-codec.ts';
import type { GroupMessage } from '../../../broker/raft/frame-codec.ts';
import { memberId } from '../../../broker/raft/member.ts';

const group = 'AAAAAAAAAAAAAAAAAAAAAA:0';

function append(text: string): GroupMessage {
  const message = {
    kind: 'append' as const,
    from: memberId(1, 'AAAAAAAAAAAAAAAAAAAAAQ'),
    to: memberId(2, 'AAAAAAAAAAAAAAAAAAAAAg'),
    term: 3,
    fromIndex: 5,
    endIndex: 6,
    previousTerm: 3,
    terms: [],
    configurations: [],
    committedEndIndex: 5,
    sentAt: 0,
    readSequence: 0,
  };
  return { group, message, bytes: [Buffer.from(text)] };
}

describe('messages to other nodes', () => {
  it('give their bytes back when the transport has done with them, and not before', async () => {
    const done: (() => void)[] = [];
    const frames: (readonly Buffer[])[] = [];
    const outgoing = new OutgoingFrames({
      nodeId: 1,
      incarnation: 1,
      transport: {
        send: (_nodeId, frame, release) => {
          frames.push(frame);
          done.push(release);
        },
      },
    });
    const released: string[] = [];
    for (const name of ['a', 'b']) outgoing.addGroupMessage(2, append(name), () => released.push(name));
    await Promise.resolve();
    // Both went in one frame, of which the transport may still send the very bytes that were given to it.
    expect(frames).toHaveLength(1);
    const sent = decodeFrame(Buffer.concat(frames[0]!));
    expect(sent.groupMessages.map(({ bytes }) => Buffer.concat(bytes).toString())).toEqual(['a', 'b']);
    expect(released).toEqual([]);
    done[0]!();
    expect(released).toEqual(['a', 'b']);
    outgoing.addGroupMessage(2, append('c'), () => released.push('c'));
    outgoing.stop();
    expect(released).toEqual(['a', 'b', 'c']);
    outgoing.addGroupMessage(2, append('d'), () => released.push('d'));
    expect([released, frames.length]).toEqual([['a', 'b', 'c', 'd'], 1]);
  });
});

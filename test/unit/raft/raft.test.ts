/** What the scenarios do not show: single inputs and their outputs, and members that are not quite whole. */
import { describe, expect, it } from 'vitest';
import { memberId } from '../../../broker/raft/member.ts';
import type { Append, AppendAnswer } from '../../../broker/raft/messages.ts';
import { Raft } from '../../../broker/raft/raft.ts';
import type { Output, RaftOptions } from '../../../broker/raft/raft.ts';
import { assert } from '../../../platform/assert.ts';
import { SeededRandom } from '../../../platform/seeded-random.ts';
import { simSettings } from '../../raft/harness.ts';

const [one, two, three] = [memberId(1, 'a'), memberId(2, 'b'), memberId(3, 'c')] as const;

/** All nodes are heard all the time, and confirm nothing. */
class Listening {
  now = 100;
  heardAt(_nodeId: number): number {
    return this.now;
  }
  confirmedAt(): number {
    return Number.NEGATIVE_INFINITY;
  }
}

function create(changes: Partial<RaftOptions> = {}): { raft: Raft; peers: Listening } {
  const peers = new Listening();
  const raft = new Raft({
    id: one,
    settings: simSettings,
    peers,
    random: new SeededRandom(1),
    hardState: { term: 1, votedFor: undefined },
    log: { startIndex: 1, startTerm: 0, endIndex: 4, terms: [{ index: 1, term: 1 }] },
    configurations: [
      { index: 0, configuration: { voters: [one, two, three], outgoing: [], learners: [], revision: 0 } },
    ],
    committedEndIndex: 1,
    countsWritten: () => false,
    catchUp: 'segments',
    impairment: undefined,
    ...changes,
  });
  raft.take();
  return { raft, peers };
}

function append(changes: Partial<Append>): Append {
  return {
    kind: 'append',
    from: two,
    to: one,
    term: 2,
    fromIndex: 4,
    endIndex: 4,
    previousTerm: 1,
    terms: [],
    configurations: [],
    committedEndIndex: 1,
    sentAt: 7,
    readSequence: 0,
    ...changes,
  };
}

function answer(changes: Partial<AppendAnswer>): AppendAnswer {
  return {
    kind: 'append-answer',
    from: two,
    to: one,
    term: 2,
    matchedEndIndex: 5,
    writtenEndIndex: 5,
    flushedEndIndex: 5,
    committedEndIndex: 1,
    sentAt: 100,
    readSequence: 0,
    rejected: undefined,
    ...changes,
  };
}

/** Makes it the leader of term 2, whose first entry has index 4. */
function lead(raft: Raft): Output[] {
  raft.campaign();
  raft.step({ kind: 'pre-vote-answer', from: two, to: one, term: 2, isGranted: true });
  raft.hardStatePersisted(raft.hardState);
  raft.step({ kind: 'vote-answer', from: two, to: one, term: 2, isGranted: true });
  expect(raft.role).toBe('leader');
  return raft.take();
}

function kinds(outputs: readonly Output[]): string[] {
  return outputs.map((output) => (output.kind === 'send' ? output.message.kind : output.kind));
}

function sent(outputs: readonly Output[], kind: string): object[] {
  return outputs.flatMap((output) =>
    output.kind === 'send' && output.message.kind === kind ? [output.message] : [],
  );
}

describe('durability', () => {
  it('says nothing in a new term before the term is durable', () => {
    const { raft } = create();
    raft.step(append({}));
    expect(kinds(raft.take())).toEqual(['persist-hard-state', 'role', 'role', 'ticking']);
    raft.hardStatePersisted({ term: 1, votedFor: undefined });
    expect(raft.take()).toEqual([]);
    raft.hardStatePersisted({ term: 2, votedFor: undefined });
    expect(sent(raft.take(), 'append-answer')).toMatchObject([
      { matchedEndIndex: 4, flushedEndIndex: 4, sentAt: 7 },
    ]);
  });

  it('does not take what the disk says of entries that were cut for those in their place', () => {
    const { raft } = create({ hardState: { term: 2, votedFor: undefined } });
    raft.step(append({ endIndex: 6, terms: [{ index: 4, term: 2 }] }));
    raft.step(append({ from: three, term: 3, endIndex: 6, terms: [{ index: 4, term: 3 }] }));
    raft.hardStatePersisted({ term: 3, votedFor: undefined });
    expect(raft.take()).toContainEqual({ kind: 'truncate', endIndex: 4, generation: 1 });
    raft.flushed(6, 0);
    expect([raft.flushedEndIndex, kinds(raft.take())]).toEqual([4, []]);
    raft.flushed(5, 1);
    expect(sent(raft.take(), 'append-answer')).toMatchObject([{ to: three, flushedEndIndex: 5 }]);
  });

  it('is at rest though a follower took for committed what has been lost', () => {
    const { raft } = create({ countsWritten: () => true });
    lead(raft);
    raft.written(5, 0);
    raft.step(answer({ committedEndIndex: 9 }));
    raft.step(answer({ from: three, committedEndIndex: 5 }));
    expect([raft.committedEndIndex, raft.isTicking]).toEqual([5, false]);
  });

  it('counts written entries where the group says so, its own and those of others', () => {
    const { raft } = create({ countsWritten: () => true });
    lead(raft);
    raft.written(5, 0);
    raft.step(answer({ flushedEndIndex: 1 }));
    expect(raft.committedEndIndex).toBe(5);
    expect(raft.flushedEndIndex).toBe(4);
  });

  it('reports what it has to cut of what was committed, which only power losses under write caching cause', () => {
    const committed = { hardState: { term: 2, votedFor: undefined }, committedEndIndex: 4 };
    const conflict = append({ fromIndex: 2, endIndex: 3, previousTerm: 1, terms: [{ index: 2, term: 2 }] });
    const caching = create({ ...committed, countsWritten: () => true });
    caching.raft.step(conflict);
    expect(caching.raft.take()).toContainEqual({ kind: 'data-lost', fromIndex: 2, endIndex: 4 });
    expect(() => create(committed).raft.step(conflict)).toThrow('what is committed is not truncated');
  });

  it('acknowledges nothing to a leader that has lost what is removed here, takes its log, and says what is lost', () => {
    const removed = {
      hardState: { term: 2, votedFor: undefined },
      log: { startIndex: 80, startTerm: 1, endIndex: 100, terms: [] },
      committedEndIndex: 90,
    };
    const first = append({ fromIndex: 50, endIndex: 51, terms: [{ index: 50, term: 2 }] });
    expect(() => create(removed).raft.step(first)).toThrow('in every later leader’s log');
    const { raft } = create({ ...removed, countsWritten: () => true });
    // What it has before its own term began is what was there.
    raft.step(append({ fromIndex: 50, endIndex: 50 }));
    expect(sent(raft.take(), 'append-answer')).toMatchObject([{ matchedEndIndex: 50, rejected: undefined }]);
    for (const message of [
      first,
      append({ fromIndex: 51, endIndex: 51, previousTerm: 2 }),
      append({ fromIndex: 60, endIndex: 95, terms: [{ index: 70, term: 2 }] }),
    ]) {
      raft.step(message);
      expect(sent(raft.take(), 'append-answer')).toMatchObject([
        { matchedEndIndex: 50, rejected: { fromIndex: message.fromIndex, hint: { term: 0, endIndex: 0 } } },
      ]);
    }
    raft.step({ kind: 'copy-request', from: two, to: one, term: 2, endIndex: 40, lastTerm: 1 });
    expect(raft.take()).toContainEqual({ kind: 'copy-segments', leader: two, endIndex: 40 });
    const configuration = { voters: [one, two, three], outgoing: [], learners: [], revision: 0 };
    const log = { startIndex: 20, startTerm: 1, endIndex: 60, terms: [{ index: 50, term: 2 }] };
    raft.logReplaced(log, [{ index: 0, configuration }]);
    const outputs = raft.take();
    expect(outputs).toContainEqual({ kind: 'data-lost', fromIndex: 50, endIndex: 90 });
    expect([raft.startIndex, raft.endIndex, raft.committedEndIndex]).toEqual([20, 60, 60]);
    expect(sent(outputs, 'append-answer')).toMatchObject([{ matchedEndIndex: 60 }]);
  });

  it('says what is lost where the leader has older entries instead, which outlived those that were committed', () => {
    const options = {
      hardState: { term: 4, votedFor: undefined },
      log: { startIndex: 80, startTerm: 3, endIndex: 100, terms: [] },
      committedEndIndex: 90,
    };
    const configuration = { voters: [one, two, three], outgoing: [], learners: [], revision: 0 };
    const replacements = [
      {
        startIndex: 20,
        startTerm: 1,
        endIndex: 110,
        terms: [
          { index: 50, term: 2 },
          { index: 105, term: 4 },
        ],
      },
      // It has removed what is there instead.
      { startIndex: 96, startTerm: 2, endIndex: 110, terms: [{ index: 105, term: 4 }] },
    ];
    for (const log of replacements) {
      const replace = (countsWritten: boolean): Output[] => {
        const { raft } = create({ ...options, countsWritten: () => countsWritten });
        raft.step({ kind: 'copy-request', from: two, to: one, term: 4, endIndex: 110, lastTerm: 4 });
        raft.logReplaced(log, [{ index: 0, configuration }]);
        expect(raft.committedEndIndex).toBe(110);
        return raft.take();
      };
      expect(replace(true)).toContainEqual({ kind: 'data-lost', fromIndex: 79, endIndex: 90 });
      expect(() => replace(false)).toThrow('what is committed is not truncated');
    }
  });

  it('says nothing of losses where the log that takes its place has all that was committed', () => {
    const configuration = { voters: [one, two, three], outgoing: [], learners: [], revision: 0 };
    const options = {
      hardState: { term: 4, votedFor: undefined },
      log: { startIndex: 80, startTerm: 2, endIndex: 100, terms: [{ index: 85, term: 3 }] },
      committedEndIndex: 90,
    };
    const replacements = [
      // What it has beyond was never committed.
      {
        startIndex: 20,
        startTerm: 1,
        endIndex: 110,
        terms: [
          { index: 50, term: 2 },
          { index: 85, term: 3 },
          { index: 90, term: 4 },
        ],
      },
      { startIndex: 87, startTerm: 3, endIndex: 110, terms: [{ index: 95, term: 4 }] },
      { startIndex: 96, startTerm: 4, endIndex: 110, terms: [] },
    ];
    for (const log of replacements) {
      const { raft } = create(options);
      raft.step({ kind: 'copy-request', from: two, to: one, term: 4, endIndex: 110, lastTerm: 4 });
      raft.logReplaced(log, [{ index: 0, configuration }]);
      expect([kinds(raft.take()).includes('data-lost'), raft.committedEndIndex]).toEqual([false, 110]);
    }
  });

  it('acknowledges of a copy that it does not need no more than the leader has for certain', () => {
    const options = {
      hardState: { term: 2, votedFor: undefined },
      log: { startIndex: 20, startTerm: 1, endIndex: 100, terms: [] },
      committedEndIndex: 90,
    };
    const request = { kind: 'copy-request', from: two, to: one, term: 2, endIndex: 41, lastTerm: 1 } as const;
    // What is committed is in every leader's log, but where that may have lost it.
    for (const [countsWritten, matchedEndIndex] of [
      [true, 41],
      [false, 90],
    ] as const) {
      const { raft } = create({ ...options, countsWritten: () => countsWritten });
      raft.step(request);
      const outputs = raft.take();
      expect(kinds(outputs)).not.toContain('copy-segments');
      expect(sent(outputs, 'append-answer')).toMatchObject([
        { matchedEndIndex, writtenEndIndex: matchedEndIndex },
      ]);
    }
  });

  it('keeps a log that is known to be the leader’s, though the leader has asked to replace it before', () => {
    const { raft } = create({
      hardState: { term: 2, votedFor: undefined },
      log: { startIndex: 80, startTerm: 1, endIndex: 100, terms: [] },
      committedEndIndex: 90,
      countsWritten: () => true,
    });
    raft.step(append({ fromIndex: 100, endIndex: 100 }));
    raft.take();
    raft.step({ kind: 'copy-request', from: two, to: one, term: 2, endIndex: 40, lastTerm: 1 });
    const outputs = raft.take();
    expect(kinds(outputs)).not.toContain('copy-segments');
    expect(sent(outputs, 'append-answer')).toMatchObject([{ matchedEndIndex: 100 }]);
  });

  it('sends its whole log to a follower that has removed what is lost', () => {
    const { raft } = create({ countsWritten: () => true });
    lead(raft);
    raft.step(answer({ matchedEndIndex: 4, writtenEndIndex: 4 }));
    raft.take();
    const rejected = { fromIndex: 4, hint: { term: 0, endIndex: 0 } };
    // One that came before what has been answered since is of an earlier time.
    raft.step(answer({ matchedEndIndex: 4, writtenEndIndex: 4, rejected }));
    expect(sent(raft.take(), 'copy-request')).toEqual([]);
    raft.step(answer({ matchedEndIndex: 4, writtenEndIndex: 4, sentAt: 101, rejected }));
    expect(sent(raft.take(), 'copy-request')).toMatchObject([{ to: two, endIndex: 1, lastTerm: 0 }]);
    expect(raft.endIndexHeldBy(2)).toBe(0);
  });

  it('goes by the configuration that it knows where a power loss took the part of the log in which that stood', () => {
    const configuration = { voters: [one, two, three], outgoing: [], learners: [], revision: 7 };
    const options = {
      hardState: { term: 2, votedFor: undefined },
      committedEndIndex: 4,
      configurations: [{ index: 3, configuration }],
      countsWritten: () => true,
    };
    const { raft } = create(options);
    const next = { ...configuration, revision: 8 };
    raft.step(
      append({
        fromIndex: 2,
        endIndex: 4,
        terms: [{ index: 2, term: 2 }],
        configurations: [{ index: 3, configuration: next }],
      }),
    );
    expect(raft.take()).toContainEqual({ kind: 'configuration', index: 1, configuration });
    expect([raft.configuration, raft.endIndex]).toEqual([next, 4]);
  });

  it('takes the term of an entry that reached the disk before the term itself', () => {
    const { raft } = create({ hardState: { term: 0, votedFor: undefined } });
    expect(raft.hardState).toEqual({ term: 1, votedFor: undefined });
  });
});

describe('a follower', () => {
  it('appends only what it lacks of entries that come twice, late or overlapping', () => {
    const { raft } = create({ hardState: { term: 2, votedFor: undefined } });
    const terms = [{ index: 4, term: 2 }];
    const appends = (): Output[] =>
      raft.take().filter(({ kind }) => kind === 'append' || kind === 'truncate');
    raft.step(append({ endIndex: 8, terms }));
    expect(appends()).toEqual([{ kind: 'append', fromIndex: 4, endIndex: 8 }]);
    raft.step(append({ endIndex: 6, terms }));
    raft.step(append({ fromIndex: 6, endIndex: 7, previousTerm: 2 }));
    expect(appends()).toEqual([]);
    raft.step(append({ fromIndex: 6, endIndex: 10, previousTerm: 2 }));
    expect(appends()).toEqual([{ kind: 'append', fromIndex: 8, endIndex: 10 }]);
  });

  it('acknowledges nothing beyond what is known to be the leader’s', () => {
    const { raft } = create({ hardState: { term: 2, votedFor: undefined } });
    raft.step(append({ fromIndex: 2, endIndex: 2, committedEndIndex: 4 }));
    expect(sent(raft.take(), 'append-answer')).toMatchObject([
      { matchedEndIndex: 2, writtenEndIndex: 2, flushedEndIndex: 2, committedEndIndex: 2 },
    ]);
  });

  it('gives its leader up at once when the node is known to be gone, but not a lease', () => {
    for (const leases of [undefined, { driftTicks: 2 }]) {
      const { raft, peers } = create({ settings: { ...simSettings, leases } });
      raft.step(append({}));
      peers.heardAt = (nodeId: number) => (nodeId === 2 ? 90 : peers.now);
      raft.nodeSilent(3);
      peers.now += 5;
      raft.tick();
      expect(raft.role).toBe('follower');
      raft.nodeSilent(2);
      peers.now += 4;
      raft.tick();
      expect(raft.role).toBe(leases === undefined ? 'pre-candidate' : 'follower');
    }
  });

  it('is not a voter without being in the configuration, and wants no ticks', () => {
    const { raft, peers } = create({ id: memberId(1, 'another directory') });
    peers.now += 1000;
    raft.tick();
    raft.campaign();
    expect([raft.role, raft.isTicking]).toEqual(['follower', false]);
  });

  it('takes no message for another directory of its node', () => {
    const { raft } = create();
    raft.step(append({ to: memberId(1, 'another directory') }));
    expect([raft.term, raft.take()]).toEqual([1, []]);
  });
});

describe('a log that is replaced', () => {
  const request = { kind: 'copy-request', from: two, to: one, term: 2, endIndex: 9, lastTerm: 2 } as const;
  const log = { startIndex: 7, startTerm: 1, endIndex: 9, terms: [{ index: 7, term: 2 }] };
  const configuration = { voters: [two, three], outgoing: [], learners: [one], revision: 3 };

  it('brings its configuration, and is acknowledged as far as it goes', () => {
    const { raft } = create({ hardState: { term: 2, votedFor: undefined } });
    raft.step(request);
    expect(raft.take()).toContainEqual({ kind: 'copy-segments', leader: two, endIndex: 9 });
    raft.logReplaced(log, [{ index: 6, configuration }]);
    const outputs = raft.take();
    expect(raft.configuration).toEqual(configuration);
    expect([raft.startIndex, raft.endIndex, raft.committedEndIndex, raft.flushedEndIndex]).toEqual([
      7, 9, 9, 9,
    ]);
    expect(sent(outputs, 'append-answer')).toMatchObject([{ matchedEndIndex: 9, flushedEndIndex: 9 }]);
  });

  it('takes no entries and asks for nothing meanwhile, also after a failure only when it is over', () => {
    const { raft, peers } = create({ hardState: { term: 2, votedFor: undefined } });
    raft.step(request);
    raft.step(append({ endIndex: 6, terms: [{ index: 4, term: 2 }] }));
    raft.leaderGone(2);
    peers.now += 100;
    raft.tick();
    raft.campaign();
    expect([raft.endIndex, raft.role]).toEqual([4, 'follower']);
    raft.replacementFailed();
    raft.campaign();
    expect(raft.role).toBe('pre-candidate');
  });

  it('is not needed where the entry is there: what is acknowledged beyond it must stay', () => {
    const { raft } = create({ hardState: { term: 2, votedFor: undefined } });
    raft.step({ ...request, endIndex: 3, lastTerm: 1 });
    const outputs = raft.take();
    expect(kinds(outputs)).not.toContain('copy-segments');
    expect([raft.committedEndIndex, raft.endIndex]).toEqual([3, 4]);
    expect(sent(outputs, 'append-answer')).toMatchObject([{ matchedEndIndex: 3 }]);
  });

  it('goes on with a snapshot where it stopped, under another leader too', () => {
    const { raft } = create({ hardState: { term: 2, votedFor: undefined }, catchUp: 'snapshot' });
    const placed = { index: 6, configuration };
    const snapshot = {
      id: 's',
      lastIndex: 8,
      lastTerm: 2,
      configuration: placed,
      sizeBytes: 10,
      checksum: 1,
    };
    const chunk = { kind: 'snapshot-chunk', from: two, to: one, term: 2, snapshot, sizeBytes: 6 } as const;
    raft.step({ ...chunk, position: 0 });
    expect(raft.take()).toContainEqual({ kind: 'write-chunk', snapshot, position: 0 });
    raft.chunkWritten('s', 6);
    expect(sent(raft.take(), 'snapshot-answer')).toMatchObject([{ position: 6 }]);
    raft.step({ ...chunk, from: three, term: 3, position: 0 });
    raft.hardStatePersisted(raft.hardState);
    expect(sent(raft.take(), 'snapshot-answer')).toMatchObject([{ to: three, position: 6 }]);
    raft.step({ ...chunk, from: three, term: 3, position: 6, sizeBytes: 4 });
    raft.chunkWritten('s', 10);
    expect(raft.take()).toContainEqual({ kind: 'install-snapshot', snapshot });
  });
});

describe('a leader', () => {
  it.each([
    ['messages', { inflightMessagesMax: 5, inflightBytesMax: 1_000_000 }, 5],
    ['bytes', { inflightMessagesMax: 1000, inflightBytesMax: 20 }, 7],
  ])('keeps what is under way to a follower within its window of %s', (_, limits, expected) => {
    const { raft } = create({ settings: { ...simSettings, ...limits } });
    lead(raft);
    raft.step(answer({}));
    raft.take();
    raft.propose(100);
    let reads = 0;
    for (let round = 0; round < 20; round++) {
      for (const output of raft.take()) {
        if (output.kind !== 'read-entries' || output.to !== two) continue;
        reads++;
        raft.entriesRead(output.read, output.fromIndex + 3, 3);
      }
    }
    expect(reads).toBe(expected);
    raft.step(answer({ matchedEndIndex: 8, flushedEndIndex: 8, writtenEndIndex: 8 }));
    expect(kinds(raft.take())).toContain('read-entries');
  });

  it('changes no members while it hands the leadership over', () => {
    const { raft } = create();
    lead(raft);
    raft.flushed(5, 0);
    raft.step(answer({ matchedEndIndex: 5 }));
    const members = { voters: [one, two], learners: [], revision: 1 };
    expect([raft.transferLeadership(three), raft.changeMembers(members)]).toEqual([
      undefined,
      'transferring',
    ]);
  });

  it('answers who waits for a read also where an operator has it campaign in a smaller group', () => {
    const { raft, peers } = create();
    lead(raft);
    raft.requestRead(7);
    peers.now += 10;
    expect(raft.forceConfiguration({ voters: [one], learners: [], revision: 1 })).toBeUndefined();
    expect(raft.take()).toContainEqual({ kind: 'read', token: 7, endIndex: undefined });
  });

  it('sends once more what a lost message has cost, however many rejections of that come, and how often', () => {
    const { raft, peers } = create();
    lead(raft);
    raft.step(answer({}));
    raft.take();
    raft.propose(100);
    /** Entries are read and sent in threes; returns the messages with entries. */
    const send = (): number => {
      let messages = 0;
      for (let outputs = raft.take(); outputs.length > 0; outputs = raft.take()) {
        for (const output of outputs) {
          if (output.kind !== 'read-entries' || output.to !== two) continue;
          messages++;
          raft.entriesRead(output.read, output.fromIndex + 3, 3);
        }
      }
      return messages;
    };
    const window = send();
    const stalled = answer({ sentAt: peers.now });
    // The first message is lost, so that all others are rejected, each several times; the probe that follows is accepted.
    const rejections = Array.from({ length: window - 1 }, (_, place) => ({
      ...stalled,
      rejected: { fromIndex: 8 + place * 3, hint: { term: 2, endIndex: 5 } },
    }));
    let again = 0;
    for (const rejection of [...rejections, ...rejections, ...rejections]) {
      raft.step(rejection);
      raft.step(stalled);
      again += send();
    }
    expect(again).toBe(window);
    // Of what was sent later a message may be lost, too.
    peers.now += 1;
    raft.step({ ...rejections[0]!, sentAt: peers.now });
    raft.step(answer({ sentAt: peers.now }));
    expect(send()).toBe(window);
  });

  it('does not go back behind what a follower has received, though that does not count yet', () => {
    const { raft } = create();
    lead(raft);
    raft.step(answer({}));
    raft.take();
    raft.propose(100);
    raft.step(answer({ matchedEndIndex: 50, writtenEndIndex: 5 }));
    raft.take();
    raft.step(answer({ matchedEndIndex: 50, rejected: { fromIndex: 20, hint: { term: 2, endIndex: 19 } } }));
    expect(sent(raft.take(), 'append')).toEqual([]);
  });

  it.each(['restarted', 'reopened'])('sends again what a follower had received and has lost: %s', (how) => {
    const { raft, peers } = create();
    lead(raft);
    raft.step(answer({}));
    raft.take();
    raft.propose(100);
    const isRead = (output: Output) => output.kind === 'read-entries' && output.to === two;
    const first = raft.take().find(isRead);
    assert(first?.kind === 'read-entries', 'entries are read');
    raft.entriesRead(first.read, 50, 3);
    let outputs = raft.take().filter(isRead);
    raft.step(answer({ matchedEndIndex: 50 }));
    // From now on it holds nothing from index 5 on, and rejects every message that would be joined to that, each twice.
    peers.now += simSettings.timing.heartbeatTicks;
    if (how === 'restarted') raft.nodeRestarted(2);
    const froms: number[] = [];
    for (let round = 0; round < 100 && froms.at(-1) !== 5; round++) {
      for (const output of [...outputs, ...raft.take()]) {
        if (output.kind === 'read-entries' && output.to === two) {
          raft.entriesRead(output.read, output.fromIndex + 3, 3);
        }
        if (output.kind !== 'send' && output.kind !== 'send-entries') continue;
        const { message } = output;
        if (message.kind !== 'append' || message.to !== two) continue;
        const { fromIndex, sentAt } = message;
        froms.push(fromIndex);
        if (fromIndex === 5) break;
        const rejected = { fromIndex, hint: { term: 2, endIndex: 5 } };
        for (let time = 0; time < 2; time++) raft.step(answer({ sentAt, rejected }));
      }
      outputs = [];
      raft.step(answer({ from: three, sentAt: peers.now }));
      peers.now++;
      raft.tick();
    }
    expect(froms.at(-1)).toBe(5);
    expect(froms.length).toBeLessThan(10);
  });

  it('steps down when no majority has answered for an election timeout', () => {
    const { raft, peers } = create();
    lead(raft);
    raft.requestRead(5);
    peers.now += 4;
    raft.step(answer({ sentAt: peers.now }));
    peers.now += 9;
    raft.tick();
    expect(raft.role).toBe('leader');
    peers.now += 1;
    raft.take();
    raft.tick();
    expect(raft.role).toBe('follower');
    expect(raft.take()).toContainEqual({ kind: 'read', token: 5, endIndex: undefined });
    expect(raft.propose(1)).toEqual({ kind: 'refused', reason: 'not-leader' });
  });

  it('drops entries that were read for a follower that needs others by now', () => {
    const { raft } = create();
    const outputs = lead(raft);
    const read = outputs.find((output) => output.kind === 'read-entries');
    raft.nodeRestarted(2);
    raft.take();
    raft.entriesRead(read!.read, 5, 1);
    expect(raft.take()).toEqual([]);
  });

  it('does not count what a member said before its node started anew', () => {
    const { raft } = create();
    lead(raft);
    raft.step(answer({}));
    raft.nodeRestarted(2);
    raft.flushed(5, 0);
    expect(raft.committedEndIndex).toBe(1);
    raft.step(answer({}));
    expect(raft.committedEndIndex).toBe(5);
  });

  it('says how far at least so many voters have come', () => {
    const { raft } = create();
    lead(raft);
    raft.flushed(5, 0);
    raft.step(answer({ matchedEndIndex: 4, flushedEndIndex: 4, writtenEndIndex: 4 }));
    expect([1, 2, 3, 4].map((copies) => raft.endIndexHeldBy(copies))).toEqual([5, 4, 0, 0]);
  });
});

describe('a member that is not whole', () => {
  const vote = { kind: 'vote', from: two, to: one, isTransfer: false } as const;

  it('votes, with damage, only for who has what it has lost', () => {
    const floor = { term: 1, index: 9 };
    for (const [lastIndex, isGranted] of [
      [8, false],
      [9, true],
    ] as const) {
      const { raft } = create({ impairment: { kind: 'damaged', floor } });
      raft.step({ ...vote, term: 2, lastIndex, lastTerm: 1 });
      raft.hardStatePersisted(raft.hardState);
      expect(sent(raft.take(), 'vote-answer')).toMatchObject([{ isGranted }]);
    }
  });

  it('does not campaign, even when it is told to, until a leader has made it whole', () => {
    const { raft, peers } = create({ impairment: { kind: 'damaged', floor: { term: 2, index: 5 } } });
    peers.now += 1000;
    raft.tick();
    raft.campaign();
    expect(raft.role).toBe('follower');
    raft.step(append({ endIndex: 6, terms: [{ index: 4, term: 2 }] }));
    raft.flushed(5, 0);
    expect(raft.isImpaired).toBe(true);
    raft.flushed(6, 0);
    expect([raft.isImpaired, kinds(raft.take())]).toEqual([false, expect.arrayContaining(['repaired'])]);
  });

  it('is whole, after damage, once it durably holds an entry of a later term than it had lost', () => {
    const { raft } = create({ impairment: { kind: 'damaged', floor: { term: 1, index: 50 } } });
    raft.step(append({ endIndex: 5, terms: [{ index: 4, term: 2 }] }));
    expect(raft.isImpaired).toBe(true);
    raft.flushed(5, 0);
    expect([raft.isImpaired, kinds(raft.take())]).toEqual([false, expect.arrayContaining(['repaired'])]);
  });

  it('is not looked at below the beginning of its log, as long as nothing is known to match its leader', () => {
    const { raft } = create({
      log: { startIndex: 80, startTerm: 1, endIndex: 100, terms: [] },
      committedEndIndex: 80,
      impairment: { kind: 'damaged', floor: { term: 1, index: 150 } },
    });
    raft.flushed(100, 0);
    expect(raft.isImpaired).toBe(true);
  });

  it('is whole, after a loss of memory, when it has all that was committed before the term', () => {
    const { raft } = create({ impairment: { kind: 'memory-lost' } });
    raft.step(append({ committedEndIndex: 4 }));
    expect(raft.isImpaired).toBe(true);
    raft.step(append({ endIndex: 5, terms: [{ index: 4, term: 2 }], committedEndIndex: 5 }));
    expect(raft.isImpaired).toBe(true);
    raft.flushed(5, 0);
    expect(raft.isImpaired).toBe(false);
  });

  it('is not whole past its floor where it has lost its memory, too', () => {
    const floor = { term: 1, index: 2 };
    const { raft } = create({ impairment: { kind: 'damaged', floor, hasLostMemory: true } });
    raft.step(append({ committedEndIndex: 4 }));
    raft.campaign();
    expect([raft.isImpaired, raft.role]).toEqual([true, 'follower']);
    raft.step(append({ endIndex: 5, terms: [{ index: 4, term: 2 }], committedEndIndex: 5 }));
    raft.flushed(5, 0);
    expect([raft.isImpaired, kinds(raft.take())]).toEqual([false, expect.arrayContaining(['repaired'])]);
  });

  it('is whole, after a loss of memory, once it has in memory what counts there', () => {
    const { raft } = create({ impairment: { kind: 'memory-lost' }, countsWritten: () => true });
    raft.step(append({ endIndex: 5, terms: [{ index: 4, term: 2 }], committedEndIndex: 5 }));
    expect(raft.isImpaired).toBe(true);
    raft.written(5, 0);
    expect([raft.isImpaired, raft.flushedEndIndex]).toEqual([false, 4]);
  });
});

describe('a lease', () => {
  const leases = { settings: { ...simSettings, leases: { driftTicks: 2 } } };
  const vote = { kind: 'vote', from: two, to: one, isTransfer: false, lastIndex: 99, lastTerm: 1 } as const;
  const answers = (raft: Raft): object[] => {
    raft.hardStatePersisted(raft.hardState);
    return sent(raft.take(), 'vote-answer');
  };

  it('is kept by a voter that has learned of a higher term meanwhile', () => {
    const { raft, peers } = create(leases);
    peers.now += 10;
    raft.step(append({}));
    raft.step(answer({ from: three, term: 5 }));
    expect([raft.term, raft.leader]).toEqual([5, undefined]);
    peers.now += 9;
    raft.step({ ...vote, term: 6 });
    expect([raft.term, answers(raft)]).toEqual([5, []]);
    peers.now += 1;
    raft.step({ ...vote, term: 6 });
    expect(answers(raft)).toMatchObject([{ isGranted: true }]);
  });

  it('lasts from when the messages were sent that a majority has answered, and not from the answers', () => {
    const { raft, peers } = create(leases);
    peers.now += 10;
    lead(raft);
    raft.flushed(5, 0);
    peers.now += 5;
    raft.step(answer({ sentAt: 110 }));
    expect([raft.isReady, raft.holdsLease]).toEqual([true, true]);
    // A tick less than the clocks may drift: the follower's promise began within one of its ticks, and counts from the tick's start.
    peers.now = 116;
    expect(raft.holdsLease).toBe(true);
    peers.now = 117;
    expect(raft.holdsLease).toBe(false);
  });

  it('counts what a node confirms for all its groups only from when the member is known to follow in this one', () => {
    const { raft, peers } = create(leases);
    peers.now = 110;
    lead(raft);
    raft.flushed(5, 0);
    peers.now = 114;
    // Sent long before, answered only now; the node has confirmed others of its groups meanwhile.
    raft.step(answer({ sentAt: 110 }));
    peers.confirmedAt = () => 113;
    peers.now = 117;
    expect([raft.isReady, raft.holdsLease]).toEqual([true, false]);
    peers.confirmedAt = () => 114;
    expect(raft.holdsLease).toBe(true);
  });

  it('ends when the leadership is handed to another, though it should not be taken', () => {
    const { raft, peers } = create(leases);
    peers.now += 10;
    lead(raft);
    raft.flushed(5, 0);
    raft.step(answer({ sentAt: 110 }));
    expect(raft.holdsLease).toBe(true);
    expect(raft.transferLeadership(two)).toBeUndefined();
    expect(sent(raft.take(), 'timeout-now')).toMatchObject([{ to: two }]);
    expect(raft.holdsLease).toBe(false);
    peers.now += 5;
    raft.step(answer({ from: three, sentAt: 115 }));
    raft.step(answer({ sentAt: 115 }));
    expect(raft.holdsLease).toBe(false);
  });

  it('is kept where the leader’s node is said not to lead, which may have been so before it did', () => {
    const { raft, peers } = create(leases);
    raft.step(append({}));
    peers.now += 5;
    raft.leaderGone(2);
    expect(raft.leader).toBeUndefined();
    for (let tick = 0; tick < 9; tick++) {
      peers.now += 1;
      raft.tick();
    }
    raft.step({ ...vote, term: 3 });
    expect([raft.role, answers(raft)]).toEqual(['follower', []]);
    peers.now += 1;
    raft.step({ ...vote, term: 3 });
    expect(answers(raft)).toMatchObject([{ term: 3, isGranted: true }]);
  });

  it('is void when the leader itself says that it leads no more', () => {
    const { raft, peers } = create(leases);
    peers.now += 10;
    raft.step(append({}));
    raft.step({ kind: 'resignation', from: two, to: one, term: 2 });
    raft.step({ ...vote, term: 3 });
    expect(answers(raft)).toMatchObject([{ term: 3, isGranted: true }]);
  });

  it('is kept by a voter that has started anew, unless it had no term before', () => {
    const { raft, peers } = create(leases);
    raft.step({ ...vote, term: 2 });
    expect(answers(raft)).toEqual([]);
    peers.now += 10;
    raft.step({ ...vote, term: 2 });
    expect(answers(raft)).toMatchObject([{ isGranted: true }]);
    const empty = { startIndex: 1, startTerm: 0, endIndex: 1, terms: [] };
    const fresh = create({ ...leases, log: empty, hardState: { term: 0, votedFor: undefined } });
    fresh.raft.step({ ...vote, term: 2 });
    expect(answers(fresh.raft)).toMatchObject([{ isGranted: true }]);
  });
});

describe('an operator', () => {
  it('cannot replace the members while a leader is heard, nor without this one among them', () => {
    const { raft } = create();
    raft.step(append({}));
    const members = { voters: [one], learners: [], revision: 9 };
    expect(raft.forceConfiguration(members)).toBe('leader-alive');
    raft.resign();
    raft.leaderGone(2);
    expect(raft.forceConfiguration({ ...members, voters: [two] })).toBe('not-voter');
    expect(raft.forceConfiguration(members)).toBeUndefined();
    raft.hardStatePersisted(raft.hardState);
    expect([raft.role, raft.term, raft.configuration.voters]).toEqual(['leader', 1002, [one]]);
  });
});

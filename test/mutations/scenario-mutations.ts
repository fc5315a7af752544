/**
 * Bugs of Raft implementations that a scenario tells of by name (test/raft/scenarios): that very one has to find the bug, so that no
 * title promises what its log does not show.
 */
import type { Mutation } from './mutation.ts';

interface Planted extends Omit<Mutation, 'hunts'> {
  /** The file's name, without its ending. */
  readonly scenario: string;
}

/** Plays them all. */
export const scenariosFile = 'test/raft/scenarios.test.ts';

const planted: readonly Planted[] = [
  {
    scenario: 'late-disk-of-a-deposed-leader',
    name: 'a disk that completes a write of an earlier term, which was cut since, is believed',
    file: 'group.ts',
    from: 'if (generation !== this.#generation) return false;',
    to: 'void generation;',
  },
  {
    scenario: 'write-that-was-cut-and-came-back',
    name: 'a disk that completes what an entry has replaced, which is back, is believed where the index fits',
    file: 'group.ts',
    from: 'if (generation !== this.#generation) return false;',
    to: 'if (generation !== this.#generation && endIndex >= this.log.endIndex) return false;',
  },
  {
    scenario: 'late-disk-of-an-earlier-vote',
    name: 'a vote is said when the disk has an earlier one',
    file: 'group.ts',
    from: 'if (hardState.term !== term || hardState.votedFor !== votedFor) return false;',
    to: 'void [hardState, term, votedFor];',
  },
  {
    scenario: 'own-vote-that-comes-too-late',
    name: 'a member leads when its own vote is durable, though another does by then',
    file: 'roles.ts',
    from: "if (state instanceof Candidate && state.kind === 'vote' && state.voteForItself() === 'won') this.lead();",
    to: "if (state instanceof Candidate ? state.kind === 'vote' && state.voteForItself() === 'won' : this.#group.hardState.votedFor === this.#group.id && this.role !== 'leader') this.lead();",
  },
  {
    scenario: 'window-of-bytes-is-full',
    name: 'what was received makes no room for more',
    file: 'progress.ts',
    from: 'this.#inflightBytes -= first.sizeBytes;',
    to: '',
  },
  {
    scenario: 'window-of-messages-is-full',
    name: 'a window that is full in messages is not full',
    file: 'replication.ts',
    from: 'follower.inflightCount < inflightMessagesMax &&',
    to: 'inflightMessagesMax > 0 &&',
  },
  {
    scenario: 'lost-probe-is-repeated',
    name: 'a question of where logs agree is asked once',
    file: 'replication.ts',
    from: 'follower.isProbing = false;\n        this.maybeSend(follower);',
    to: 'this.maybeSend(follower);',
  },
  {
    scenario: 'commit-is-told-again',
    name: 'what is committed is told once',
    file: 'replication.ts',
    from: 'follower.knownCommittedEndIndex === committedEndIndex &&',
    to: 'follower.toldCommittedEndIndex === committedEndIndex &&',
  },
  {
    scenario: 'messages-out-of-order',
    name: 'an older answer takes back what a newer one has said',
    file: 'progress.ts',
    from: 'if (endIndex <= this.matchedEndIndex) return false;',
    to: '',
  },
  {
    scenario: 'snapshot-is-acknowledged-as-entries-are',
    name: 'a snapshot is over when its last chunk is answered, and not otherwise',
    file: 'replication.ts',
    from: 'if (answer.matchedEndIndex >= log.startIndex) follower.becomeReplicate(answer.matchedEndIndex);\n      else this.#snapshots.outdated(follower);',
    to: 'if (answer.matchedEndIndex < log.startIndex) this.#snapshots.outdated(follower);',
  },
  {
    scenario: 'snapshot-that-has-become-too-old',
    name: 'a snapshot that reaches the log no more is not followed by a newer one',
    file: 'replication.ts',
    from: 'else this.#snapshots.outdated(follower);',
    to: '',
  },
  {
    scenario: 'snapshot-that-comes-late',
    name: 'a snapshot is installed again, whatever the log has',
    file: 'snapshot-receiver.ts',
    from: 'if (!isCommitted && !isThere) return false;',
    to: 'if (isCommitted || isThere) return false;',
  },
  {
    scenario: 'snapshot-goes-on-under-another-leader',
    name: 'a snapshot begins anew with each leader',
    file: 'snapshot-receiver.ts',
    from: 'if (this.#receiving?.snapshot.id !== snapshot.id) {',
    to: 'if (this.#receiving?.snapshot.id !== snapshot.id || position === 0) {',
  },
  {
    scenario: 'snapshot-within-a-change-of-voters',
    name: 'a snapshot of a change under way forgets the old voters',
    file: 'group.ts',
    from: 'this.configurations.reset(configurations);',
    to: 'this.configurations.reset(configurations.map(({ index, configuration }) => ({ index, configuration: { ...configuration, outgoing: [] } })));',
  },
  {
    scenario: 'leadership-is-not-handed-to-who-leaves',
    name: 'leadership is handed to a voter that is to be one no more',
    file: 'leader.ts',
    from: "if (to === id || !configuration.voters.includes(to)) return 'not-voter';",
    to: "if (to === id || !isVoter(configuration, to)) return 'not-voter';",
  },
  {
    scenario: 'leadership-there-and-back',
    name: 'voters protect a leader that hands over',
    file: 'raft.ts',
    from: 'const isProtected = !request.isTransfer && (',
    to: 'const isProtected = (',
  },
  {
    scenario: 'transfer-ends-with-the-leadership',
    name: 'a transfer is said to have been handed over where an earlier one was',
    file: 'leader.ts',
    from: "reason: isHandedOver ? 'handed-over' : 'aborted'",
    to: "reason: isHandedOver || this.#hasHandedOver ? 'handed-over' : 'aborted'",
  },
  {
    scenario: 'leadership-moves-within-a-change',
    name: 'who takes over within a change asks the new voters alone',
    file: 'candidate.ts',
    from: 'return voteResult(this.#sets, (voter) => this.#votes.get(voter));',
    to: 'return voteResult({ ...this.#sets, outgoing: [] }, (voter) => this.#votes.get(voter));',
  },
  {
    scenario: 'from-one-voter-to-three',
    name: 'new voters commit without the only old one',
    file: 'quorum.ts',
    from: 'if (sets.outgoing.length === 0) return incoming;',
    to: 'if (sets.outgoing.length <= 1) return incoming;',
  },
  {
    scenario: 'every-member-leads-in-turn',
    name: 'a vote outlives its term',
    file: 'election.ts',
    from: 'if (request.term === group.term) {',
    to: 'if (request.term >= group.term) {',
  },
  {
    scenario: 'higher-term-and-shorter-log',
    name: 'the term of who refuses is not learned',
    file: 'raft.ts',
    from: 'if (message.term > this.term && !isPromise) this.#roles.follow(message.term, undefined);',
    to: "if (message.term > this.term && message.kind !== 'pre-vote-answer') this.#roles.follow(message.term, undefined);\n    void isPromise;",
  },
  {
    scenario: 'candidate-gives-way',
    name: 'a candidate does not hear the leader of its term',
    file: 'raft.ts',
    from: 'const { leader } = this.#group;\n    if (message.kind',
    to: 'const { leader } = this.#group;\n    if (this.#state instanceof Candidate) return;\n    if (message.kind',
  },
  {
    scenario: 'two-leaders-at-once',
    name: 'a leader of an old term is not told',
    file: 'raft.ts',
    from: 'if (isOfLeader(message)) this.#notice(message.from);',
    to: '',
  },
  {
    scenario: 'lost-tail-in-an-idle-group',
    name: 'a group at rest does not notice that a node has started anew',
    file: 'leader.ts',
    from: 'follower.reset(this.#group.log.endIndex);\n      this.replication.maybeSend(follower);',
    to: '',
  },
  {
    scenario: 'damaged-member-of-an-outdated-term',
    name: 'what is amiss with a member is never over',
    file: 'group.ts',
    from: 'if (!isWhole) return;',
    to: 'if (!isWhole || committed > 0) return;',
  },
  {
    scenario: 'slow-follower-after-a-compaction',
    name: 'who needs what is gone is sent nothing until it is asked again',
    file: 'replication.ts',
    from: 'follower.becomeCatchUp();\n      this.#snapshots.start(follower);',
    to: 'follower.becomeCatchUp();',
  },
  {
    scenario: 'reads-share-a-round',
    name: 'a read is confirmed by answers to what was sent before it came',
    file: 'reads.ts',
    from: 'this.#next.push({ token, endIndex });\n      if (this.#asked.length === 0) this.#ask();',
    to: '(this.#asked.length === 0 ? this.#next : this.#asked).push({ token, endIndex });\n      if (this.#asked.length === 0) this.#ask();',
  },
  {
    scenario: 'lost-vote-after-restart',
    name: 'a vote of before a crash may be given again',
    file: 'election.ts',
    from: 'if (votedFor !== undefined) return votedFor === request.from;',
    to: 'if (votedFor !== undefined && group.leader !== undefined) return votedFor === request.from;',
  },
  {
    scenario: 'snapshot-tells-who-votes',
    name: 'who votes is not learned from a snapshot',
    file: 'group.ts',
    from: 'this.configurations.reset(configurations);',
    to: 'if (configurations.length < 0) this.configurations.reset(configurations);',
  },
];

export const scenarioMutations: readonly Mutation[] = planted.map(({ scenario, ...mutation }) => ({
  ...mutation,
  file: `broker/raft/${mutation.file}`,
  hunts: [{ kind: 'test', file: scenariosFile, name: scenario.replaceAll('-', ' ') }],
}));

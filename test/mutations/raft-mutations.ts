/** Known bugs of Raft implementations, each as an exact replacement in one file of the core (broker/raft). */
import type { Mutation } from './mutation.ts';

type Planted = Omit<Mutation, 'hunts'>;

const hunts: Mutation['hunts'] = [
  { kind: 'tests', folders: ['test/raft/scenarios', 'test/unit/raft'] },
  { kind: 'seeds', simulator: 'core' },
  { kind: 'seeds', simulator: 'cluster' },
];

const planted: readonly Planted[] = [
  {
    name: 'messages leave before term and vote are durable',
    file: 'outbox.ts',
    from: 'this.#isDurable = false;',
    to: 'this.#isDurable = true;',
  },
  {
    name: 'a candidate counts its own vote before it is durable',
    file: 'roles.ts',
    from: '    candidate.request();\n  }\n\n  force(',
    to: '    candidate.request();\n    if (candidate.voteForItself() === "won") this.lead();\n  }\n\n  force(',
  },
  {
    name: 'two votes in a term',
    file: 'election.ts',
    from: 'if (votedFor !== undefined) return votedFor === request.from;',
    to: 'if (votedFor === request.from) return true;',
  },
  {
    name: 'a vote without looking at the log',
    file: 'election.ts',
    from: 'if (!log.isCoveredBy(request.lastTerm, request.lastIndex)) return false;',
    to: '',
  },
  {
    name: 'logs compared by length alone',
    file: 'term-log.ts',
    from: 'return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);',
    to: 'return lastIndex >= this.lastIndex;',
  },
  {
    name: 'logs compared by term alone',
    file: 'term-log.ts',
    from: '(lastTerm === this.lastTerm && lastIndex >= this.lastIndex)',
    to: 'lastTerm === this.lastTerm',
  },
  {
    name: 'a damaged member forgets its floor when it votes',
    file: 'election.ts',
    from: "if (impairment?.kind !== 'damaged') return true;",
    to: 'if (impairment !== null) return true;',
  },
  {
    name: 'a damaged member campaigns',
    file: 'group.ts',
    from: 'if (this.#impairment !== undefined) return false;',
    to: '',
  },
  {
    name: 'entries of old terms are committed by counting',
    file: 'leader.ts',
    from: 'if (log.termAt(endIndex - 1) !== group.term) return false;',
    to: '',
  },
  {
    name: 'a leader counts its own entries before they are flushed',
    file: 'group.ts',
    from: 'return this.#countsWritten() ? this.#writtenEndIndex : this.#flushedEndIndex;',
    to: 'return this.log.endIndex;',
  },
  {
    name: 'a leader counts what followers have received',
    file: 'replication.ts',
    from: 'const isNews = follower.acknowledged(endIndex);',
    to: 'const isNews = follower.acknowledged(Math.max(endIndex, answer.matchedEndIndex));',
  },
  {
    name: 'a completion counts for what was appended after a truncation',
    file: 'group.ts',
    from: "if (generation !== this.#generation) return false;\n    assert(endIndex <= this.log.endIndex, 'what is stored has been appended');",
    to: 'if (endIndex > this.log.endIndex) return false;',
  },
  {
    name: 'a follower acknowledges its own tail, which the leader may not have',
    file: 'follower.ts',
    from: 'flushedEndIndex: Math.min(matchedEndIndex, group.flushedEndIndex),',
    to: 'flushedEndIndex: group.flushedEndIndex,',
  },
  {
    name: 'a follower commits beyond what it knows to be the same',
    file: 'follower.ts',
    from: 'group.commitTo(Math.min(message.committedEndIndex, this.#matchedEndIndex));',
    to: 'group.commitTo(Math.min(message.committedEndIndex, log.endIndex));',
  },
  {
    name: 'the entry before an append is not compared',
    file: 'follower.ts',
    from: 'if (!log.matches(message.fromIndex - 1, message.previousTerm)) {',
    to: 'if (message.fromIndex > log.endIndex) {',
  },
  {
    name: 'an append from an old term is accepted',
    file: 'raft.ts',
    from: '      if (isOfLeader(message)) this.#notice(message.from);\n      return;',
    to: "      if (message.kind === 'append' && this.#state instanceof Follower) this.#state.append(message);\n      return;",
  },
  {
    name: 'a follower cuts its log although nothing conflicts',
    file: 'follower.ts',
    from: 'if (conflict !== undefined) {',
    to: 'if (conflict === undefined && message.endIndex < log.endIndex && message.endIndex > message.fromIndex) {\n      group.truncate(message.endIndex);\n    }\n    if (conflict !== undefined) {',
  },
  {
    name: 'conflicting entries are kept',
    file: 'follower.ts',
    from: 'if (conflict !== undefined) {',
    to: 'if (conflict !== undefined && conflict < 0) {',
  },
  {
    name: 'a higher term does not depose a leader',
    file: 'raft.ts',
    from: 'if (message.term > this.term && !isPromise) this.#roles.follow(message.term, undefined);',
    to: 'if (message.term > this.term && !isPromise && !(this.#state instanceof Leader)) this.#roles.follow(message.term, undefined);',
  },
  {
    name: 'a joint configuration asks the new voters alone',
    file: 'quorum.ts',
    from: 'if (sets.outgoing.length === 0) return incoming;',
    to: 'if (sets.outgoing.length >= 0) return incoming;',
  },
  {
    name: 'a joint election asks the new voters alone',
    file: 'quorum.ts',
    from: "return incoming === 'won' && outgoing === 'won' ? 'won' : 'pending';",
    to: 'return incoming;',
  },
  {
    name: 'a change of voters in one step',
    file: 'membership.ts',
    from: 'const outgoing = haveSameVoters(from.voters, voters) ? [] : from.voters;',
    to: 'const outgoing: MemberId[] = from.voters.length < 0 ? [] : [];',
  },
  {
    name: 'a second change before the first has committed',
    file: 'membership.ts',
    from: "if (isJoint(configuration) || configurations.last.index >= committedEndIndex) return 'change-under-way';",
    to: 'if (committedEndIndex < configurations.last.index - 1e9 || isJoint(configuration) && committedEndIndex < 0) return undefined;',
  },
  {
    name: 'a change before an entry of the own term has committed',
    file: 'leader.ts',
    from: "if (!this.isTermStartCommitted) return 'change-under-way';",
    to: '',
  },
  {
    name: 'a new voter need not have caught up',
    file: 'membership.ts',
    from: "if (!hasCaughtUp) return 'learner-behind';",
    to: "if (!hasCaughtUp && voter === undefined) return 'learner-behind';",
  },
  {
    name: 'the joint configuration is left before it has committed',
    file: 'leader.ts',
    from: 'if (isJoint(configuration) && index < group.committedEndIndex) {',
    to: 'if (isJoint(configuration)) {',
  },
  {
    name: 'a truncated configuration stays in force',
    file: 'group.ts',
    from: 'if (this.configurations.last.index >= endIndex) {',
    to: 'if (this.configurations.last.index >= endIndex + 1e9) {',
  },
  {
    name: 'a removed leader counts itself',
    file: 'quorum.ts',
    from: 'const incoming = majorityValue(sets.voters, valueOf);\n  if',
    to: 'const incoming = sets.outgoing.length === 0 && sets.voters.length === 2 ? Math.max(...sets.voters.map(valueOf)) : majorityValue(sets.voters, valueOf);\n  if',
  },
  {
    name: 'who is removed by an uncommitted entry does not campaign',
    file: 'group.ts',
    from: 'if (last.index < this.#committedEndIndex) return false;',
    to: 'if (last.index >= 0) return false;',
  },
  {
    name: 'a snapshot without its configuration',
    file: 'group.ts',
    from: 'this.configurations.reset(configurations);',
    to: 'this.configurations.compact(log.startIndex);\n    void configurations;',
  },
  {
    name: 'a snapshot takes the place of a log that has more',
    file: 'snapshot-receiver.ts',
    from: 'if (!isCommitted && !isThere) return false;',
    to: 'if (!isCommitted) return false;\n    void isThere;',
  },
  {
    name: 'what was removed here is taken for the same as what a leader that has lost it has there',
    file: 'follower.ts',
    from: '    if (contradictsRemoved(log, message)) {\n',
    to: '    if (contradictsRemoved(log, message) && message.endIndex < 0) {\n',
  },
  {
    name: 'a leader that has lost what was removed is believed to have what it says is committed',
    file: 'snapshot-receiver.ts',
    from: 'const isCommitted = index < committedEndIndex && !countsWritten;',
    to: 'const isCommitted = index < committedEndIndex;\n    void countsWritten;',
  },
  {
    name: 'each rejection has a row of messages sent again',
    file: 'replication.ts',
    from: 'sentAt <= follower.rewoundAt);',
    to: 'sentAt < 0);',
  },
  {
    name: 'a late rejection has sent again what was received',
    file: 'replication.ts',
    from: 'rejected.fromIndex <= follower.receivedEndIndex ||',
    to: 'rejected.fromIndex <= follower.matchedEndIndex ||',
  },
  {
    name: 'no pre-vote',
    file: 'roles.ts',
    from: "if (candidate.voteForItself() === 'won') this.campaign(false);\n    else candidate.request();",
    to: 'this.campaign(false);',
  },
  {
    name: 'voters do not protect their leader',
    file: 'raft.ts',
    from: '!request.isTransfer && (this.#roles.isLeaderAlive || group.hasPromised);',
    to: '!request.isTransfer && group.hasPromised;',
  },
  {
    name: 'a restarted voter forgets that it may have promised a lease',
    file: 'group.ts',
    from: 'options.hardState.term > 0 ? options.peers.now : Number.NEGATIVE_INFINITY;',
    to: 'Number.NEGATIVE_INFINITY;',
  },
  {
    name: 'a voter forgets that it has promised a lease when it learns of a higher term',
    file: 'roles.ts',
    from: 'if (this.#state instanceof Follower) this.#group.promised(this.#state.leaderHeardAt);',
    to: '',
  },
  {
    name: 'a leader does not check its quorum',
    file: 'raft.ts',
    from: 'if (state.hasQuorum) state.tick();\n      else this.#roles.stepDown();',
    to: 'state.tick();',
  },
  {
    name: 'a read is served without asking anybody',
    file: 'reads.ts',
    from: 'else if (holdsLease) outbox.put',
    to: 'else if (holdsLease || endIndex > 0) outbox.put',
  },
  {
    name: 'a read is confirmed by answers to earlier messages',
    file: 'reads.ts',
    from: 'if (this.#asked.length === 0 || sequence < this.#sequence) return;',
    to: 'if (this.#asked.length === 0 || sequence < this.#sequence - 1) return;',
  },
  {
    name: 'reads before the first entry of the term has committed',
    file: 'reads.ts',
    from: 'if (!isTermStartCommitted) this.#early.push(token);\n    else if',
    to: 'void isTermStartCommitted;\n    if',
  },
  {
    name: 'a lease counts from when answers arrive',
    file: 'leader.ts',
    from: 'const promisedAt = this.#quorumOf((follower) => this.#contactAt(follower));',
    to: 'const promisedAt = this.#quorumOf((follower) => this.#group.peers.heardAt(follower.nodeId));',
  },
  {
    name: 'a lease outlives the handing over of leadership',
    file: 'leader.ts',
    from: 'if (settings.leases === undefined || this.#hasHandedOver) return false;',
    to: 'if (settings.leases === undefined) return false;',
  },
  {
    name: 'the leadership is handed to one that lacks entries',
    file: 'leader.ts',
    from: 'if (to === undefined || this.replication.of(to)?.matchedEndIndex !== log.endIndex) return;',
    to: 'if (to === undefined) return;\n    void log;',
  },
  {
    name: 'what a restarted member has said still counts',
    file: 'progress.ts',
    from: 'this.matchedEndIndex = 0;\n    this.receivedEndIndex = 0;',
    to: 'this.receivedEndIndex = 0;',
  },
  {
    name: 'an empty directory is the member that was there before',
    file: 'member.ts',
    from: 'return `${nodeId}/${directoryId}`;',
    to: 'return `${nodeId}/d${nodeId}${directoryId.slice(0, 0)}`;',
  },
  {
    name: 'a lost message is not sent again',
    file: 'replication.ts',
    from: 'follower.isProbing = false;\n        this.maybeSend(follower);\n      } else if',
    to: 'this.maybeSend(follower);\n      } else if',
  },
  {
    name: 'a group goes to rest before all know what is committed',
    file: 'replication.ts',
    from: 'follower.knownCommittedEndIndex === committedEndIndex &&',
    to: '',
  },
];

export const raftMutations: readonly Mutation[] = planted.map((mutation) => ({
  ...mutation,
  file: `broker/raft/${mutation.file}`,
  hunts,
}));

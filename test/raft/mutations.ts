/**
 * Known bugs of Raft implementations, each as an exact replacement in one file of the core. `node test/raft/mutate.ts` plants them
 * one at a time in a copy of the sources and shows what finds them. Each `find` stands exactly once in its file.
 */
export interface Mutation {
  readonly name: string;
  /** Below broker/raft. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export const mutations: readonly Mutation[] = [
  {
    name: 'messages leave before term and vote are durable',
    file: 'outbox.ts',
    find: 'this.#isDurable = false;',
    replace: 'this.#isDurable = true;',
  },
  {
    name: 'a candidate counts its own vote before it is durable',
    file: 'roles.ts',
    find: '    candidate.request();\n  }\n\n  force(',
    replace:
      '    candidate.request();\n    if (candidate.voteForItself() === "won") this.lead();\n  }\n\n  force(',
  },
  {
    name: 'two votes in a term',
    file: 'election.ts',
    find: 'if (votedFor !== undefined) return votedFor === request.from;',
    replace: 'if (votedFor === request.from) return true;',
  },
  {
    name: 'a vote without looking at the log',
    file: 'election.ts',
    find: 'if (!log.isCoveredBy(request.lastTerm, request.lastIndex)) return false;',
    replace: '',
  },
  {
    name: 'logs compared by length alone',
    file: 'term-log.ts',
    find: 'return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);',
    replace: 'return lastIndex >= this.lastIndex;',
  },
  {
    name: 'logs compared by term alone',
    file: 'term-log.ts',
    find: '(lastTerm === this.lastTerm && lastIndex >= this.lastIndex)',
    replace: 'lastTerm === this.lastTerm',
  },
  {
    name: 'a damaged member forgets its floor when it votes',
    file: 'election.ts',
    find: "if (impairment?.kind !== 'damaged') return true;",
    replace: 'if (impairment !== null) return true;',
  },
  {
    name: 'a damaged member campaigns',
    file: 'group.ts',
    find: 'if (this.#impairment !== undefined) return false;',
    replace: '',
  },
  {
    name: 'entries of old terms are committed by counting',
    file: 'leader.ts',
    find: 'if (log.termAt(endIndex - 1) !== group.term) return false;',
    replace: '',
  },
  {
    name: 'a leader counts its own entries before they are flushed',
    file: 'group.ts',
    find: 'return this.#countsWritten() ? this.#writtenEndIndex : this.#flushedEndIndex;',
    replace: 'return this.log.endIndex;',
  },
  {
    name: 'a leader counts what followers have received',
    file: 'replication.ts',
    find: 'const isNews = follower.acknowledged(endIndex);',
    replace: 'const isNews = follower.acknowledged(Math.max(endIndex, answer.matchedEndIndex));',
  },
  {
    name: 'a completion counts for what was appended after a truncation',
    file: 'group.ts',
    find: "if (generation !== this.#generation) return false;\n    assert(endIndex <= this.log.endIndex, 'what is stored has been appended');",
    replace: 'if (endIndex > this.log.endIndex) return false;',
  },
  {
    name: 'a follower acknowledges its own tail, which the leader may not have',
    file: 'follower.ts',
    find: 'flushedEndIndex: Math.min(matchedEndIndex, group.flushedEndIndex),',
    replace: 'flushedEndIndex: group.flushedEndIndex,',
  },
  {
    name: 'a follower commits beyond what it knows to be the same',
    file: 'follower.ts',
    find: 'group.commitTo(Math.min(message.committedEndIndex, this.#matchedEndIndex));',
    replace: 'group.commitTo(Math.min(message.committedEndIndex, log.endIndex));',
  },
  {
    name: 'the entry before an append is not compared',
    file: 'follower.ts',
    find: 'if (!log.matches(message.fromIndex - 1, message.previousTerm)) {',
    replace: 'if (message.fromIndex > log.endIndex) {',
  },
  {
    name: 'an append from an old term is accepted',
    file: 'raft.ts',
    find: '      if (isOfLeader(message)) this.#notice(message.from);\n      return;',
    replace:
      "      if (message.kind === 'append' && this.#state instanceof Follower) this.#state.append(message);\n      return;",
  },
  {
    name: 'a follower cuts its log although nothing conflicts',
    file: 'follower.ts',
    find: 'if (conflict !== undefined) {',
    replace:
      'if (conflict === undefined && message.endIndex < log.endIndex && message.endIndex > message.fromIndex) {\n      group.truncate(message.endIndex);\n    }\n    if (conflict !== undefined) {',
  },
  {
    name: 'conflicting entries are kept',
    file: 'follower.ts',
    find: 'if (conflict !== undefined) {',
    replace: 'if (conflict !== undefined && conflict < 0) {',
  },
  {
    name: 'a higher term does not depose a leader',
    file: 'raft.ts',
    find: 'if (message.term > this.term && !isPromise) this.#roles.follow(message.term, undefined);',
    replace:
      'if (message.term > this.term && !isPromise && !(this.#state instanceof Leader)) this.#roles.follow(message.term, undefined);',
  },
  {
    name: 'a joint configuration asks the new voters alone',
    file: 'quorum.ts',
    find: 'if (sets.outgoing.length === 0) return incoming;',
    replace: 'if (sets.outgoing.length >= 0) return incoming;',
  },
  {
    name: 'a joint election asks the new voters alone',
    file: 'quorum.ts',
    find: "return incoming === 'won' && outgoing === 'won' ? 'won' : 'pending';",
    replace: 'return incoming;',
  },
  {
    name: 'a change of voters in one step',
    file: 'membership.ts',
    find: 'const outgoing = haveSameVoters(from.voters, voters) ? [] : from.voters;',
    replace: 'const outgoing: MemberId[] = from.voters.length < 0 ? [] : [];',
  },
  {
    name: 'a second change before the first has committed',
    file: 'membership.ts',
    find: "if (isJoint(configuration) || configurations.last.index >= committedEndIndex) return 'change-under-way';",
    replace:
      'if (committedEndIndex < configurations.last.index - 1e9 || isJoint(configuration) && committedEndIndex < 0) return undefined;',
  },
  {
    name: 'a change before an entry of the own term has committed',
    file: 'leader.ts',
    find: "if (!this.isTermStartCommitted) return 'change-under-way';",
    replace: '',
  },
  {
    name: 'a new voter need not have caught up',
    file: 'membership.ts',
    find: "if (!hasCaughtUp) return 'learner-behind';",
    replace: "if (!hasCaughtUp && voter === undefined) return 'learner-behind';",
  },
  {
    name: 'the joint configuration is left before it has committed',
    file: 'leader.ts',
    find: 'if (isJoint(configuration) && index < group.committedEndIndex) {',
    replace: 'if (isJoint(configuration)) {',
  },
  {
    name: 'a truncated configuration stays in force',
    file: 'group.ts',
    find: 'if (this.configurations.last.index >= endIndex) {',
    replace: 'if (this.configurations.last.index >= endIndex + 1e9) {',
  },
  {
    name: 'a removed leader counts itself',
    file: 'quorum.ts',
    find: 'const incoming = majorityValue(sets.voters, valueOf);\n  if',
    replace:
      'const incoming = sets.outgoing.length === 0 && sets.voters.length === 2 ? Math.max(...sets.voters.map(valueOf)) : majorityValue(sets.voters, valueOf);\n  if',
  },
  {
    name: 'who is removed by an uncommitted entry does not campaign',
    file: 'group.ts',
    find: 'if (last.index < this.#committedEndIndex) return false;',
    replace: 'if (last.index >= 0) return false;',
  },
  {
    name: 'a snapshot without its configuration',
    file: 'group.ts',
    find: 'this.configurations.reset(configurations);',
    replace: 'this.configurations.compact(log.startIndex);\n    void configurations;',
  },
  {
    name: 'a snapshot takes the place of a log that has more',
    file: 'snapshot-receiver.ts',
    find: 'if (index >= committedEndIndex && !log.matches(index, term)) return false;',
    replace: 'if (index >= committedEndIndex) return false;\n    void [log, term];',
  },
  {
    name: 'no pre-vote',
    file: 'roles.ts',
    find: "if (candidate.voteForItself() === 'won') this.campaign(false);\n    else candidate.request();",
    replace: 'this.campaign(false);',
  },
  {
    name: 'voters do not protect their leader',
    file: 'raft.ts',
    find: '!request.isTransfer && (this.#roles.isLeaderAlive || group.hasPromised);',
    replace: '!request.isTransfer && group.hasPromised;',
  },
  {
    name: 'a restarted voter forgets that it may have promised a lease',
    file: 'group.ts',
    find: 'options.hardState.term > 0 ? options.peers.now : Number.NEGATIVE_INFINITY;',
    replace: 'Number.NEGATIVE_INFINITY;',
  },
  {
    name: 'a voter forgets that it has promised a lease when it learns of a higher term',
    file: 'roles.ts',
    find: 'if (this.#state instanceof Follower) this.#group.promised(this.#state.leaderHeardAt);',
    replace: '',
  },
  {
    name: 'a leader does not check its quorum',
    file: 'raft.ts',
    find: 'if (state.hasQuorum) state.tick();\n      else this.#roles.stepDown();',
    replace: 'state.tick();',
  },
  {
    name: 'a read is served without asking anybody',
    file: 'reads.ts',
    find: 'else if (holdsLease) outbox.put',
    replace: 'else if (holdsLease || endIndex > 0) outbox.put',
  },
  {
    name: 'a read is confirmed by answers to earlier messages',
    file: 'reads.ts',
    find: 'if (this.#asked.length === 0 || sequence < this.#sequence) return;',
    replace: 'if (this.#asked.length === 0 || sequence < this.#sequence - 1) return;',
  },
  {
    name: 'reads before the first entry of the term has committed',
    file: 'reads.ts',
    find: 'if (!isTermStartCommitted) this.#early.push(token);\n    else if',
    replace: 'void isTermStartCommitted;\n    if',
  },
  {
    name: 'a lease counts from when answers arrive',
    file: 'leader.ts',
    find: 'const promisedAt = this.#quorumOf((follower) => this.#contactAt(follower));',
    replace: 'const promisedAt = this.#quorumOf((follower) => this.#group.peers.heardAt(follower.nodeId));',
  },
  {
    name: 'a lease outlives the handing over of leadership',
    file: 'leader.ts',
    find: 'if (settings.leases === undefined || this.#hasHandedOver) return false;',
    replace: 'if (settings.leases === undefined) return false;',
  },
  {
    name: 'the leadership is handed to one that lacks entries',
    file: 'leader.ts',
    find: 'if (to === undefined || this.replication.of(to)?.matchedEndIndex !== log.endIndex) return;',
    replace: 'if (to === undefined) return;\n    void log;',
  },
  {
    name: 'what a restarted member has said still counts',
    file: 'progress.ts',
    find: 'this.matchedEndIndex = 0;\n    this.receivedEndIndex = 0;',
    replace: 'this.receivedEndIndex = 0;',
  },
  {
    name: 'an empty directory is the member that was there before',
    file: 'member.ts',
    find: 'return `${nodeId}/${directoryId}`;',
    replace: 'return `${nodeId}/d${nodeId}${directoryId.slice(0, 0)}`;',
  },
  {
    name: 'a lost message is not sent again',
    file: 'replication.ts',
    find: 'follower.isProbing = false;\n        this.maybeSend(follower);\n      } else if',
    replace: 'this.maybeSend(follower);\n      } else if',
  },
  {
    name: 'a group goes to rest before all know what is committed',
    file: 'replication.ts',
    find: 'follower.knownCommittedEndIndex === committedEndIndex &&',
    replace: '',
  },
];

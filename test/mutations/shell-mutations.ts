/**
 * Bugs that somebody might make between the consensus core and the disk and network: broker/partition with consensus on real
 * logs, votes, frames; and bugs of the core that only clients would see, which the linearizability check has to find.
 */
import type { Hunt, Mutation } from './mutation.ts';

const histories: Hunt = { kind: 'seeds', simulator: 'cluster' };

interface Planted {
  readonly name: string;
  /** Below broker/partition. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
  /** A unit test, by the name of its file below test/unit/partition and words of its own. */
  readonly test?: readonly [file: string, name: string];
}

const planted: readonly Planted[] = [
  {
    name: 'votes: told before they are synced',
    file: 'vote-store.ts',
    from: '      await this.#file.write([records], this.#endPosition);\n      await this.#file.sync();\n',
    to: '      await this.#file.write([records], this.#endPosition);\n',
    test: ['vote-store', 'has after a crash what it has confirmed, or newer'],
  },
  {
    name: 'votes: what a killed process has left is believed before it is durable',
    file: 'vote-store.ts',
    from: '    if (!isNew) await file.write([bytes.subarray(0, end)], 0);\n    await file.sync();\n',
    to: '    if (!isNew) await file.write([bytes.subarray(0, end)], 0);\n',
    test: ['vote-store', 'makes durable what a killed process has left, before anybody can rely on it'],
  },
  {
    name: 'votes: what a process before failed to sync is believed as it stands in memory',
    file: 'vote-store.ts',
    from: '    if (!isNew) await file.write([bytes.subarray(0, end)], 0);\n',
    to: '',
    test: [
      'vote-store',
      'writes anew what a process before has failed to sync: the disk may lack what memory shows',
    ],
  },
  {
    name: 'votes: what is put while a round runs is told with that round',
    file: 'vote-store.ts',
    from: '    this.#next = undefined;\n    const records = encodeRound(votes);\n',
    to: '    const records = encodeRound(votes);\n    void this.#last.then(() => (this.#next = undefined));\n',
    test: ['vote-store', 'makes what many groups put in one turn, or while a sync runs, durable together'],
  },
  {
    name: 'votes: what a failed round has left beyond the end is read as newer',
    file: 'vote-store.ts',
    from: '      if (this.#isEndDirty) await this.#file.truncate(this.#endPosition);\n',
    to: '',
    test: [
      'vote-store',
      'never returns to a state that came before one that it has confirmed, though writes fail',
    ],
  },
  {
    name: 'votes: damage is taken for a torn end',
    file: 'vote-records.ts',
    from: "      if (bad !== undefined) faults.push({ position: bad, reason: 'a record below a good one is damaged' });\n",
    to: '',
    test: ['vote-store', 'refuses a file that it cannot read, and one with a bad record before a good one'],
  },
  {
    name: 'votes: a torn round is taken for damage',
    file: 'vote-records.ts',
    from: '    if (isOld || decoded.beginsRound) {\n',
    to: '    if (isOld || decoded.beginsRound || bad !== undefined) {\n',
    test: ['vote-store', 'has after a crash what it has confirmed, or newer'],
  },
  {
    name: 'votes: a restart forgets them',
    file: 'vote-store.ts',
    from: '    return this.#votes.get(keyOf(group))?.state;\n',
    to: '    void group;\n    return undefined;\n',
  },
  {
    name: 'consensus: a vote counts as durable when it is asked for',
    file: 'consensus/consensus.ts',
    from: '    host.persist(this.group, hardState).then(\n',
    to: '    void host.persist(this.group, hardState);\n    Promise.resolve().then(\n',
    test: ['consensus-storage', 'is told to nobody before it is durable'],
  },
  {
    name: 'consensus: completions of before a cut count after it',
    file: 'consensus/consensus.ts',
    from: '    const { generation } = this.#entries;\n',
    to: '    const { generation } = this.#raft;\n',
    test: ['consensus-storage', 'what was stored of it does not count for what comes in its place'],
  },
  {
    name: 'consensus: what is written counts as flushed',
    file: 'consensus/consensus.ts',
    from: '      raft.flushed(flushedEndIndex, generation);\n',
    to: '      raft.flushed(Math.max(flushedEndIndex, writtenEndIndex), generation);\n',
    test: ['consensus-storage', 'is no sign that it is stored'],
  },
  {
    name: 'consensus: the high watermark covers what is about to be cut',
    file: 'consensus/committed-position.ts',
    from: '    const endIndex = Math.min(this.endIndex, this.#entries.placedEndIndex);\n    const highWatermark',
    to: '    const endIndex = Math.min(this.endIndex, this.#log.endIndex);\n    const highWatermark',
    test: ['consensus-storage', 'what stands there is not taken for what is committed in its place'],
  },
  {
    name: 'consensus: a leader appends while the end of its log is being cut',
    file: 'consensus/consensus.ts',
    from: '    if (!this.#entries.isAtRest) {\n      return {',
    to: '    if (!this.#entries.isAtRest && this.#hasEnded) {\n      return {',
    test: ['consensus-storage', 'a new leader takes nothing until that is done'],
  },
  {
    name: 'consensus: what is held already is appended again',
    file: 'consensus/consensus.ts',
    from: 'this.#received.filter(({ index }) => index >= output.fromIndex)',
    to: 'this.#received.filter(({ index }) => index >= 0)',
    test: ['consensus-storage', 'is appended from where the log ends'],
  },
  {
    name: 'consensus: a member whose log has failed stays in its group',
    file: 'consensus/consensus.ts',
    from: '    this.#options.listener.failed(cause);\n    this.end();\n',
    to: '    this.#options.listener.failed(cause);\n',
    test: ['consensus-storage', 'leads no more, and says and hears nothing'],
  },
  {
    name: 'consensus: the high watermark runs ahead of the commitment on a leader',
    file: 'consensus/consensus.ts',
    from: '        this.#position.endIndex = output.endIndex;\n',
    to: "        this.#position.endIndex = this.#raft.role === 'leader' ? this.#raft.endIndex : output.endIndex;\n",
  },
  {
    name: 'consensus: a configuration counts as durable when it is committed',
    file: 'consensus/consensus.ts',
    from: '    return this.#position.configuration(this.#raft.flushedEndIndex);\n',
    to: '    return this.#position.configuration();\n',
    test: ['consensus-storage', 'is not to be kept before it is durable here'],
  },
  {
    name: 'cut: the entries of Raft in it stay known',
    file: 'consensus/group-log.ts',
    from: '    while (this.#own.length > 0 && this.#own.at(-1)!.index >= endIndex) this.#own.pop();\n',
    to: '',
    test: ['group-log', 'lets what is appended wait while the end is cut'],
  },
  {
    name: 'cut: what follows it does not wait until producers are restored',
    file: 'consensus/group-log.ts',
    from: '    await this.#events.truncated(endIndex);\n',
    to: '    void this.#events.truncated(endIndex);\n',
  },
  {
    name: 'cut: followers are sent what is about to go',
    file: 'consensus/group-log.ts',
    from: '    while (this.isAtRest && !run.isFull',
    to: '    while (!run.isFull',
    test: ['group-log', 'lets what is appended wait while the end is cut'],
  },
  {
    name: 'reads for followers: one of a past leadership counts in the next',
    file: 'consensus/entry-reads.ts',
    from: '    if (this.#options.leadsIn() !== term) {\n      held.release();',
    to: '    if (this.#options.leadsIn() === undefined) {\n      held.release();',
    test: ['entry-reads', 'are not those of a leadership that has ended'],
  },
  {
    name: 'reads for followers: what the follower has meanwhile is sent along',
    file: 'consensus/entry-reads.ts',
    from: 'const parts = skipped === 0 ? held.parts : withoutFirst(held.parts, skipped);',
    to: 'const parts = skipped <= 0 ? withoutFirst(held.parts, skipped) : held.parts;',
    test: ['entry-reads', 'are sent without those that the follower has meanwhile'],
  },
  {
    name: 'frames: bytes are given back before they are sent',
    file: 'consensus/outgoing-frames.ts',
    from: '      this.#transport.send(to, frame, () => {\n        for (const release of releases) release();\n      });\n',
    to: '      this.#transport.send(to, frame, () => undefined);\n      for (const release of releases) release();\n',
    test: ['outgoing-frames', 'give their bytes back when the transport has done with them, and not before'],
  },
  {
    name: 'frames: messages of an older incarnation are taken',
    file: 'consensus/consensus-node.ts',
    from: '    if (!this.#heartbeats.isCurrent(frame.from, frame.incarnation)) return true;\n',
    to: '',
    test: ['consensus-node', 'takes nothing that was sent before the other one started'],
  },
  {
    name: 'frames: taken before the ticks that were due',
    file: 'consensus/consensus-node.ts',
    from: '    if (this.#hasEnded) return true;\n    this.beforeInput();\n    let frame: Frame;\n',
    to: '    if (this.#hasEnded) return true;\n    let frame: Frame;\n',
    test: ['consensus-node', 'gives the ticks that are due before what it has heard meanwhile'],
  },
  {
    name: 'frames: the end of a connection ends a promised lease',
    file: 'consensus/consensus-node.ts',
    from: '    if (this.#hasEnded || this.#options.settings.leases !== undefined) return;\n',
    to: '    if (this.#hasEnded) return;\n',
    test: [
      'consensus-node',
      'counts the end of a connection as silence, but not where leases rely on time alone',
    ],
  },
  {
    name: 'entries received: their CRC is not checked',
    file: 'consensus/received-entries.ts',
    from: '    if (batchField.magic(batch) !== 2 || !verifyBatchCrc(batch)) return undefined;\n',
    to: '    if (batchField.magic(batch) !== 2) return undefined;\n',
    test: [
      'received-entries',
      'are not taken with any byte changed, but for those that are set at the append',
    ],
  },
  {
    name: 'entries received: their terms are not compared with what the message says',
    file: 'consensus/received-entries.ts',
    from: '      if (offsets < 1 || batchField.leaderEpoch(batch) !== term) return undefined;\n',
    to: '      if (offsets < 1) return undefined;\n',
    test: ['received-entries', 'are not taken'],
  },
  {
    name: "configuration's file: the log's beginning goes before it is written",
    file: 'kept-configuration.ts',
    from: '    return done;\n',
    to: '    void done;\n    return Promise.resolve();\n',
    test: ['kept-configuration', 'has the newest configuration, durably, when whoever asked goes on'],
  },
  {
    name: "configuration's file: it stays as it was where the log has lost the newest one",
    file: 'kept-configuration.ts',
    from: '      if (areSame(newest, this.#placed)) return;\n',
    to: '      if (areSame(newest, this.#placed) || newest.index < this.#placed.index) return;\n',
    test: [
      'kept-configuration',
      'has what was asked for last, also where the log has lost what was there before',
    ],
  },
  {
    name: 'first configuration: one that comes later counts itself as a voter',
    file: 'first-configuration.ts',
    from: '  if (revision === 0 && members.includes(self)) return configurationOf(members);\n',
    to: '  if (revision >= 0 && members.includes(self)) return configurationOf(members);\n',
    test: ['replica-group', 'a replica that comes later is no voter until the leader has made it one'],
  },
  {
    name: 'copies: a log is given away that ends before the configuration that comes with it',
    file: 'consensus/committed-position.ts',
    from: 'return this.#entries.holdsConfiguration(this.kept)',
    to: 'return this.kept.index < 0',
    test: [
      'catch-up/segment-copying',
      'gets a log that reaches as far as the configuration that comes with it',
    ],
  },
  {
    name: 'copies: what is read for a follower is taken for what was written',
    file: 'consensus/received-entries.ts',
    from: 'batchField.baseOffset(buffer, at) === next &&\n      offsets >= 1 &&',
    to: 'offsets >= 1 &&',
    test: ['received-entries', 'are not taken for entries where their place or size is another than it was'],
  },
];

/** Of the core: no log is wrong by them, but what readers are told is. */
const seenByReaders: readonly Omit<Mutation, 'hunts'>[] = [
  {
    name: 'readers: a read is served without asking anybody, in a cluster',
    file: 'broker/raft/reads.ts',
    from: 'else if (holdsLease) outbox.put',
    to: 'else if (holdsLease || endIndex > 0) outbox.put',
  },
  {
    name: 'readers: a read before the first entry of the term has committed, in a cluster',
    file: 'broker/raft/reads.ts',
    from: 'if (!isTermStartCommitted) this.#early.push(token);\n    else if',
    to: 'void isTermStartCommitted;\n    if',
  },
  {
    name: 'readers: a lease outlives the handing over of leadership, in a cluster',
    file: 'broker/raft/leader.ts',
    from: 'if (settings.leases === undefined || this.#hasHandedOver) return false;',
    to: 'if (settings.leases === undefined) return false;',
  },
];

/** A leader that counts on its lease for too long has long been deposed by its own check of its quorum: no history shows it. */
const wrongBound: Mutation = {
  name: 'readers: a lease with a wrong bound on the clocks',
  file: 'broker/raft/leader.ts',
  from: 'return peers.now - promisedAt < settings.timing.electionTicks - settings.leases.driftTicks - 1;',
  to: 'return peers.now - promisedAt < 3 * settings.timing.electionTicks;',
  hunts: [{ kind: 'tests', folders: ['test/raft/scenarios', 'test/unit/raft'] }, histories],
};

export const shellMutations: readonly Mutation[] = [
  ...planted.map(({ name, file, from, to, test }): Mutation => {
    const [folder, title] = test ?? [];
    const named: readonly Hunt[] =
      folder === undefined || title === undefined
        ? []
        : [{ kind: 'test', file: `test/unit/partition/${folder}.test.ts`, name: title }];
    return { name, file: `broker/partition/${file}`, from, to, hunts: [...named, histories] };
  }),
  ...seenByReaders.map((mutation) => ({ ...mutation, hunts: [histories] })),
  wrongBound,
];

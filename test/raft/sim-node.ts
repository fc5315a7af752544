/**
 * A node with one member of a group, as a real one would drive it: carries out what the core says, over a disk that takes its
 * time and forgets in a crash what it has not synced, and a network that is whatever the harness makes of it.
 */
import { NodeHeartbeats } from '../../broker/raft/node-heartbeats.ts';
import type { NodeMessage } from '../../broker/raft/node-heartbeats.ts';
import { memberId, nodeOf } from '../../broker/raft/member.ts';
import type { MemberId } from '../../broker/raft/member.ts';
import { membersOf } from '../../broker/raft/configuration.ts';
import type { Configuration } from '../../broker/raft/configuration.ts';
import type { Message, Snapshot } from '../../broker/raft/messages.ts';
import { Raft } from '../../broker/raft/raft.ts';
import type { HardState, Impairment, Output, RaftSettings } from '../../broker/raft/raft.ts';
import type { Random } from '../../platform/random.ts';
import type { Checker, Entry } from './checker.ts';
import { configurationsOf, emptyDisk, isBatchCut, termsOf } from './sim-disk.ts';
import type { SimDisk } from './sim-disk.ts';

export type Packet =
  | { readonly kind: 'node'; readonly message: NodeMessage }
  | {
      readonly kind: 'group';
      readonly message: Message;
      readonly incarnation: number;
      readonly entries: readonly Entry[];
    };

export interface World {
  readonly random: Random;
  readonly checker: Checker;
  readonly settings: RaftSettings;
  readonly catchUp: 'segments' | 'snapshot';
  after(ticks: number, action: () => void): void;
  send(from: number, to: number, packet: Packet): void;
  diskDelay(): number;
  nodeOfMember(member: string): SimNode | undefined;
  /** Of `count` things under way in a crash, how many happen all the same. */
  crashKeeps(count: number): number;
  /** Whether a read of entries takes time. */
  readsSlowly(): boolean;
  onOutput(nodeId: number, output: Output): void;
  onRead(token: number, endIndex: number | undefined): void;
}

interface DiskOperation {
  readonly kind: 'append' | 'truncate';
  readonly index: number;
  readonly entries: readonly Entry[];
  readonly generation: number;
}

export class SimNode {
  readonly nodeId: number;
  readonly #world: World;
  readonly #first: Configuration;
  disk: SimDisk;
  process: SimProcess | undefined;
  incarnation = 0;
  /** What recovery says of the disk at the next start. */
  impairment: Impairment | undefined;

  constructor(nodeId: number, world: World, configuration: Configuration) {
    this.nodeId = nodeId;
    this.#world = world;
    this.#first = configuration;
    this.disk = emptyDisk(`d${nodeId}`, configuration);
  }

  get member(): MemberId {
    return memberId(this.nodeId, this.disk.directory);
  }

  start(peers: readonly number[]): void {
    this.incarnation++;
    this.process = new SimProcess(this, this.#world, peers);
  }

  /** All that was not synced is gone, but for as much of what was under way as chance has let through. */
  crash(): void {
    this.process?.crash();
    this.process = undefined;
  }

  /** All entries but the first `keep` are lost, and recovery notices. What was missing before still is. */
  damage(keep: number): void {
    const { entries, start } = this.disk;
    const last = entries.at(-1);
    if (last === undefined || keep >= entries.length) return;
    const floor = { term: last.term, index: start.index + entries.length - 1 };
    const before = this.impairment?.kind === 'damaged' ? this.impairment.floor : undefined;
    const isHigher =
      before === undefined ||
      floor.term > before.term ||
      (floor.term === before.term && floor.index > before.index);
    this.impairment = { kind: 'damaged', floor: isHigher ? floor : before };
    this.disk.entries = entries.slice(0, keep);
  }

  /** Another disk takes the place of the one that was there. */
  wipe(): void {
    this.disk = emptyDisk(`${this.disk.directory}b`, this.#first);
  }

  /** Whether the entry is on its disk; what damage has taken was there. */
  holds(index: number, term: number): boolean {
    const { entries, start } = this.disk;
    if (this.impairment?.kind === 'damaged' && index <= this.impairment.floor.index) return true;
    return index < start.index || entries[index - start.index]?.term === term;
  }
}

export class SimProcess {
  readonly node: SimNode;
  readonly raft: Raft;
  readonly heartbeats: NodeHeartbeats;
  readonly #world: World;
  readonly #incarnation: number;
  #isDown = false;
  #start: SimDisk['start'];
  #log: Entry[];
  #operations: DiskOperation[] = [];
  #isDiskBusy = false;
  #hardStates: HardState[] = [];
  #generation = 0;
  #values = 0;
  #committed: number;
  #packet: readonly Entry[] = [];
  #reads = new Map<number, readonly Entry[]>();

  constructor(node: SimNode, world: World, peers: readonly number[]) {
    this.node = node;
    this.#world = world;
    this.#incarnation = node.incarnation;
    const { disk } = node;
    this.#start = disk.start;
    this.#log = [...disk.entries];
    this.#committed = disk.start.index;
    this.heartbeats = new NodeHeartbeats({
      nodeId: node.nodeId,
      incarnation: node.incarnation,
      timing: world.settings.timing,
    });
    for (const peer of peers) this.heartbeats.meet(peer);
    this.raft = new Raft({
      id: node.member,
      settings: world.settings,
      peers: this.heartbeats,
      random: world.random.fork(`${node.nodeId}/${node.incarnation}`),
      hardState: disk.hardState,
      log: termsOf(this.#start, this.#log),
      configurations: configurationsOf(this.#start, this.#log),
      committedEndIndex: disk.start.index,
      countsWritten: () => false,
      catchUp: world.catchUp,
      impairment: node.impairment,
    });
    world.checker.hardState(node.member, disk.hardState);
    const latest = [...disk.snapshots.values()].at(-1);
    if (latest !== undefined) this.raft.snapshotTaken(latest.snapshot);
    this.#drain();
  }

  get endIndex(): number {
    return this.#start.index + this.#log.length;
  }

  get committed(): number {
    return this.#committed;
  }

  entryAt(index: number): Entry | undefined {
    return this.#log[index - this.#start.index];
  }

  tick(): void {
    this.heartbeats.tick();
    this.#nodeEvents();
    if (this.raft.isTicking) this.raft.tick();
    this.#drain();
  }

  greet(): void {
    this.heartbeats.greet();
    this.#nodeEvents();
  }

  /** A connection to that node has ended. */
  suspect(nodeId: number): void {
    this.heartbeats.suspect(nodeId);
    this.#nodeEvents();
  }

  /** Calls an input of the core, then does what it says. */
  input<T>(call: (raft: Raft) => T): T {
    const result = call(this.raft);
    this.#drain();
    return result;
  }

  propose(count: number): boolean {
    const proposal = this.raft.propose(count);
    if (proposal.kind === 'accepted') {
      const batch = this.#world.random.uint32();
      const entries = Array.from({ length: count }, () => this.#entry(proposal.term, batch));
      this.#append(proposal.baseIndex, entries);
    }
    this.#drain();
    return proposal.kind === 'accepted';
  }

  receive(packet: Packet): void {
    if (packet.kind === 'node') {
      this.heartbeats.receive(packet.message);
      this.#nodeEvents();
    } else if (this.heartbeats.isCurrent(nodeOf(packet.message.from), packet.incarnation)) {
      this.#packet = packet.entries;
      this.raft.step(packet.message);
    }
    this.#drain();
  }

  /** Removes committed entries from the log's beginning, and keeps a snapshot of them. */
  compact(): void {
    const startIndex = this.#start.index + this.#world.random.below(this.#committed - this.#start.index + 1);
    // What the disk holds beyond may be of another log, whose truncation is still in line.
    if (startIndex <= this.#start.index || startIndex > this.raft.flushedEndIndex) return;
    const { disk } = this.node;
    const configuration = configurationsOf(this.#start, this.#log).findLast(
      ({ index }) => index < startIndex,
    )!;
    const start = { index: startIndex, term: this.raft.termAt(startIndex - 1), configuration };
    disk.entries = disk.entries.slice(startIndex - disk.start.index);
    disk.start = start;
    this.#log = this.#log.slice(startIndex - this.#start.index);
    this.#start = start;
    this.raft.compacted(startIndex);
    if (this.#world.catchUp === 'segments') return;
    const id = `${this.node.member}@${startIndex}`;
    const snapshot: Snapshot = {
      id,
      lastIndex: startIndex - 1,
      lastTerm: start.term,
      configuration,
      sizeBytes: 1 + this.#world.random.below(30),
      checksum: 0,
    };
    disk.snapshots.set(id, { start, snapshot });
    this.raft.snapshotTaken(snapshot);
  }

  crash(): void {
    this.#isDown = true;
    let through = this.#world.crashKeeps(this.#operations.length);
    for (const operation of this.#operations) {
      if (through-- === 0) {
        const cut = this.#world.crashKeeps(operation.entries.length);
        // Batches are whole or not there: recovery cuts a torn one.
        const entries = operation.entries.slice(0, cut);
        if (operation.kind === 'append' && !isBatchCut(operation.entries, cut)) {
          this.#perform({ ...operation, entries });
        }
        break;
      }
      this.#perform(operation);
    }
    const states = this.#world.crashKeeps(this.#hardStates.length);
    if (states > 0) this.node.disk.hardState = this.#hardStates[states - 1]!;
  }

  #entry(term: number, batch: number, configuration?: Configuration): Entry {
    const value = this.node.nodeId + 10 * (this.#incarnation + 1000 * ++this.#values);
    return configuration === undefined ? { term, value, batch } : { term, value, batch, configuration };
  }

  #append(index: number, entries: readonly Entry[]): void {
    if (index !== this.endIndex) throw new Error('an append continues the log');
    for (const entry of entries) {
      const previousTerm = this.#log.at(-1)?.term ?? this.#start.term;
      this.#world.checker.appended(this.node.member, this.endIndex, entry, previousTerm);
      this.#log.push(entry);
    }
    this.#queue({ kind: 'append', index, entries, generation: this.#generation });
  }

  #queue(operation: DiskOperation): void {
    this.#operations.push(operation);
    if (!this.#isDiskBusy) this.#nextOperation();
  }

  #nextOperation(): void {
    const operation = this.#operations[0];
    this.#isDiskBusy = operation !== undefined;
    if (operation === undefined) return;
    this.#world.after(this.#world.diskDelay(), () => {
      if (this.#isDown) return;
      this.#operations.shift();
      this.#perform(operation);
      this.raft.flushed(operation.index + operation.entries.length, operation.generation);
      this.#drain();
      this.#nextOperation();
    });
  }

  #perform({ index, entries }: DiskOperation): void {
    const { disk } = this.node;
    // A log that was compacted meanwhile holds the operation's first entries no more.
    const skipped = Math.max(0, disk.start.index - index);
    disk.entries = [
      ...disk.entries.slice(0, Math.max(0, index - disk.start.index)),
      ...entries.slice(skipped),
    ];
  }

  #drain(): void {
    for (;;) {
      const outputs = this.raft.take();
      if (outputs.length === 0) return;
      const later: (() => void)[] = [];
      for (const output of outputs) this.#carryOut(output, later);
      for (const action of later) action();
    }
  }

  #carryOut(output: Output, later: (() => void)[]): void {
    const { checker } = this.#world;
    const { member } = this.node;
    this.#world.onOutput(this.node.nodeId, output);
    switch (output.kind) {
      case 'persist-hard-state':
        this.#persist(output.hardState);
        break;
      case 'send':
        this.#send(output.message, []);
        break;
      case 'send-chunk':
        this.#send(output.message, []);
        break;
      case 'send-entries': {
        const entries = this.#reads.get(output.read) ?? [];
        this.#reads.delete(output.read);
        this.#send(output.message, entries);
        break;
      }
      case 'read-entries':
        this.#read(output, later);
        break;
      case 'read-chunk': {
        const { read, sizeBytes, snapshotId } = output;
        const isThere = this.node.disk.snapshots.has(snapshotId);
        later.push(() => this.raft.chunkRead(read, isThere ? sizeBytes : 0));
        break;
      }
      case 'append-own': {
        const { index, term, entry } = output;
        const configuration = entry.kind === 'configuration' ? entry.configuration : undefined;
        this.#append(index, [this.#entry(term, this.#world.random.uint32(), configuration)]);
        break;
      }
      case 'append':
        this.#appendReceived(output.fromIndex, output.endIndex);
        break;
      case 'truncate':
        if (this.raft.role === 'leader') throw new Error('leader append-only: a leader truncates its log');
        this.#log.length = output.endIndex - this.#start.index;
        this.#generation = output.generation;
        this.#queue({ kind: 'truncate', index: output.endIndex, entries: [], generation: this.#generation });
        break;
      case 'write-chunk':
        this.#writeChunk(output.snapshot, output.position);
        break;
      case 'install-snapshot':
        this.#install(output.snapshot.id.slice(0, output.snapshot.id.indexOf('@')), output);
        break;
      case 'copy-segments':
        this.#install(output.leader, output);
        break;
      case 'committed':
        this.#commit(output.endIndex);
        break;
      case 'role':
        if (output.role === 'leader') {
          checker.leads(member, output.term, (index) => this.entryAt(index));
          checker.hasAll(member, output.term, this.endIndex);
        }
        this.#place();
        break;
      case 'configuration':
        this.#place();
        break;
      case 'read':
        this.#world.onRead(output.token, output.endIndex);
        break;
      case 'repaired':
        this.node.impairment = undefined;
        break;
      case 'configuration-committed':
      case 'transfer-ended':
      case 'ticking':
        break;
      case 'data-lost':
        throw new Error('committed entries are cut');
    }
  }

  #persist(hardState: HardState): void {
    this.#hardStates.push(hardState);
    if (this.#hardStates.length > 1) return;
    const next = (): void => {
      this.#world.after(this.#world.diskDelay(), () => {
        const state = this.#hardStates[0];
        if (this.#isDown || state === undefined) return;
        this.#hardStates.shift();
        this.node.disk.hardState = state;
        this.#world.checker.hardState(this.node.member, state);
        this.raft.hardStatePersisted(state);
        if (this.#hardStates.length > 0) next();
        this.#drain();
      });
    };
    next();
  }

  #send(message: Message, entries: readonly Entry[]): void {
    this.#world.checker.says(message, this.node.disk.hardState);
    this.#world.send(this.node.nodeId, nodeOf(message.to), {
      kind: 'group',
      message,
      incarnation: this.#incarnation,
      entries,
    });
  }

  #read(output: Extract<Output, { kind: 'read-entries' }>, later: (() => void)[]): void {
    const finish = (): void => {
      const from = output.fromIndex - this.#start.index;
      if (from < 0) {
        this.raft.entriesRead(output.read, output.fromIndex, 0);
        return;
      }
      let end = from;
      const limit = output.endIndex - this.#start.index;
      while (end < limit && (end - from < output.bytesMax || isBatchCut(this.#log, end))) end++;
      const entries = this.#log.slice(from, end);
      this.#reads.set(output.read, entries);
      this.raft.entriesRead(output.read, this.#start.index + end, entries.length);
    };
    if (!this.#world.readsSlowly()) {
      later.push(finish);
      return;
    }
    this.#world.after(this.#world.diskDelay(), () => {
      if (this.#isDown || this.raft.role !== 'leader') return;
      finish();
      this.#drain();
    });
  }

  #appendReceived(fromIndex: number, endIndex: number): void {
    const skipped = this.#packet.length - (endIndex - fromIndex);
    this.#append(fromIndex, this.#packet.slice(skipped));
  }

  #writeChunk(snapshot: Snapshot, position: number): void {
    const sizeBytes = Math.min(this.#world.settings.chunkBytes, snapshot.sizeBytes - position);
    this.#world.after(this.#world.diskDelay(), () => {
      if (this.#isDown) return;
      this.raft.chunkWritten(snapshot.id, position + sizeBytes);
      this.#drain();
    });
  }

  /** Takes the place of what a snapshot or the files of the leader hold: here, what the other's log has and knows committed. */
  #install(source: string, output: Extract<Output, { kind: 'install-snapshot' | 'copy-segments' }>): void {
    this.#world.after(1 + this.#world.diskDelay(), () => {
      if (this.#isDown) return;
      if (this.#operations.length > 0) {
        this.#install(source, output);
        return;
      }
      const from = this.#world.nodeOfMember(source)?.process;
      const part = output.kind === 'install-snapshot' ? output.snapshot : undefined;
      const taken = from?.taken(part);
      if (taken === undefined || taken.start.index + taken.entries.length < this.#committed) {
        this.raft.replacementFailed();
        this.#drain();
        return;
      }
      this.node.disk.start = taken.start;
      // What was installed can be sent on: a member that begins with it may come to lead.
      if (output.kind === 'install-snapshot') {
        const { snapshot } = output;
        this.node.disk.snapshots.set(snapshot.id, { start: taken.start, snapshot });
        this.raft.snapshotTaken(snapshot);
      }
      this.node.disk.entries = taken.entries;
      this.#start = taken.start;
      this.#log = [...taken.entries];
      this.raft.logReplaced(termsOf(this.#start, this.#log), configurationsOf(this.#start, this.#log));
      this.#generation = this.raft.generation;
      this.#drain();
    });
  }

  taken(snapshot: Snapshot | undefined): { start: SimDisk['start']; entries: Entry[] } | undefined {
    if (snapshot === undefined) {
      const entries = this.#log.slice(0, this.#committed - this.#start.index);
      return { start: this.#start, entries };
    }
    const start = this.node.disk.snapshots.get(snapshot.id)?.start;
    return start === undefined ? undefined : { start, entries: [] };
  }

  #commit(endIndex: number): void {
    const { checker } = this.#world;
    if (endIndex < this.#committed) throw new Error('the commit position goes back');
    const { configuration } = this.raft;
    for (let index = Math.max(this.#committed, this.#start.index); index < endIndex; index++) {
      const entry = this.entryAt(index);
      if (entry === undefined) throw new Error('a committed entry is not in the log');
      const isNews = checker.commits(this.node.member, index, entry, this.raft.term);
      if (isNews && this.raft.role === 'leader') {
        checker.isHeld(index, configuration, (voter) => {
          return this.#world.nodeOfMember(voter)?.holds(index, entry.term) === true;
        });
      }
    }
    this.#committed = endIndex;
  }

  #place(): void {
    const { configuration, leader, term } = this.raft;
    this.heartbeats.place('g', {
      term,
      leaderNode: leader === undefined ? undefined : nodeOf(leader),
      nodes: membersOf(configuration).map(nodeOf),
    });
  }

  #nodeEvents(): void {
    for (const event of this.heartbeats.take()) {
      switch (event.kind) {
        case 'send':
          this.#world.send(this.node.nodeId, event.message.to, { kind: 'node', message: event.message });
          break;
        case 'node-heard':
          this.raft.nodeHeard(event.nodeId);
          break;
        case 'node-silent':
          this.raft.nodeSilent(event.nodeId);
          break;
        case 'node-restarted':
          this.raft.nodeRestarted(event.nodeId);
          break;
        case 'leader-gone':
          this.raft.leaderGone(event.term);
          break;
        case 'unfollowed':
          this.raft.unfollowed(event.nodeId);
          break;
      }
      this.#drain();
    }
  }
}

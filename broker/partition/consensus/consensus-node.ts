/**
 * One node's side of all its groups: the ticks, the signs of life between nodes, and the messages, which go out at the end of
 * each turn, those of all groups for one node in one frame.
 *
 * A tick is a fixed span of the monotonic clock. Ticks that are due are given before anything else is (raft/peers.ts says
 * why); groups get those that they wait for, and groups at rest none. There is one timer however many groups there are, for the
 * next tick at which there is anything to do, and none where nobody needs one.
 */
import { assert } from '../../../platform/assert.ts';
import { unpooled } from '../../../platform/buffer-pool.ts';
import type { Lease } from '../../../platform/buffer-pool.ts';
import type { Clock, Timer } from '../../../platform/clock.ts';
import { ProtocolError } from '../../../protocol/index.ts';
import { decodeFrame } from '../../raft/frame-codec.ts';
import type { Frame } from '../../raft/frame-codec.ts';
import type { Message } from '../../raft/messages.ts';
import { nodeOf } from '../../raft/member.ts';
import { NodeHeartbeats } from '../../raft/node-heartbeats.ts';
import type { NodeEvent, Placement } from '../../raft/node-heartbeats.ts';
import type { Peers } from '../../raft/peers.ts';
import type { HardState, RaftSettings } from '../../raft/raft.ts';
import { RollAssembler } from '../../raft/roll-parts.ts';
import type { ConsensusHost, GroupMember } from './consensus-types.ts';
import { DueMembers } from './due-members.ts';
import { ElectionLine } from './election-line.ts';
import { OutgoingFrames } from './outgoing-frames.ts';
import type { Transport, TransportEvents } from '../../peers/transport.ts';

/** A timer may fire by so much early, as fractions are rounded. */
const clockGrainMs = 0.01;
/** Requests for votes that are kept for groups to come. */
const earlyMax = 10_000;

export interface ConsensusNodeOptions {
  readonly nodeId: number;
  /** Larger than at any earlier start of this node. */
  readonly incarnation: number;
  readonly clock: Clock;
  readonly settings: RaftSettings;
  readonly tickMs: number;
  readonly transport: Transport;
  /** Makes a group's term and vote durable in the directory that it lies in; what is asked for in one turn shares a sync. */
  readonly persist: (group: string, hardState: HardState) => Promise<void>;
  /** A term or vote could not be made durable; it is tried again after an election timeout. */
  readonly onPersistFailure: (group: string, error: unknown) => void;
}

export class ConsensusNode implements ConsensusHost, TransportEvents {
  readonly #options: ConsensusNodeOptions;
  readonly #heartbeats: NodeHeartbeats;
  readonly #groups = new Map<string, GroupMember>();
  readonly #ticking = new Set<GroupMember>();
  readonly #due = new DueMembers();
  readonly #elections: ElectionLine;
  /** Groups with a member or their leader on another node. */
  readonly #onNode = new Map<number, Set<GroupMember>>();
  readonly #nodesOf = new Map<GroupMember, readonly number[]>();
  readonly #unpersisted = new Set<GroupMember>();
  readonly #rolls = new Map<number, RollAssembler>();
  /** Of groups that this node is not in, the last request for a vote: one that is just being made here is to answer it. */
  readonly #early = new Map<string, Message>();
  readonly #outgoing: OutgoingFrames;
  /** The time of tick 0; later where ticks were left out that nobody could have seen. */
  #startedMs: number;
  #ticks = 0;
  #isTicking = false;
  #timer: Timer | undefined;
  #timerTick = 0;
  #hasPeers = false;
  #hasEnded = false;

  constructor(options: ConsensusNodeOptions) {
    const { nodeId, incarnation, clock, settings, transport } = options;
    this.#options = options;
    this.#heartbeats = new NodeHeartbeats({ nodeId, incarnation, timing: settings.timing });
    this.#elections = new ElectionLine(settings.timing.electionTicks);
    this.#outgoing = new OutgoingFrames({ nodeId, incarnation, transport });
    this.#startedMs = clock.monotonicMs();
  }

  /** For the groups that are to join. */
  get peers(): Peers {
    return this.#heartbeats;
  }

  /** Groups that ask for ticks now. */
  get tickingGroups(): number {
    return this.#ticking.size;
  }

  /** How long nothing has been heard of a node; Infinity where nothing ever was. */
  silentMs(nodeId: number): number {
    this.beforeInput();
    return (this.#heartbeats.now - this.#heartbeats.heardAt(nodeId)) * this.#options.tickMs;
  }

  group(name: string): GroupMember | undefined {
    return this.#groups.get(name);
  }

  /** Another node is to be heard, and is told that this one is there. */
  meet(nodeId: number): void {
    this.beforeInput();
    this.#heartbeats.meet(nodeId);
    this.#hasPeers = true;
    this.#heartbeats.greet();
    this.#nodeEvents();
    this.#wake();
  }

  /** The group takes part from now on. */
  join(member: GroupMember): void {
    assert(!this.#groups.has(member.group), 'a node has one member of a group');
    this.beforeInput();
    this.#groups.set(member.group, member);
    member.start();
    const early = this.#early.get(member.group);
    this.#early.delete(member.group);
    if (early !== undefined) member.step(early, undefined);
  }

  /** The member asks for leadership when its turn has come: others may be about to do so in their groups. */
  campaign(member: GroupMember): void {
    this.#elections.ask(member);
    this.#elections.moveOn(this.#heartbeats.now);
    this.#wake();
  }

  /** The group has ended here. */
  leave(member: GroupMember): void {
    member.end();
    this.#groups.delete(member.group);
    this.#unpersisted.delete(member);
    this.#elections.leave(member);
  }

  received(bytes: Buffer, lease: Lease = unpooled): boolean {
    if (this.#hasEnded) return true;
    this.beforeInput();
    let frame: Frame;
    try {
      frame = decodeFrame(bytes);
    } catch (error) {
      if (error instanceof ProtocolError) return false;
      throw error;
    }
    if (frame.to !== this.#options.nodeId || frame.from === this.#options.nodeId) return false;
    for (const message of frame.nodeMessages) {
      const whole = message.kind === 'roll-call-part' ? this.#rollOf(frame.from).add(message) : message;
      if (whole !== undefined) this.#heartbeats.receive(whole);
    }
    this.#nodeEvents();
    // What the nodes have to say to each other does not wait for what thousands of groups have to.
    this.#outgoing.flush();
    if (!this.#heartbeats.isCurrent(frame.from, frame.incarnation)) return true;
    for (const { group, message, bytes: parts } of frame.groupMessages) {
      const member = this.#groups.get(group);
      if (member === undefined) this.#keepEarly(group, message);
      else if (message.kind === 'append') member.step(message, parts[0], lease);
      // A piece of a snapshot is kept until it is written, without a lease.
      else member.step(message, parts[0] === undefined ? undefined : Buffer.from(parts[0]));
    }
    this.#elections.moveOn(this.#heartbeats.now);
    return true;
  }

  connected(nodeId: number): void {
    if (!this.#hasEnded) this.meet(nodeId);
  }

  disconnected(nodeId: number): void {
    // Where leases are in use only time counts.
    if (this.#hasEnded || this.#options.settings.leases !== undefined) return;
    this.beforeInput();
    this.#heartbeats.suspect(nodeId);
    this.#nodeEvents();
  }

  /** The node stops: each group resigns, and what that makes them say is sent. */
  end(): void {
    for (const member of this.#groups.values()) member.end();
    this.#groups.clear();
    this.#outgoing.flush();
    this.stop();
  }

  /** Nothing is sent, heard or timed any more. */
  stop(): void {
    this.#hasEnded = true;
    this.#timer?.cancel();
    this.#outgoing.stop();
  }

  beforeInput(): void {
    if (this.#isTicking || this.#hasEnded) return;
    const { clock, tickMs } = this.#options;
    const due = Math.floor((clock.monotonicMs() - this.#startedMs + clockGrainMs) / tickMs);
    if (this.#ticks >= due) return;
    const late = this.#needsTicks ? Math.min(due - this.#ticks, this.#lateTicksMax) : 0;
    this.#startedMs += (due - this.#ticks - late) * tickMs;
    this.#isTicking = true;
    for (let left = late; left > 0; left--) this.#tick();
    this.#isTicking = false;
  }

  send(group: string, message: Message, bytes: readonly Buffer[] = [], release?: () => void): void {
    this.#outgoing.addGroupMessage(nodeOf(message.to), { group, message, bytes }, release);
  }

  persist(group: string, hardState: HardState): Promise<void> {
    return this.#options.persist(group, hardState);
  }

  persistFailed(member: GroupMember, error: unknown): void {
    this.#unpersisted.add(member);
    this.#wake();
    this.#options.onPersistFailure(member.group, error);
  }

  ticking(member: GroupMember, isTicking: boolean): void {
    if (isTicking) this.#ticking.add(member);
    else this.#ticking.delete(member);
    this.#wake();
  }

  dueAt(member: GroupMember, tick: number): void {
    this.#due.add(member, tick);
    this.#wake();
  }

  placed(member: GroupMember, placement: Placement | undefined): void {
    this.#heartbeats.place(member.group, placement);
    const others = new Set(placement?.nodes);
    if (placement?.leaderNode !== undefined) others.add(placement.leaderNode);
    others.delete(this.#options.nodeId);
    for (const nodeId of this.#nodesOf.get(member) ?? []) this.#onNode.get(nodeId)?.delete(member);
    for (const nodeId of others) {
      const groups = this.#onNode.get(nodeId) ?? new Set();
      groups.add(member);
      this.#onNode.set(nodeId, groups);
    }
    if (placement === undefined) this.#nodesOf.delete(member);
    else this.#nodesOf.set(member, [...others]);
    if (others.size > 0) this.#hasPeers = true;
    this.#wake();
  }

  #tick(): void {
    this.#ticks++;
    this.#heartbeats.tick();
    this.#nodeEvents();
    const { electionTicks } = this.#options.settings.timing;
    if (this.#ticks % electionTicks === 0) {
      // Whoever asked has begun anew by then.
      this.#early.clear();
      if (this.#unpersisted.size > 0) this.#retry();
    }
    const { now } = this.#heartbeats;
    for (const member of this.#due.take(now)) {
      if (member.dueAt !== now) continue;
      if (member.isLeader) member.tick();
      else this.#elections.due(member);
    }
    this.#elections.moveOn(now);
  }

  #keepEarly(group: string, message: Message): void {
    if (message.kind !== 'vote' && message.kind !== 'pre-vote') return;
    if (this.#early.size < earlyMax) this.#early.set(group, message);
  }

  #retry(): void {
    const unpersisted = [...this.#unpersisted];
    this.#unpersisted.clear();
    for (const member of unpersisted) member.retryPersist();
  }

  /** No tick would do anything without other nodes, while all groups are at rest. */
  get #needsTicks(): boolean {
    const { size } = this.#ticking;
    return this.#hasPeers || size > 0 || this.#unpersisted.size > 0 || !this.#elections.isEmpty;
  }

  /**
   * Where the process was held up for longer than this, what others have said meanwhile is still to be read: they must not count as silent
   * for that, nor groups by the thousand be elected anew. Leases count all time that has gone by.
   */
  get #lateTicksMax(): number {
    const { leases, timing } = this.#options.settings;
    // Ticks that bring nothing are not waited for one by one: so many may be due without anything being amiss.
    return leases === undefined ? 2 * timing.heartbeatTicks : Infinity;
  }

  #wake(): void {
    if (this.#hasEnded) return;
    if (!this.#needsTicks) {
      this.#timer?.cancel();
      this.#timer = undefined;
      return;
    }
    const { clock, settings, tickMs } = this.#options;
    const latestTick = this.#ticks + settings.timing.heartbeatTicks;
    const isWaiting = !this.#elections.isEmpty;
    const firstTick = isWaiting ? 0 : Math.min(this.#due.next, this.#heartbeats.nextAt, latestTick);
    const nextTick = Math.max(firstTick, this.#ticks + 1);
    if (this.#timer !== undefined) {
      if (this.#timerTick <= nextTick) return;
      this.#timer.cancel();
    }
    this.#timerTick = nextTick;
    const dueMs = this.#startedMs + nextTick * tickMs;
    this.#timer = clock.after(Math.max(0, dueMs - clock.monotonicMs()), () => {
      this.#timer = undefined;
      this.beforeInput();
      this.#wake();
    });
  }

  #nodeEvents(): void {
    for (let events = this.#heartbeats.take(); events.length > 0; events = this.#heartbeats.take()) {
      for (const event of events) this.#nodeEvent(event);
    }
  }

  #nodeEvent(event: NodeEvent): void {
    switch (event.kind) {
      case 'send':
        this.#outgoing.addNodeMessage(event.message);
        break;
      case 'node-heard':
        for (const member of this.#groupsOn(event.nodeId)) member.nodeHeard(event.nodeId);
        break;
      case 'node-silent':
        for (const member of this.#groupsOn(event.nodeId)) member.nodeSilent(event.nodeId);
        break;
      case 'node-restarted':
        for (const member of this.#groupsOn(event.nodeId)) member.nodeRestarted(event.nodeId);
        break;
      case 'leader-gone':
        this.#groups.get(event.group)?.leaderGone(event.term);
        break;
      case 'unfollowed':
        this.#groups.get(event.group)?.unfollowed(event.nodeId);
        break;
    }
  }

  #groupsOn(nodeId: number): GroupMember[] {
    return [...(this.#onNode.get(nodeId) ?? [])].filter((member) => !member.hasEnded);
  }

  #rollOf(nodeId: number): RollAssembler {
    let roll = this.#rolls.get(nodeId);
    if (roll === undefined) {
      roll = new RollAssembler();
      this.#rolls.set(nodeId, roll);
    }
    return roll;
  }
}

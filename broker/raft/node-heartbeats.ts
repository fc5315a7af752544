/**
 * Signs of life between nodes, for all groups that two nodes share at once. A node sends each other node one heartbeat, however
 * many groups it leads there, and an idle group needs nothing else.
 *
 * A heartbeat carries the sender's incarnation and a digest of the groups (with their terms) that it leads with the receiver as a member.
 * The receiver answers whether these are just the ones in which it follows the sender. Only such a confirmation counts for leases
 * and check-quorum. Where the digests stay different the leader's node calls the roll: the receiver gives up leaders that are
 * not in it, and names the groups in which it does not follow, so that their leaders speak to it; for all others its answer is as
 * good as a confirmation, or none would come while thousands of groups elect leaders. Where no answer comes, the roll is
 * called unasked when it changes: the receiver may hear it and be unable to say so, and wait for a leader that has stepped down.
 *
 * Pure, as the rest of this folder: ticks and messages in, values out. One for each node; the shell tells it by `place` what each
 * group's 'role' and 'configuration' outputs say.
 */
import { assert } from '../../platform/assert.ts';
import type { Peers, Timing } from './peers.ts';

interface Envelope {
  readonly from: number;
  readonly to: number;
  /** Grows with each start of the sender. */
  readonly incarnation: number;
}

export interface GroupTerm {
  readonly group: string;
  readonly term: number;
}

export type NodeMessage =
  | (Envelope & { readonly kind: 'heartbeat'; readonly sentAt: number; readonly ledDigest: number })
  | (Envelope & {
      readonly kind: 'heartbeat-answer';
      /** Of the heartbeat, and the incarnation that sent it. */
      readonly sentAt: number;
      readonly askedBy: number;
      readonly isConfirmed: boolean;
    })
  | (Envelope & { readonly kind: 'roll-call'; readonly sentAt: number; readonly led: readonly GroupTerm[] })
  | (Envelope & {
      readonly kind: 'roll-answer';
      /** Of the roll call, and the incarnation that sent it. */
      readonly sentAt: number;
      readonly askedBy: number;
      /** All that have strayed are named: the others follow. */
      readonly isWhole: boolean;
      readonly strayed: readonly string[];
    });

/** What the groups that have a member on that node are to be told, by the inputs of Raft of the same names. */
export type NodeEvent =
  | { readonly kind: 'send'; readonly message: NodeMessage }
  | { readonly kind: 'node-heard'; readonly nodeId: number }
  | { readonly kind: 'node-silent'; readonly nodeId: number }
  | { readonly kind: 'node-restarted'; readonly nodeId: number }
  | { readonly kind: 'leader-gone'; readonly group: string; readonly term: number }
  | { readonly kind: 'unfollowed'; readonly group: string; readonly nodeId: number };

interface RollAnswered {
  readonly peer: Peer;
  /** When the roll was called. */
  readonly sentAt: number;
}

/** Rolls are not called more often than so many times in an election timeout. */
const rollsPerTimeout = 4;

/** Where a group's leader is, and on which other nodes its members are. */
export interface Placement {
  readonly term: number;
  readonly leaderNode: number | undefined;
  readonly nodes: readonly number[];
}

/** A set of groups with their terms, and a digest that is the same for the same set, in whatever order it came about. */
class GroupSet {
  readonly terms = new Map<string, number>();
  digest = 0;

  set(group: string, term: number | undefined): void {
    const before = this.terms.get(group);
    if (before === term) return;
    if (before !== undefined) this.digest = mixed(this.digest, group, before, -1);
    if (term === undefined) this.terms.delete(group);
    else {
      this.terms.set(group, term);
      this.digest = mixed(this.digest, group, term, 1);
    }
  }
}

interface Peer {
  incarnation: number;
  heardAt: number;
  confirmedAt: number;
  /** Since when nothing has been confirmed: the last time that something was, or when it was met. */
  unconfirmedSince: number;
  sentAt: number;
  rolledAt: number;
  rolledDigest: number;
  isSilent: boolean;
  /** Groups that this node leads with a member there, and those in which it follows a leader there. */
  readonly led: GroupSet;
  readonly followed: GroupSet;
}

export class NodeHeartbeats implements Peers {
  readonly #nodeId: number;
  readonly #incarnation: number;
  readonly #timing: Timing;
  readonly #peers = new Map<number, Peer>();
  readonly #placements = new Map<string, Placement>();
  #events: NodeEvent[] = [];
  /** Who has answered rolls of which ticks: since the last `take`, and before it. */
  #rollsAnswered: RollAnswered[] = [];
  #rollsTold: RollAnswered[] = [];
  #now = 0;

  constructor(options: { readonly nodeId: number; readonly incarnation: number; readonly timing: Timing }) {
    this.#nodeId = options.nodeId;
    this.#incarnation = options.incarnation;
    this.#timing = options.timing;
  }

  get now(): number {
    return this.#now;
  }

  heardAt(nodeId: number): number {
    return nodeId === this.#nodeId
      ? this.#now
      : (this.#peers.get(nodeId)?.heardAt ?? Number.NEGATIVE_INFINITY);
  }

  confirmedAt(nodeId: number): number {
    return nodeId === this.#nodeId
      ? this.#now
      : (this.#peers.get(nodeId)?.confirmedAt ?? Number.NEGATIVE_INFINITY);
  }

  /** Everything to be done, in order, since the last call. What a roll has confirmed counts when those who strayed have been told. */
  take(): NodeEvent[] {
    for (const { peer, sentAt } of this.#rollsTold) this.#confirmed(peer, sentAt);
    this.#rollsTold = this.#rollsAnswered;
    this.#rollsAnswered = [];
    const events = this.#events;
    this.#events = [];
    return events;
  }

  /** Where the group stands as this node sees it; undefined when it has no replica here any more. */
  place(group: string, placement: Placement | undefined): void {
    const before = this.#placements.get(group);
    if (placement === undefined) this.#placements.delete(group);
    else this.#placements.set(group, placement);
    const nodes = new Set([...(before?.nodes ?? []), ...(placement?.nodes ?? [])]);
    if (before?.leaderNode !== undefined) nodes.add(before.leaderNode);
    if (placement?.leaderNode !== undefined) nodes.add(placement.leaderNode);
    nodes.delete(this.#nodeId);
    for (const nodeId of nodes) {
      const { led, followed } = this.#peer(nodeId);
      const leader = placement?.leaderNode;
      const isLed = leader === this.#nodeId && placement?.nodes.includes(nodeId) === true;
      led.set(group, isLed ? placement.term : undefined);
      followed.set(group, leader === nodeId ? placement?.term : undefined);
    }
  }

  /** A tick has passed. Costs what there are nodes, not groups. */
  tick(): void {
    this.#now++;
    const { electionTicks, heartbeatTicks } = this.#timing;
    for (const [nodeId, peer] of this.#peers) {
      const isUnheard = this.#now - peer.heardAt >= electionTicks;
      const unconfirmedTicks = this.#now - peer.unconfirmedSince;
      const isUnconfirmed = unconfirmedTicks >= electionTicks;
      // Said again and again: a group may have had a sign of life of its own when it was said before.
      const isDue = isUnconfirmed && unconfirmedTicks % electionTicks === 0 && peer.led.terms.size > 0;
      if ((isUnheard && !peer.isSilent) || isDue) this.#events.push({ kind: 'node-silent', nodeId });
      peer.isSilent = isUnheard;
      if (this.#now - peer.sentAt >= heartbeatTicks) this.#beat(nodeId, peer);
      if (isUnconfirmed) this.#maybeCallRoll(nodeId, peer);
    }
  }

  /** Ticks before this one would tell nothing to anybody; Infinity without other nodes. */
  get nextAt(): number {
    const { electionTicks, heartbeatTicks } = this.#timing;
    let tick = Infinity;
    for (const { sentAt, heardAt, isSilent } of this.#peers.values()) {
      tick = Math.min(tick, sentAt + heartbeatTicks, isSilent ? Infinity : heardAt + electionTicks);
    }
    return Math.max(tick, this.#now + 1);
  }

  /** Makes itself known to all nodes at once, before the first heartbeats are due. */
  greet(): void {
    for (const [nodeId, peer] of this.#peers) this.#beat(nodeId, peer);
  }

  /** Returns false for what a former incarnation sent: nothing of it may be used, messages of groups included. */
  isCurrent(nodeId: number, incarnation: number): boolean {
    return incarnation >= this.#peer(nodeId).incarnation;
  }

  receive(message: NodeMessage): void {
    assert(message.to === this.#nodeId, 'a message for this node');
    const peer = this.#peer(message.from);
    if (message.incarnation < peer.incarnation) return;
    if (message.incarnation > peer.incarnation) this.#met(message.from, peer, message.incarnation);
    const wasSilent = peer.isSilent;
    peer.heardAt = this.#now;
    peer.isSilent = false;
    if (wasSilent) this.#events.push({ kind: 'node-heard', nodeId: message.from });
    switch (message.kind) {
      case 'heartbeat':
        this.#send({
          kind: 'heartbeat-answer',
          ...this.#envelope(message.from),
          sentAt: message.sentAt,
          askedBy: message.incarnation,
          isConfirmed: message.ledDigest === peer.followed.digest,
        });
        break;
      case 'heartbeat-answer':
        if (message.askedBy !== this.#incarnation) break;
        if (message.isConfirmed) this.#confirmed(peer, message.sentAt);
        else this.#callRoll(message.from, peer);
        break;
      case 'roll-call':
        this.#rollCalled(peer, message);
        break;
      case 'roll-answer':
        for (const group of message.strayed) {
          if (peer.led.terms.has(group)) {
            this.#events.push({ kind: 'unfollowed', group, nodeId: message.from });
          }
        }
        if (message.isWhole && message.askedBy === this.#incarnation) {
          this.#rollsAnswered.push({ peer, sentAt: message.sentAt });
        }
        break;
    }
  }

  /** The transport knows that the node's process has ended; not to be used where leases are. */
  suspect(nodeId: number): void {
    if (nodeId === this.#nodeId) return;
    const peer = this.#peer(nodeId);
    if (peer.isSilent) return;
    peer.heardAt = Math.min(peer.heardAt, this.#now - this.#timing.electionTicks);
    peer.isSilent = true;
    this.#events.push({ kind: 'node-silent', nodeId });
  }

  /** Another node there is to be heard. */
  meet(nodeId: number): void {
    if (nodeId !== this.#nodeId) this.#peer(nodeId);
  }

  #peer(nodeId: number): Peer {
    const known = this.#peers.get(nodeId);
    if (known !== undefined) return known;
    const never = Number.NEGATIVE_INFINITY;
    const peer: Peer = {
      incarnation: 0,
      heardAt: never,
      confirmedAt: never,
      unconfirmedSince: this.#now,
      sentAt: never,
      rolledAt: never,
      rolledDigest: 0,
      isSilent: true,
      led: new GroupSet(),
      followed: new GroupSet(),
    };
    this.#peers.set(nodeId, peer);
    return peer;
  }

  #beat(nodeId: number, peer: Peer): void {
    peer.sentAt = this.#now;
    this.#send({
      kind: 'heartbeat',
      ...this.#envelope(nodeId),
      sentAt: this.#now,
      ledDigest: peer.led.digest,
    });
  }

  #met(nodeId: number, peer: Peer, incarnation: number): void {
    const isReturn = peer.incarnation > 0;
    peer.incarnation = incarnation;
    peer.confirmedAt = Number.NEGATIVE_INFINITY;
    peer.unconfirmedSince = this.#now;
    if (isReturn) this.#events.push({ kind: 'node-restarted', nodeId });
  }

  #confirmed(peer: Peer, sentAt: number): void {
    peer.confirmedAt = Math.max(peer.confirmedAt, sentAt);
    peer.unconfirmedSince = peer.confirmedAt;
  }

  #maybeCallRoll(nodeId: number, peer: Peer): void {
    const isChanged = peer.rolledDigest !== peer.led.digest;
    const isLongAgo = this.#now - peer.rolledAt >= 8 * this.#timing.electionTicks;
    if (isChanged || isLongAgo) this.#callRoll(nodeId, peer);
  }

  #callRoll(nodeId: number, peer: Peer): void {
    if ((this.#now - peer.rolledAt) * rollsPerTimeout < this.#timing.electionTicks) return;
    peer.rolledAt = this.#now;
    peer.rolledDigest = peer.led.digest;
    const led = [...peer.led.terms].map(([group, term]) => ({ group, term }));
    this.#send({ kind: 'roll-call', ...this.#envelope(nodeId), sentAt: this.#now, led });
  }

  #rollCalled(peer: Peer, call: Extract<NodeMessage, { kind: 'roll-call' }>): void {
    const { from, incarnation: askedBy, sentAt, led } = call;
    const called = new Map(led.map(({ group, term }) => [group, term]));
    for (const [group, term] of peer.followed.terms) {
      if (called.get(group) !== term) this.#events.push({ kind: 'leader-gone', group, term });
    }
    const strayed = led.filter(({ group, term }) => peer.followed.terms.get(group) !== term);
    const groups = strayed.map(({ group }) => group);
    const answer = { sentAt, askedBy, isWhole: true, strayed: groups };
    this.#send({ kind: 'roll-answer', ...this.#envelope(from), ...answer });
  }

  #envelope(to: number): Envelope {
    return { from: this.#nodeId, to, incarnation: this.#incarnation };
  }

  #send(message: NodeMessage): void {
    this.#events.push({ kind: 'send', message });
  }
}

/** Sums of hashes, in 52 bits: the order in which groups came does not matter, and one can be taken out again. */
function mixed(digest: number, group: string, term: number, sign: 1 | -1): number {
  const modulus = 2 ** 52;
  const hash = hash32(group, term, 0x811c9dc5) * 2 ** 20 + (hash32(group, term, 0x9e3779b9) >>> 12);
  return (((digest + sign * hash) % modulus) + modulus) % modulus;
}

function hash32(group: string, term: number, start: number): number {
  let state = Math.imul(start ^ term, 0x85ebca6b);
  for (let place = 0; place < group.length; place++) {
    state = Math.imul(state ^ group.charCodeAt(place), 0x01000193);
  }
  state = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
  state = Math.imul(state ^ (state >>> 15), 0x735a2d97);
  return (state ^ (state >>> 15)) >>> 0;
}

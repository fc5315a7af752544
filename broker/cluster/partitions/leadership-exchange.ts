/**
 * Tells every registered node what this one leads, and takes what the others say they lead (`leaderships.ts`).
 *
 * News goes out in the turn in which it comes, one question at a time to each node, so that what comes meanwhile travels
 * together. The answer has what the other node now believes of this one, as a digest: where that is not what it should, it is told
 * everything once more. A node that starts is told everything, too; and where this one is registered anew it says all again as of
 * then. While nothing changes nothing is sent, and there is no timer but for repeating what failed.
 */
import type { Clock, Timer } from '../../../platform/clock.ts';
import { PeerError } from '../../peers/peer-requests.ts';
import type { PeerRequests, PeerService } from '../../peers/peer-requests.ts';
import { nodeOf } from '../../raft/member.ts';
import type { MemberId } from '../../raft/member.ts';
import { decodeDigest, decodeLeaderships, encodeDigest, encodeLeaderships } from './leadership-frames.ts';
import { isLed } from './leaderships.ts';
import type { Leadership, LeadershipDigest, Leaderships } from './leaderships.ts';
import type { MetadataChange, MetadataImage } from '../metadata/metadata-image.ts';

export const leadershipsKind = 'leaderships';

/** What of a replica the exchange looks at. */
export interface LedReplica {
  readonly identity: { readonly topicId: string; readonly partition: number };
  readonly isLeader: boolean;
  readonly leaderNode: number | undefined;
  readonly term: number;
  readonly committedConfiguration: { readonly configuration: { readonly revision: number } };
  readonly acknowledgements: { inSyncMembers(): readonly MemberId[] };
}

export interface LeadershipExchangeOptions {
  readonly nodeId: number;
  readonly clock: Clock;
  readonly leaderships: Leaderships;
  readonly image: () => MetadataImage;
  /** Undefined: there are no other nodes. */
  readonly peers: PeerRequests | undefined;
}

interface Peer {
  readonly nodeId: number;
  /** Of the registration that has been told everything, or is to be. */
  epoch: number;
  /** It is to be told everything. */
  needsAll: boolean;
  /** What it has not been told; what has been superseded meanwhile is passed over. */
  pending: Set<Leadership>;
  isSending: boolean;
  retry: Timer | undefined;
  pauseMs: number;
}

/** Leaderships in one question: some 50 KiB. */
const frameMax = 4_096;
const questionMsMax = 5_000;
const pauseMsMin = 250;
const pauseMsMax = 10_000;

export class LeadershipExchange {
  readonly #options: LeadershipExchangeOptions;
  readonly #peers = new Map<number, Peer>();
  /** A turn that tells the news has been asked for. */
  #isDue = false;
  #isClosed = false;
  /** The broker epoch of this node as of which it has said what it leads. */
  #saidEpoch = 0;

  constructor(options: LeadershipExchangeOptions) {
    this.#options = options;
  }

  /** What this node answers others (`leadershipsKind`). */
  get service(): PeerService {
    return ({ from, payload }) => {
      const { leaderships, image } = this.#options;
      for (const leadership of decodeLeaderships(payload, from)) {
        if (!image().isDeleted(leadership.topicId)) leaderships.merge(leadership);
      }
      return Promise.resolve([encodeDigest(leaderships.digest(from))]);
    };
  }

  /** A replica of this node has another leader or term, others in sync, or other members. */
  replicaChanged(replica: LedReplica): void {
    const { nodeId, leaderships, image } = this.#options;
    const { topicId, partition } = replica.identity;
    const { isLeader, leaderNode, term } = replica;
    if (image().isDeleted(topicId)) return;
    const known = leaderships.of(topicId, partition);
    if (!isLeader) {
      if (leaderNode === undefined) this.#giveUp(known);
      // Whoever follows knows of a new leader first, if no more than that.
      if (leaderNode === undefined || leaderNode === nodeId) return;
      const revision = known?.revision ?? 0;
      const epoch = this.#epochOf(leaderNode);
      const hint = { leader: leaderNode, term, version: 0, inSync: [leaderNode], revision, epoch };
      leaderships.merge({ topicId, partition, ...hint });
      return;
    }
    const inSync = replica.acknowledgements.inSyncMembers().map(nodeOf);
    const { revision } = replica.committedConfiguration.configuration;
    const isOwn = known?.leader === nodeId && known.term === term;
    if (isOwn && known.revision === revision && isSame(known.inSync, inSync)) return;
    const version = isOwn ? known.version + 1 : 1;
    const epoch = this.#epochOf(nodeId);
    const leadership = { topicId, partition, leader: nodeId, term, version, inSync, revision, epoch };
    if (leaderships.merge(leadership)) this.#tell(leadership);
  }

  /** This node leads it no more, and knows of nobody who does, as where it has lost its majority. */
  #giveUp(known: Leadership | undefined): void {
    const { nodeId, leaderships } = this.#options;
    if (!isLed(known) || known.leader !== nodeId) return;
    const epoch = this.#epochOf(nodeId);
    const leadership = { ...known, version: known.version + 1, inSync: [], epoch };
    if (leaderships.merge(leadership)) this.#tell(leadership);
  }

  /** After the image has it. */
  metadataChanged(change: MetadataChange): void {
    if (change.kind === 'topic-deleted') this.#options.leaderships.forget(change.topic.id);
    else if (change.kind === 'broker-changed') this.nodesChanged();
  }

  /** Who is registered is to be looked at: at the start of the node, and after each change. */
  nodesChanged(): void {
    const { image, nodeId, peers } = this.#options;
    if (this.#isClosed) return;
    this.#sayAnew();
    if (peers === undefined) return;
    const { brokers } = image();
    for (const [id, peer] of this.#peers) {
      if (brokers.has(id)) continue;
      peer.retry?.cancel();
      this.#peers.delete(id);
    }
    for (const { id, epoch } of brokers.values()) {
      if (id === nodeId) continue;
      const known = this.#peers.get(id);
      if (known === undefined) {
        this.#peers.set(id, newPeer(id, epoch));
        continue;
      }
      if (known.epoch !== epoch) known.needsAll = true;
      known.epoch = epoch;
      known.retry?.cancel();
      known.retry = undefined;
      known.pauseMs = pauseMsMin;
    }
    this.#schedule();
  }

  /** What was said as of an earlier registration stands for nothing now (`isStanding`). */
  #sayAnew(): void {
    const { nodeId, leaderships } = this.#options;
    const epoch = this.#epochOf(nodeId);
    if (epoch === this.#saidEpoch) return;
    this.#saidEpoch = epoch;
    for (const leadership of leaderships.ledBy(nodeId)) {
      const anew = { ...leadership, epoch };
      if (leaderships.merge(anew)) this.#tell(anew);
    }
  }

  /** 0 before it is registered. */
  #epochOf(nodeId: number): number {
    return this.#options.image().brokers.get(nodeId)?.epoch ?? 0;
  }

  close(): void {
    this.#isClosed = true;
    for (const { retry } of this.#peers.values()) retry?.cancel();
  }

  #tell(leadership: Leadership): void {
    for (const peer of this.#peers.values()) if (!peer.needsAll) peer.pending.add(leadership);
    this.#schedule();
  }

  /** All that comes in this turn goes out together. */
  #schedule(): void {
    if (this.#isDue || this.#peers.size === 0) return;
    this.#isDue = true;
    queueMicrotask(() => {
      this.#isDue = false;
      for (const peer of this.#peers.values()) this.#sendTo(peer);
    });
  }

  #sendTo(peer: Peer): void {
    const { peers } = this.#options;
    const isIdle = !peer.needsAll && peer.pending.size === 0;
    if (peers === undefined || isIdle || peer.isSending || peer.retry !== undefined || this.#isClosed) return;
    peer.isSending = true;
    void this.#send(peer, peers).finally(() => {
      peer.isSending = false;
      if (this.#peers.get(peer.nodeId) === peer) this.#sendTo(peer);
    });
  }

  /** Until it has been told everything, or that has failed. Rejects only for a bug. */
  async #send(peer: Peer, peers: PeerRequests): Promise<void> {
    const { leaderships, nodeId } = this.#options;
    let isRepeated = false;
    while (!this.#isClosed && (peer.needsAll || peer.pending.size > 0)) {
      if (peer.needsAll) {
        peer.pending = new Set(leaderships.ledBy(nodeId));
        peer.needsAll = false;
        isRepeated = true;
      }
      const frame = this.#take(peer);
      if (frame.length === 0) continue;
      try {
        const payload = [encodeLeaderships(this.#epochOf(nodeId), frame)];
        const options = { timeoutMs: questionMsMax };
        const answer = await peers.request(peer.nodeId, leadershipsKind, payload, options);
        peer.pauseMs = pauseMsMin;
        // Where they differ after everything was told, the other has heard of a later term than this node has.
        if (peer.pending.size === 0 && !isRepeated) peer.needsAll = !this.#isAgreed(decodeDigest(answer));
      } catch (error) {
        if (!(error instanceof PeerError)) throw error;
        this.#failed(peer);
        return;
      }
    }
  }

  #take(peer: Peer): Leadership[] {
    const { leaderships } = this.#options;
    const frame: Leadership[] = [];
    for (const leadership of peer.pending) {
      if (frame.length === frameMax) break;
      peer.pending.delete(leadership);
      if (leaderships.of(leadership.topicId, leadership.partition) === leadership) frame.push(leadership);
    }
    return frame;
  }

  #isAgreed(believed: LeadershipDigest): boolean {
    const { count, hash } = this.#options.leaderships.digest(this.#options.nodeId);
    return believed.count === count && believed.hash === hash;
  }

  /**
   * What it has got is not known: it is told everything after a while. A node that is fenced is told when its registration
   * changes: until then it serves nobody.
   */
  #failed(peer: Peer): void {
    if (this.#isClosed || this.#peers.get(peer.nodeId) !== peer) return;
    peer.needsAll = true;
    peer.pending.clear();
    peer.retry?.cancel();
    peer.retry = this.#options.clock.after(peer.pauseMs, () => {
      if (this.#options.image().brokers.get(peer.nodeId)?.fenced === true) return;
      peer.retry = undefined;
      this.#sendTo(peer);
    });
    peer.pauseMs = Math.min(peer.pauseMs * 2, pauseMsMax);
  }
}

function newPeer(nodeId: number, epoch: number): Peer {
  return {
    nodeId,
    epoch,
    needsAll: true,
    pending: new Set(),
    isSending: false,
    retry: undefined,
    pauseMs: pauseMsMin,
  };
}

function isSame(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every((id, position) => id === other[position]);
}

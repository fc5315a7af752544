/**
 * The private network between the nodes of a cluster: frames of consensus, and questions with their answers. One listener takes
 * the other nodes' connections; to each of them there is one connection per lane, made when something is to go there. So what A
 * sends B goes on A's connection, and each side sees the other's end on two ways.
 *
 * It knows addresses because it is told them (`setAddress`), or, where it was told none, because a node of its cluster says where it
 * is when it connects; and who a node is because it says so in the handshake; with TLS its certificate vouches for that it is one of ours. Everything held is bounded. Whatever comes in may end a connection and no
 * more. docs/internal-protocol.md has the bytes.
 */
import type { BufferPool, Lease } from '../../platform/buffer-pool.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Address, Network } from '../../platform/network.ts';
import type { Random } from '../../platform/random.ts';
import { assert } from '../../platform/assert.ts';
import { askAt } from './ask-at.ts';
import { spokenVersions } from './peer-handshake.ts';
import type { Hello, PeerIdentity, PeerStart, VersionRange } from './peer-handshake.ts';
import { PeerListener } from './peer-listener.ts';
import type { Incoming } from './peer-listener.ts';
import { PeerNode } from './peer-node.ts';
import { MalformedFrame } from './peer-stream.ts';
import { PeerError } from './peer-requests.ts';
import type { PeerRequestOptions, PeerRequests, PeerService } from './peer-requests.ts';
import { addressText, defaultPeerLimits } from './peer-settings.ts';
import type { PeerCounters, PeerLimits, PeerNotice, PeerServices, PeerTls } from './peer-settings.ts';
import { PendingQuestion } from './pending-question.ts';
import { callService, failureOf, QuestionServer } from './question-server.ts';
import { PeerTraffics } from './peer-traffic.ts';
import { ToldOnce } from './told-once.ts';
import type { Transport, TransportEvents } from './transport.ts';

export interface PeerNetworkOptions {
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  /** Where the other nodes connect; port 0 takes a free one. */
  readonly address: Address;
  /** By which others find that address; the address's own where absent. */
  readonly advertisedHost?: string | undefined;
  /** Without it nothing is encrypted, and who reaches the port may be a node. */
  readonly tls?: PeerTls;
  /** As it is at the start; see `identify`. */
  readonly identity: Omit<PeerIdentity, 'process'>;
  /** For an operator. Never called from within a call of this class. */
  readonly onNotice: (notice: PeerNotice) => void;
  readonly limits?: Partial<PeerLimits>;
  /** Of the memory of large frames of consensus; without it each has memory of its own. */
  readonly pool?: BufferPool | undefined;
  /** Those of this release, unless told. */
  readonly versions?: VersionRange;
}

const scratchBytes = 64 * 1024;
const causesMax = 4096;

export class PeerNetwork implements Transport, PeerRequests {
  readonly counters: PeerCounters = {
    framesSent: 0,
    framesDropped: 0,
    framesReceived: 0,
    malformed: 0,
    strangers: 0,
    refusals: 0,
  };
  /** With the nodes whose addresses are known. */
  readonly traffics = new PeerTraffics();
  readonly #services: PeerServices;
  readonly #nodes = new Map<number, PeerNode>();
  readonly #kinds = new Map<string, PeerService>();
  /** Questions to the own node and to addresses. */
  readonly #ownQuestions = new Set<PendingQuestion>();
  #listener: PeerListener | undefined;
  #identity: PeerIdentity;
  #events: TransportEvents | undefined;
  #closed: Promise<void> | undefined;

  private constructor(options: PeerNetworkOptions) {
    const told = new ToldOnce(causesMax);
    this.#identity = { ...options.identity, process: options.random.uint32() };
    this.#services = {
      network: options.network,
      clock: options.clock,
      random: options.random,
      tls: options.tls,
      limits: { ...defaultPeerLimits, ...options.limits },
      scratch: Buffer.allocUnsafeSlow(scratchBytes),
      pool: options.pool,
      counters: this.counters,
      traffics: this.traffics,
      spokenVersions: options.versions ?? spokenVersions,
      identity: () => this.#identity,
      listens: () => this.#advertised(options.advertisedHost),
      isClosing: () => this.#closed !== undefined,
      notice: (cause, notice) => {
        if (told.tell(cause)) queueMicrotask(() => options.onNotice(notice));
      },
      passed: (cause) => told.pass(cause),
    };
  }

  /**
   * Listens. Questions are answered as their kinds are served; frames are lost until `deliverTo`. Rejects with a NetworkError
   * where the address cannot be bound, or the certificate not be used ('tls').
   */
  static async open(options: PeerNetworkOptions): Promise<PeerNetwork> {
    const peers = new PeerNetwork(options);
    peers.#listener = await PeerListener.open(peers.#services, {
      address: options.address,
      onUp: (incoming) => peers.#incomingUp(incoming),
      onDown: (incoming) => peers.#incomingDown(incoming),
      newest: (nodeId) => peers.#newest(nodeId),
    });
    return peers;
  }

  /** Where it listens, with the port that was taken. */
  get address(): Address {
    return this.#listener!.address;
  }

  get identity(): PeerIdentity {
    return this.#identity;
  }

  /**
   * The node has been given its id, or has become part of its cluster, and neither changes after that. Where its number was another's
   * before, it begins above all of that one's incarnations.
   */
  identify({
    nodeId,
    clusterId,
    incarnation = this.#identity.incarnation,
  }: Pick<PeerIdentity, 'nodeId' | 'clusterId'> & { readonly incarnation?: number }): void {
    const before = this.#identity;
    assert(before.incarnation <= incarnation, 'incarnations grow');
    assert(before.nodeId === -1 || before.nodeId === nodeId, 'a node keeps its id');
    assert(before.clusterId === '' || before.clusterId === clusterId, 'a node keeps its cluster');
    if (before.nodeId === nodeId && before.clusterId === clusterId) return;
    this.#identity = { ...before, nodeId, clusterId, incarnation };
    this.setAddress(nodeId, undefined);
    for (const node of this.#nodes.values()) node.renew();
  }

  /** Frames and what is seen of nodes go there from now on; of nodes that are connected already it is told in this call. */
  deliverTo(events: TransportEvents): void {
    this.#events = events;
    for (const [nodeId, node] of this.#nodes) if (node.consensus.isUp) events.connected(nodeId);
  }

  /** Where a node listens for others; undefined: it is not to be talked to any more. That of the own node is passed over. */
  setAddress(nodeId: number, address: Address | undefined): void {
    if (address === undefined) {
      const node = this.#nodes.get(nodeId);
      this.#nodes.delete(nodeId);
      node?.setAddress(undefined);
      this.traffics.forget(nodeId);
    } else if (nodeId !== this.#identity.nodeId && this.#closed === undefined) {
      this.#nodeOf(nodeId).setAddress(address);
    }
  }

  /** Answers questions of the kind. */
  serve(kind: string, service: PeerService): void {
    assert(!this.#kinds.has(kind), `one service answers '${kind}'`);
    this.#kinds.set(kind, service);
  }

  send(nodeId: number, frame: readonly Buffer[], release: () => void): void {
    const node = this.#closed === undefined ? this.#nodes.get(nodeId) : undefined;
    if (node !== undefined) {
      node.consensus.send(frame, release);
      return;
    }
    this.counters.framesDropped++;
    release();
  }

  request(
    nodeId: number,
    kind: string,
    payload: readonly Buffer[],
    options: PeerRequestOptions,
  ): Promise<Buffer> {
    const who = `Node ${nodeId}`;
    if (this.#closed !== undefined) return Promise.reject(closedError());
    const asked = { kind, payload, timeoutMs: options.timeoutMs, who };
    if (nodeId === this.#identity.nodeId)
      return this.#askSelf(new PendingQuestion(asked, this.#services.clock));
    const node = this.#nodes.get(nodeId);
    if (node !== undefined) return node.lanes[options.lane ?? 'control'].ask(asked);
    const message = `No address of node ${nodeId} is known.`;
    return Promise.reject(new PeerError('unreachable', message, { wasSent: false }));
  }

  /** As `request`, of whoever is at the address; on a connection of its own. */
  requestAt(
    address: Address,
    kind: string,
    payload: readonly Buffer[],
    options: PeerRequestOptions,
  ): Promise<Buffer> {
    if (this.#closed !== undefined) return Promise.reject(closedError());
    const { clock } = this.#services;
    const who = `The node at ${addressText(address)}`;
    const question = new PendingQuestion({ kind, payload, timeoutMs: options.timeoutMs, who }, clock);
    this.#ownQuestions.add(question);
    askAt(this.#services, { address, lane: options.lane ?? 'control' }, question, () =>
      this.#ownQuestions.delete(question),
    );
    return question.answer;
  }

  /**
   * Ends everything: questions are rejected ('closed'), frames and answers that were handed over before are still sent, for as
   * long as that may take. Nothing is left when it resolves.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    // The assignment in `close` comes first, so that nothing is dialed any more.
    await Promise.resolve();
    const { clock, limits } = this.#services;
    for (const question of this.#ownQuestions) question.fail('closed', 'This node is closing.');
    const ended: Promise<void>[] = [];
    for (const { consensus, lanes } of this.#nodes.values()) {
      lanes.control.close();
      lanes.bulk.close();
      ended.push(consensus.end());
    }
    ended.push(this.#listener!.end());
    const timer = clock.after(limits.closeTimeoutMs, () => {
      for (const { consensus } of this.#nodes.values()) consensus.destroy();
      this.#listener!.destroy();
    });
    await Promise.all(ended);
    timer.cancel();
  }

  #askSelf(question: PendingQuestion): Promise<Buffer> {
    const { kind, payload, who } = question.asked;
    const service = this.#kinds.get(kind);
    if (service === undefined) {
      question.fail('unsupported', `${who} does not answer '${kind}'.`);
      return question.answer;
    }
    this.#ownQuestions.add(question);
    question.wasSent = true;
    question.onSettled = () => this.#ownQuestions.delete(question);
    callService(service, this.#identity.nodeId, whole(payload)).then(
      (answer) => question.succeed(whole(answer)),
      (error: unknown) => question.fail('failed', failureOf(error).message, error),
    );
    return question.answer;
  }

  #nodeOf(nodeId: number): PeerNode {
    const known = this.#nodes.get(nodeId);
    if (known !== undefined) return known;
    const node = new PeerNode(this.#services, {
      nodeId,
      onWelcome: (incarnation) => this.#listener!.endBefore(nodeId, incarnation),
      onConnected: () => this.#events?.connected(nodeId),
      onDisconnected: () => this.#disconnected(nodeId),
    });
    this.#nodes.set(nodeId, node);
    for (const { peer } of this.#listener!.from(nodeId)) {
      peer.traffic = this.traffics.of(nodeId);
      node.heardOn(peer);
    }
    return node;
  }

  #advertised(host: string | undefined): Address | undefined {
    const address = this.#listener?.address;
    return address && { host: host ?? address.host, port: address.port };
  }

  /** One that has joined while this node was cut off, or down, may be the one that it needs now. */
  #meet({ identity, listens }: Hello): void {
    const { nodeId, clusterId } = identity;
    const isMember = nodeId !== -1 && clusterId !== '' && clusterId === this.#identity.clusterId;
    if (isMember && listens !== undefined && !this.#nodes.has(nodeId)) this.setAddress(nodeId, listens);
  }

  #incomingUp({ peer, hello }: Incoming): void {
    const { nodeId, incarnation } = hello.identity;
    this.#meet(hello);
    if (hello.lane === 'consensus') {
      const { limits, pool } = this.#services;
      peer.expectFrames(limits.consensusFrameBytesMax, (...frame) => this.#received(...frame), pool);
    } else {
      const serviceOf = (kind: string): PeerService | undefined => this.#kinds.get(kind);
      new QuestionServer({ peer, from: nodeId, serviceOf }, this.#services).start();
    }
    if (nodeId === -1 || nodeId === this.#identity.nodeId) return;
    this.#listener!.replaceWith({ peer, hello });
    const node = this.#nodes.get(nodeId);
    if (node !== undefined) peer.traffic = this.traffics.of(nodeId);
    node?.endBefore(incarnation);
    node?.heardOn(peer);
    node?.poke();
  }

  #received(frame: Buffer, lease: Lease): void {
    this.counters.framesReceived++;
    const isRead = this.#events?.received(frame, lease) !== false;
    lease.release();
    if (!isRead) throw new MalformedFrame('a frame of consensus that cannot be read');
  }

  #incomingDown({ peer, hello }: Incoming): void {
    const { nodeId, incarnation } = hello.identity;
    const node = this.#nodes.get(nodeId);
    node?.ended(peer);
    if (hello.lane !== 'consensus') return;
    for (const { hello: other } of this.#listener!.from(nodeId)) {
      if (other.lane === 'consensus' && other.identity.incarnation === incarnation) return;
    }
    if (node === undefined) this.#disconnected(nodeId);
    else node.lost();
  }

  #disconnected(nodeId: number): void {
    if (this.#closed === undefined) this.#events?.disconnected(nodeId);
  }

  #newest(nodeId: number): PeerStart | undefined {
    let newest = this.#nodes.get(nodeId)?.start;
    for (const { hello } of this.#listener!.from(nodeId)) {
      if (newest === undefined || hello.identity.incarnation > newest.incarnation) newest = hello.identity;
    }
    return newest;
  }
}

function closedError(): PeerError {
  return new PeerError('closed', 'This node is closing.', { wasSent: false });
}

function whole(parts: readonly Buffer[]): Buffer {
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
}

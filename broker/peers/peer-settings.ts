/** What bounds the traffic between nodes, and what the parts of this folder share. */
import type { PeerTraffics } from './peer-traffic.ts';
import type { BufferPool } from '../../platform/buffer-pool.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Address, Network } from '../../platform/network.ts';
import type { Random } from '../../platform/random.ts';
import type { PeerIdentity, VersionRange } from './peer-handshake.ts';

export interface PeerLimits {
  readonly consensusFrameBytesMax: number;
  /** Of a question or an answer. */
  readonly questionFrameBytesMax: number;
  /** Not yet taken by the network, for one node and lane: what goes beyond is dropped. A frame that is alone always goes. */
  readonly unsentBytesMax: number;
  /** Questions of one connection that are being answered at one time, and their bytes; beyond that it is not read. */
  readonly questionsInServiceMax: number;
  readonly questionBytesInServiceMax: number;
  readonly connectTimeoutMs: number;
  readonly handshakeTimeoutMs: number;
  /** Where a node does not say a word for so long although it is spoken to, the connections to it are made anew. */
  readonly silenceMsMax: number;
  /** How long `close` waits for what is still to be sent. */
  readonly closeTimeoutMs: number;
  /** Connections from others, and those of them that have not said who they are. */
  readonly incomingMax: number;
  readonly unknownMax: number;
}

export const defaultPeerLimits: PeerLimits = {
  consensusFrameBytesMax: 256 * 1024 * 1024,
  questionFrameBytesMax: 64 * 1024 * 1024,
  unsentBytesMax: 16 * 1024 * 1024,
  questionsInServiceMax: 64,
  questionBytesInServiceMax: 16 * 1024 * 1024,
  connectTimeoutMs: 2000,
  handshakeTimeoutMs: 5000,
  silenceMsMax: 5000,
  closeTimeoutMs: 1000,
  incomingMax: 2048,
  unknownMax: 128,
};

/** PEM: one authority's certificate, and one that it has signed, with its key, for this node. Names the host in it. */
export interface PeerTls {
  readonly ca: string | Buffer;
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
}

/** Something that an operator should know; told once per cause until it has passed. */
export interface PeerNotice {
  /**
   * unreachable: no connection to another node. refused: another node does not want to talk to this one, nor is it the right one. refusing: this one refuses another.
   * stranger: what connects is no node. malformed: bytes that no node sends. listener: connections cannot be taken.
   */
  readonly kind: 'unreachable' | 'refused' | 'refusing' | 'stranger' | 'malformed' | 'listener';
  /** Whole sentences with cause and fix. */
  readonly message: string;
  readonly nodeId: number | undefined;
  /** 'host:port', or the host alone. */
  readonly address: string;
}

export interface PeerCounters {
  /** Frames of consensus that were handed to the network, and those that were not: no connection, or too much unsent. */
  framesSent: number;
  framesDropped: number;
  framesReceived: number;
  /** Connections that were ended because of what came on them, or that were no node's. */
  malformed: number;
  strangers: number;
  /** Handshakes that ended in a refusal, on either side. */
  refusals: number;
}

/** What every part of this folder works with. */
export interface PeerServices {
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly tls: PeerTls | undefined;
  readonly limits: PeerLimits;
  /** Shared by all connections; see FrameCutter. */
  readonly scratch: Buffer;
  /** Of large frames of consensus. */
  readonly pool: BufferPool | undefined;
  readonly counters: PeerCounters;
  readonly traffics: PeerTraffics;
  readonly spokenVersions: VersionRange;
  identity(): PeerIdentity;
  /** Where others reach this node; undefined before it listens. */
  listens(): Address | undefined;
  isClosing(): boolean;
  /** Tells what has not been told yet. `cause` tells it from others. */
  notice(cause: string, notice: PeerNotice): void;
  /** What begins so has passed: when it comes again, it is told again. */
  passed(cause: string): void;
}

export function addressText({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

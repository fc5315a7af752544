/**
 * What two nodes say to each other before anything else, and whether they are to talk: pure. docs/internal-protocol.md has the
 * bytes. Neither greeting ever changes but by fields at its end, which a node that does not know them passes over: so nodes of
 * two releases find out what both of them speak.
 */
import { ProtocolError, Reader, Writer } from '../../protocol/index.ts';
import type { Address } from '../../platform/network.ts';
import type { PeerLane } from './peer-requests.ts';

/** What a connection is for: frames of consensus, or questions. */
export type ConnectionLane = 'consensus' | PeerLane;

/** Who a node is. */
export interface PeerIdentity {
  /** -1 while it has none. */
  readonly nodeId: number;
  /** Larger than at any earlier start of the node. */
  readonly incarnation: number;
  /** '' while it belongs to none. */
  readonly clusterId: string;
  readonly softwareVersion: string;
  /** By chance, at each start: tells two processes apart that believe to be the same start of the same node. */
  readonly process: number;
  /**
   * Whether its leaders may count on the promises of others, and it keeps its own; left out: no, as in releases that do not know
   * this. One that keeps none would break the leases of others, so that only nodes that agree talk to each other.
   */
  readonly usesLeases?: boolean;
}

/** A process as a node's start. */
export type PeerStart = Pick<PeerIdentity, 'incarnation' | 'process'>;

export interface VersionRange {
  readonly lowest: number;
  readonly highest: number;
}

export interface Hello {
  readonly versions: VersionRange;
  readonly lane: ConnectionLane;
  /** The node that is expected at the address; -1: whoever is there. */
  readonly goal: number;
  readonly identity: PeerIdentity;
  /** Where the node itself listens for others; undefined: it does not say, as in releases that do not know this. */
  readonly listens?: Address | undefined;
}

export interface Welcome {
  readonly kind: 'welcome';
  /** Of the protocol, from here on. */
  readonly version: number;
  readonly identity: PeerIdentity;
}

/**
 * wrong-cluster: the nodes belong to different clusters. wrong-node: another node is at the address. same-node-id: two nodes have
 * one id. no-common-version: releases too far apart. not-formed: one of them has no id or cluster yet, as consensus needs. other:
 * a reason that this release has no code for, or does not know.
 */
export type RefusalCode =
  | 'wrong-cluster'
  | 'wrong-node'
  | 'same-node-id'
  | 'no-common-version'
  | 'not-formed'
  | 'other';

export interface Refusal {
  readonly kind: 'refusal';
  readonly code: RefusalCode;
  /** A clause with cause and fix. */
  readonly reason: string;
  readonly identity: PeerIdentity;
}

/** Versions of the protocol behind the greetings that this release speaks. */
export const spokenVersions: VersionRange = { lowest: 1, highest: 1 };

/** No greeting is longer, whatever its size says. */
export const greetingBytesMax = 8192;
/** 'KLPN' as a number; no Kafka request has this size, no HTTP or TLS begins so. */
export const greetingMagic = 0x4b4c504e;
export const greetingPrefixBytes = 6;

const lanes: readonly ConnectionLane[] = ['consensus', 'control', 'bulk'];
/** By their numbers on the wire; 0 is a welcome. */
const refusalCodes: readonly RefusalCode[] = [
  'other',
  'wrong-cluster',
  'wrong-node',
  'same-node-id',
  'no-common-version',
  'not-formed',
];
const reasonCharactersMax = 1000;

export function encodeHello(hello: Hello): Buffer {
  const writer = new Writer();
  writer.int16(hello.versions.lowest);
  writer.int16(hello.versions.highest);
  writer.int8(lanes.indexOf(hello.lane));
  writer.int32(hello.goal);
  writeIdentity(writer, hello.identity);
  writer.string(hello.listens?.host ?? '');
  writer.int32(hello.listens?.port ?? 0);
  writeLeases(writer, hello.identity);
  return greeting(writer.finish());
}

/** `body` is what follows magic and size. Throws ProtocolError. */
export function decodeHello(body: Buffer): Hello {
  const reader = new Reader(body);
  const versions = { lowest: reader.int16(), highest: reader.int16() };
  const lane = lanes[reader.int8()];
  if (lane === undefined)
    throw new ProtocolError('bad-value', 'a connection for a purpose that is not known');
  const goal = reader.int32();
  const identity = readIdentity(reader);
  if (reader.remaining === 0) return { versions, lane, goal, identity };
  const listens = { host: reader.string(), port: reader.int32() };
  const hello = { versions, lane, goal, identity: withLeases(identity, reader) };
  return listens.host === '' ? hello : { ...hello, listens };
}

export function encodeAnswer(answer: Welcome | Refusal): Buffer {
  const writer = new Writer();
  writer.int8(answer.kind === 'welcome' ? 0 : Math.max(1, refusalCodes.indexOf(answer.code) + 1));
  writer.int16(answer.kind === 'welcome' ? answer.version : 0);
  writeIdentity(writer, answer.identity);
  writer.string(answer.kind === 'welcome' ? '' : answer.reason.slice(0, reasonCharactersMax));
  writeLeases(writer, answer.identity);
  return greeting(writer.finish());
}

/** `body` is what follows magic and size. Throws ProtocolError. */
export function decodeAnswer(body: Buffer): Welcome | Refusal {
  const reader = new Reader(body);
  const result = reader.int8();
  const version = reader.int16();
  const who = readIdentity(reader);
  const reason = reader.string();
  const identity = withLeases(who, reader);
  return result === 0
    ? { kind: 'welcome', version, identity }
    : { kind: 'refusal', code: refusalCodes[result - 1] ?? 'other', reason, identity };
}

/** Whom a hello has reached. */
export interface HelloHost {
  readonly own: PeerIdentity;
  readonly spoken: VersionRange;
  /** The latest start of the greeting node among its connections that are open here; undefined where none are. */
  readonly newest: PeerStart | undefined;
}

/** What a node says to a hello. An earlier start of a node cannot come after a later one: these would be two. */
export function judgeHello(hello: Hello, host: HelloHost): Welcome | Refusal {
  const { own, spoken, newest } = host;
  const version = Math.min(hello.versions.highest, spoken.highest);
  const fault =
    version < Math.max(hello.versions.lowest, spoken.lowest)
      ? versionFault(hello, host)
      : (clusterFault(hello.identity, own) ??
        goalFault(hello.goal, own) ??
        idFault(hello.identity, own, newest) ??
        leaseFault(hello.identity, own) ??
        (hello.lane === 'consensus' ? formationFault(hello.identity, own) : undefined));
  return fault === undefined
    ? { kind: 'welcome', version, identity: own }
    : { kind: 'refusal', ...fault, identity: own };
}

/** What is wrong with who has welcomed us; undefined: nothing. */
export function judgeWelcome(hello: Hello, welcome: Welcome): Fault | undefined {
  const { version, identity } = welcome;
  if (version < hello.versions.lowest || version > hello.versions.highest) {
    return { code: 'no-common-version', reason: `it chose version ${version}, which was not offered` };
  }
  return (
    clusterFault(hello.identity, identity) ??
    goalFault(hello.goal, identity) ??
    leaseFault(hello.identity, identity)
  );
}

export interface Fault {
  readonly code: RefusalCode;
  readonly reason: string;
}

function versionFault({ versions, identity }: Hello, { own, spoken }: HelloHost): Fault {
  return {
    code: 'no-common-version',
    reason:
      `it speaks versions ${spoken.lowest} to ${spoken.highest} of the protocol between nodes (release ` +
      `${own.softwareVersion}), the other one ${versions.lowest} to ${versions.highest} (release ` +
      `${identity.softwareVersion}); upgrade the nodes of a cluster one release at a time`,
  };
}

function clusterFault(one: PeerIdentity, other: PeerIdentity): Fault | undefined {
  if (one.clusterId === '' || other.clusterId === '' || one.clusterId === other.clusterId) return undefined;
  return {
    code: 'wrong-cluster',
    reason:
      `it belongs to cluster ${other.clusterId}, and the node that connects to cluster ${one.clusterId}; correct the ` +
      'address that led there, or give the node that is in the wrong cluster empty data directories',
  };
}

function goalFault(goal: number, found: PeerIdentity): Fault | undefined {
  if (goal === -1 || goal === found.nodeId) return undefined;
  if (found.nodeId === -1) {
    return { code: 'not-formed', reason: `it has no node id yet, and node ${goal} was expected` };
  }
  return {
    code: 'wrong-node',
    reason: `it is node ${found.nodeId}, and node ${goal} was expected; correct the address of node ${goal}`,
  };
}

function idFault(theirs: PeerIdentity, own: PeerIdentity, newest: PeerStart | undefined): Fault | undefined {
  if (theirs.nodeId === -1) return undefined;
  const isOtherSelf = theirs.nodeId === own.nodeId && theirs.process !== own.process;
  if (isOtherSelf || (newest !== undefined && !mayFollow(newest, theirs))) {
    return {
      code: 'same-node-id',
      reason: `two processes run as node ${theirs.nodeId}; stop one of them, or give it a node.id of its own`,
    };
  }
  return undefined;
}

function leaseFault(one: PeerIdentity, other: PeerIdentity): Fault | undefined {
  const [ours, theirs] = [one.usesLeases === true, other.usesLeases === true];
  if (ours === theirs) return undefined;
  return {
    code: 'other',
    reason:
      `it has kappalog.leader.lease.enable=${theirs}, and the node that connects has ${ours}; stop all nodes of the cluster, ` +
      'and start them with the same',
  };
}

/** Whether one node can have had the one start and then the other, or both are the same. */
function mayFollow(before: PeerStart, after: PeerStart): boolean {
  return before.incarnation === after.incarnation
    ? before.process === after.process
    : before.incarnation < after.incarnation;
}

function formationFault(theirs: PeerIdentity, own: PeerIdentity): Fault | undefined {
  if (own.nodeId === -1 || own.clusterId === '') {
    return { code: 'not-formed', reason: 'it does not belong to a cluster yet; this passes when it does' };
  }
  return theirs.nodeId === -1 || theirs.clusterId === ''
    ? { code: 'not-formed', reason: 'the node that connects does not belong to a cluster yet' }
    : undefined;
}

function writeIdentity(writer: Writer, identity: PeerIdentity): void {
  writer.int32(identity.nodeId);
  writer.int64(identity.incarnation);
  writer.string(identity.clusterId);
  writer.string(identity.softwareVersion);
  writer.int64(identity.process);
}

function readIdentity(reader: Reader): PeerIdentity {
  const nodeId = reader.int32();
  const incarnation = reader.int64();
  const clusterId = reader.string();
  const softwareVersion = reader.string();
  const process = reader.int64();
  if (nodeId < -1) throw new ProtocolError('out-of-range', `a node with the id ${nodeId}`);
  return { nodeId, incarnation, clusterId, softwareVersion, process };
}

function writeLeases(writer: Writer, identity: PeerIdentity): void {
  writer.int8(identity.usesLeases === true ? 1 : 0);
}

/** A greeting of before ends sooner. */
function withLeases(identity: PeerIdentity, reader: Reader): PeerIdentity {
  return reader.remaining > 0 && reader.int8() === 1 ? { ...identity, usesLeases: true } : identity;
}

function greeting(body: Buffer): Buffer {
  const prefix = Buffer.alloc(greetingPrefixBytes);
  prefix.writeUInt32BE(greetingMagic, 0);
  prefix.writeUInt16BE(body.length, 4);
  return Buffer.concat([prefix, body]);
}

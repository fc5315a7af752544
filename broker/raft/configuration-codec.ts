/**
 * How a configuration is written: as the content of a Raft-only entry of kind 'configuration', in the file that keeps a log's
 * first one (storage-format.md, "Configurations"), and inside messages.
 */
import { ProtocolError, Reader, Writer } from '../../protocol/index.ts';
import type { Configuration } from './configuration.ts';
import { directoryOf, memberId, nodeOf } from './member.ts';
import type { MemberId } from './member.ts';

const formatVersion = 0;
/** node int32, length of the directory id, one character of it */
const memberBytesMin = 6;

export function encodeConfiguration(configuration: Configuration): Buffer {
  const writer = new Writer(128);
  writer.int8(formatVersion);
  writeConfiguration(writer, configuration);
  return writer.finish();
}

/** Undefined where it is no configuration, or one of a newer format. */
export function decodeConfiguration(bytes: Buffer): Configuration | undefined {
  try {
    const reader = new Reader(bytes);
    if (reader.int8() !== formatVersion) return undefined;
    const configuration = readConfiguration(reader);
    reader.finish();
    return configuration;
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

export function writeConfiguration(writer: Writer, configuration: Configuration): void {
  writer.int64(configuration.revision);
  for (const members of [configuration.voters, configuration.outgoing, configuration.learners]) {
    writer.compactCount(members.length);
    for (const member of members) {
      writer.int32(nodeOf(member));
      writer.compactString(directoryOf(member));
    }
  }
}

/** Throws ProtocolError. */
export function readConfiguration(reader: Reader): Configuration {
  const revision = readNatural(reader);
  const voters = readMembers(reader);
  const outgoing = readMembers(reader);
  const learners = readMembers(reader);
  if (voters.length === 0) throw new ProtocolError('bad-value', 'a configuration without a voter');
  return { voters, outgoing, learners, revision };
}

/** Throws ProtocolError. */
export function memberOf(nodeId: number, directoryId: string): MemberId {
  if (nodeId < 0 || directoryId === '') {
    throw new ProtocolError('bad-value', `there is no member on node ${nodeId}, directory '${directoryId}'`);
  }
  return memberId(nodeId, directoryId);
}

/** A safe integer that is not negative, from eight bytes. Throws ProtocolError. */
export function readNatural(reader: Reader): number {
  const value = reader.int64();
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new ProtocolError('out-of-range', `${value} before byte ${reader.position}`);
  }
  return value;
}

function readMembers(reader: Reader): MemberId[] {
  const members: MemberId[] = [];
  for (let count = reader.compactCount(memberBytesMin); count > 0; count--) {
    members.push(memberOf(reader.int32(), reader.compactString()));
  }
  if (new Set(members).size < members.length)
    throw new ProtocolError('bad-value', 'a member that is named twice');
  return members;
}

/**
 * What a follower and its leader say to each other while files of a log are copied: questions of the kind `copy` between nodes. A
 * question is JSON; an answer is a status (int8) and what the question asked for. Nothing of it is believed: names and numbers are
 * checked here, bytes by their CRC on the way and by the recovery of the copy as a log afterwards.
 */
import { crc32c } from '../../../../protocol/index.ts';
import { decodeConfiguration, encodeConfiguration } from '../../../raft/configuration-codec.ts';
import type { PlacedConfiguration } from '../../../raft/configuration.ts';

export const copyKind = 'copy';
/** Of one answer. */
export const pieceBytesMax = 1024 * 1024;

export type CopyQuestion =
  /** Of a log up to `endIndex` or beyond; where `previous` is still held, that one. */
  | {
      readonly operation: 'begin';
      readonly group: string;
      readonly endIndex: number;
      readonly previous: string | undefined;
    }
  | {
      readonly operation: 'read';
      readonly manifest: string;
      readonly file: number;
      readonly position: number;
      readonly sizeBytes: number;
    }
  | { readonly operation: 'end'; readonly manifest: string };

/** An immutable point of a log: what its files are up to there. */
export interface CopyManifest {
  /** Of all that ever were. */
  readonly id: string;
  readonly endIndex: number;
  readonly lastTerm: number;
  /** The newest below `endIndex`. */
  readonly configuration: PlacedConfiguration;
  /** A `replica-state` with the log's start and table. */
  readonly state: Buffer;
  readonly files: readonly { readonly name: string; readonly sizeBytes: number }[];
}

/** 'absent': no such log or manifest here (any more). 'behind': the log does not reach so far, durably. */
export type CopyStatus = 'done' | 'absent' | 'behind';

const statuses: readonly CopyStatus[] = ['done', 'absent', 'behind'];
const namePattern = /^(\d{20}\.(log|txnindex|snapshot)|leader-epoch-checkpoint)$/;

export function encodeQuestion(question: CopyQuestion): Buffer {
  return Buffer.from(JSON.stringify(question));
}

/** Throws a MalformedCopy. */
export function decodeQuestion(bytes: Buffer): CopyQuestion {
  const fields = parse(bytes);
  switch (fields['operation']) {
    case 'begin': {
      const previous = fields['previous'] === undefined ? undefined : textOf(fields['previous']);
      return {
        operation: 'begin',
        group: textOf(fields['group']),
        endIndex: naturalOf(fields['endIndex']),
        previous,
      };
    }
    case 'read':
      return {
        operation: 'read',
        manifest: textOf(fields['manifest']),
        file: naturalOf(fields['file']),
        position: naturalOf(fields['position']),
        sizeBytes: Math.min(pieceBytesMax, naturalOf(fields['sizeBytes'])),
      };
    case 'end':
      return { operation: 'end', manifest: textOf(fields['manifest']) };
    default:
      throw new MalformedCopy('a question of an unknown kind');
  }
}

export function encodeStatus(status: CopyStatus): Buffer {
  return Buffer.from([statuses.indexOf(status)]);
}

/** The status, and what follows it. Throws a MalformedCopy. */
export function decodeStatus(answer: Buffer): { readonly status: CopyStatus; readonly rest: Buffer } {
  const status = answer.length === 0 ? undefined : statuses[answer.readInt8(0)];
  if (status === undefined) throw new MalformedCopy('an answer without a status');
  return { status, rest: answer.subarray(1) };
}

/** A piece of a file, behind its CRC-32C. */
export function encodePiece(bytes: Buffer): Buffer[] {
  const crc = Buffer.alloc(4);
  crc.writeUInt32BE(crc32c(bytes));
  return [encodeStatus('done'), crc, bytes];
}

/** Undefined where the bytes are not those that were sent. */
export function decodePiece(rest: Buffer): Buffer | undefined {
  if (rest.length < 4) return undefined;
  const bytes = rest.subarray(4);
  return rest.readUInt32BE(0) === crc32c(bytes) ? bytes : undefined;
}

export function encodeManifest({ configuration, state, ...manifest }: CopyManifest): Buffer {
  return Buffer.from(
    JSON.stringify({
      ...manifest,
      state: state.toString('base64'),
      configurationIndex: configuration.index,
      configuration: encodeConfiguration(configuration.configuration).toString('base64'),
    }),
  );
}

/** Throws a MalformedCopy. */
export function decodeManifest(bytes: Buffer): CopyManifest {
  const fields = parse(bytes);
  const configuration = decodeConfiguration(Buffer.from(textOf(fields['configuration']), 'base64'));
  if (configuration === undefined) throw new MalformedCopy('a configuration that cannot be read');
  if (!Array.isArray(fields['files'])) throw new MalformedCopy('a manifest without files');
  const files = fields['files'].map((file: unknown) => {
    const { name, sizeBytes } = objectOf(file);
    return { name: textOf(name), sizeBytes: naturalOf(sizeBytes) };
  });
  const areNames = files.every(({ name }) => namePattern.test(name));
  if (!areNames || new Set(files.map(({ name }) => name)).size < files.length)
    throw new MalformedCopy('a manifest with files that no log has');
  return {
    id: textOf(fields['id']),
    endIndex: naturalOf(fields['endIndex']),
    lastTerm: naturalOf(fields['lastTerm']),
    configuration: { index: naturalOf(fields['configurationIndex']), configuration },
    state: Buffer.from(textOf(fields['state']), 'base64'),
    files,
  };
}

/** What the other node said makes no sense. */
export class MalformedCopy extends Error {
  constructor(what: string) {
    super(`While a log was copied, the other node sent ${what}.`);
    this.name = 'MalformedCopy';
  }
}

function parse(bytes: Buffer): Record<string, unknown> {
  try {
    return objectOf(JSON.parse(bytes.toString()));
  } catch (error) {
    if (error instanceof SyntaxError) throw new MalformedCopy('what is no JSON');
    throw error;
  }
}

function objectOf(value: unknown): Record<string, unknown> {
  if (!isObject(value)) throw new MalformedCopy('a value that is no object');
  return value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function textOf(value: unknown): string {
  if (typeof value !== 'string') throw new MalformedCopy('a value that is no text');
  return value;
}

function naturalOf(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
    throw new MalformedCopy('a value that is no count');
  return value;
}

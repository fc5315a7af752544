/** Codecs of all messages: requests, responses, headers and stored records, each in every version that is valid. */
import { loadCodecs } from './catalogue.ts';
import type { GeneratedCodec, MessageName } from './catalogue.ts';
import type { MessageTypes } from './generated/messages.js';
import { ProtocolError } from './protocol-error.ts';
import { Reader } from './reader.ts';
import { Writer } from './writer.ts';

/**
 * A value to be written: any field may be left out and then has the schema's default. Bytes and records may be given in
 * pieces, whose concatenation is meant.
 */
export type Encodable<T> = T extends Buffer
  ? T | readonly Buffer[]
  : T extends readonly (infer Element)[]
    ? readonly Encodable<Element>[]
    : T extends object
      ? { readonly [Key in keyof T]?: Encodable<T[Key]> | undefined }
      : T;

export interface Codec<T> {
  readonly name: string;
  readonly version: number;
  /** Whether this version has compact forms and tagged fields. */
  readonly flexible: boolean;
  /** Throws ProtocolError for a value that this version cannot carry. */
  encode(value: Encodable<T>): Buffer;
  /** Must use up the buffer. Throws ProtocolError for whatever is malformed; bytes are slices of the buffer. */
  decode(buffer: Buffer): T;
  write(writer: Writer, value: Encodable<T>): void;
  read(reader: Reader): T;
}

class MessageCodec implements Codec<unknown> {
  readonly name: string;
  readonly version: number;
  readonly flexible: boolean;
  readonly read: (reader: Reader) => unknown;
  readonly write: (writer: Writer, value: unknown) => void;

  constructor(name: string, version: number, generated: GeneratedCodec) {
    this.name = name;
    this.version = version;
    this.flexible = generated.flexible;
    this.read = generated.read;
    this.write = generated.write;
  }

  encode(value: unknown): Buffer {
    const writer = new Writer();
    this.write(writer, value);
    return writer.finish();
  }

  decode(buffer: Buffer): unknown {
    const reader = new Reader(buffer);
    const value = this.read(reader);
    reader.finish();
    return value;
  }
}

/** Codecs that were asked for, by name and version: constant objects, kept so that asking again costs a look-up. */
const codecs = new Map<string, MessageCodec[]>();

/**
 * The codec of a message in one version. The message's generated file is loaded on first use.
 * Throws ProtocolError 'unknown-message' or 'unsupported-version'.
 */
export function codec<Name extends MessageName>(name: Name, version: number): Codec<MessageTypes[Name]> {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- generated code and type come from one schema
  return codecByName(name, version) as unknown as Codec<MessageTypes[Name]>;
}

/** As `codec`, for a name that is only known at run time. */
export function codecByName(name: string, version: number): Codec<unknown> {
  let versions = codecs.get(name);
  if (versions === undefined) {
    const generated = loadCodecs(name);
    if (generated === undefined) throw new ProtocolError('unknown-message', `there is no message ${name}`);
    versions = [];
    for (const [key, functions] of Object.entries(generated)) {
      versions[Number(key)] = new MessageCodec(name, Number(key), functions);
    }
    codecs.set(name, versions);
  }
  const found = versions[version];
  if (found === undefined) {
    throw new ProtocolError('unsupported-version', `${name} has no version ${version}`);
  }
  return found;
}

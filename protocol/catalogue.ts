/**
 * What the generator made, loaded synchronously on first use: the catalogue at once, each message's codecs when they are
 * asked for. Both are constant for the life of the process.
 */
import { createRequire } from 'node:module';
import type { ErrorCodes, MessageTypes } from './generated/messages.js';
import type { Reader } from './reader.ts';
import type { Writer } from './writer.ts';

/** Messages that still have versions; the four removed APIs have none. */
export type MessageName = keyof MessageTypes;

export interface ApiDescription {
  readonly key: number;
  /** Without the ending of its messages: 'Produce'. */
  readonly name: string;
  /** Where Kafka serves it: 'broker', 'controller'. */
  readonly listeners: readonly string[];
  readonly min: number;
  readonly max: number;
  /** Below `max` where the newest version is not settled yet; only a broker told so announces the rest. */
  readonly latestStable: number;
  /** What Kafka announces as the lowest version: 0 for Produce, which older librdkafka wants to see. */
  readonly advertisedMin: number;
  /** Only brokers may call it. */
  readonly clusterAction: boolean;
  /** Brokers hand it on to the controller. */
  readonly forwardable: boolean;
  requestHeaderVersion(version: number): 1 | 2;
  responseHeaderVersion(version: number): 0 | 1;
}

export interface MessageDescription {
  readonly name: string;
  readonly type:
    | 'request'
    | 'response'
    | 'header'
    | 'metadata'
    | 'coordinator-key'
    | 'coordinator-value'
    | 'data';
  readonly apiKey: number | null;
  readonly min: number;
  readonly max: number;
}

export interface ErrorInfo {
  readonly code: number;
  readonly name: string;
  readonly retriable: boolean;
  readonly refreshMetadata: boolean;
}

interface ApiEntry extends Omit<ApiDescription, 'requestHeaderVersion' | 'responseHeaderVersion'> {
  readonly requestHeaderV2From: number | null;
  readonly responseHeaderV1From: number | null;
}

interface Catalogue {
  readonly messages: readonly MessageDescription[];
  readonly apis: readonly ApiEntry[];
  readonly errors: readonly ErrorInfo[];
  readonly errorCodes: ErrorCodes;
}

/** A version's functions in a generated file. */
export interface GeneratedCodec {
  readonly flexible: boolean;
  readonly read: (reader: Reader) => unknown;
  readonly write: (writer: Writer, value: unknown) => void;
}

const load = createRequire(import.meta.url);
const catalogue: Catalogue = load('./generated/catalogue.json');

export const { errors, errorCodes } = catalogue;

/** Every message that has codecs, requests and stored records alike. */
export const { messages } = catalogue;

/** Every API that still exists, by ascending key. */
export const apis: readonly ApiDescription[] = catalogue.apis.map(describeApi);

const apisByKey = new Map(apis.map((api) => [api.key, api]));
const apisByName = new Map(apis.map((api) => [api.name, api]));
const messageNames = new Set(messages.map((message) => message.name));

export function apiByKey(key: number): ApiDescription | undefined {
  return apisByKey.get(key);
}

export function apiByName(name: string): ApiDescription | undefined {
  return apisByName.get(name);
}

/** The codecs of a message by version; undefined when there is no such message. Node keeps what it has loaded. */
export function loadCodecs(name: string): Readonly<Record<number, GeneratedCodec>> | undefined {
  if (!messageNames.has(name)) return undefined;
  return load(`./generated/${name}.cjs`);
}

function describeApi(entry: ApiEntry): ApiDescription {
  const { requestHeaderV2From, responseHeaderV1From, ...description } = entry;
  const requestFrom = requestHeaderV2From ?? Infinity;
  const responseFrom = responseHeaderV1From ?? Infinity;
  return {
    ...description,
    requestHeaderVersion: (version) => (version >= requestFrom ? 2 : 1),
    responseHeaderVersion: (version) => (version >= responseFrom ? 1 : 0),
  };
}

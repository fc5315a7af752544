/**
 * The one error type of the client, and the table behind it: Kafka's error codes from the protocol, and the client's
 * own outcomes. An error that is not in the table is not retriable.
 */
import { ErrorCode, errorInfo, errorName, ProtocolError } from '../protocol/index.ts';

/** What can happen without a broker having said so. */
const clientErrors = {
  /** No connection could be made, or it was lost before the answer came. */
  CONNECTION_FAILED: { retriable: true },
  /** No answer, or no success, within the time allowed. */
  TIMED_OUT: { retriable: true },
  /** The caller's AbortSignal fired. */
  ABORTED: { retriable: false },
  /** The producer, consumer, admin or client was closed. */
  CLOSED: { retriable: false },
  /** What the caller passed cannot be meant. */
  INVALID_ARGUMENT: { retriable: false },
  /** The producer's buffer is full: await `ready()`. */
  BUFFER_FULL: { retriable: true },
  /** The broker answered with bytes that make no sense. */
  BAD_RESPONSE: { retriable: false },
  /** A partition has no committed offset, or its offset is out of range, and `from` is 'none'. */
  NO_OFFSET: { retriable: false },
  /** A callback that the application gave to a consumer threw; `cause` is what it threw. */
  CALLBACK_FAILED: { retriable: false },
  /** A key or a value cannot be written as bytes, or read from them; `cause` is what the serde threw. */
  SERIALIZATION_FAILED: { retriable: false },
} as const;

export type ClientErrorCode = keyof typeof clientErrors;
export type KafkaErrorCode = keyof typeof ErrorCode | ClientErrorCode;

/** What to do about the errors that users meet most; the rest speak for themselves. */
const advice: Partial<Record<KafkaErrorCode, string>> = {
  UNKNOWN_TOPIC_OR_PARTITION:
    'Check the name, and create the topic first where the broker does not create topics by itself.',
  MESSAGE_TOO_LARGE: "Raise the topic's max.message.bytes, or send smaller records or batches.",
  NOT_ENOUGH_REPLICAS: 'Fewer replicas are in sync than min.insync.replicas asks for: bring brokers back.',
  INVALID_RECORD: 'The topic refuses the record: a compacted topic wants a key on every record.',
  INVALID_TIMESTAMP:
    'The timestamp is outside what message.timestamp.before.max.ms and .after.max.ms allow on the topic.',
  INVALID_REPLICATION_FACTOR: 'A replication factor cannot be above the number of brokers.',
  INVALID_TOPIC_EXCEPTION:
    'Topic names have 1 to 249 characters of a-z, A-Z, 0-9, dot, underscore and hyphen.',
  NON_EMPTY_GROUP: 'Stop the members of the group first.',
  UNSUPPORTED_COMPRESSION_TYPE: 'The broker does not take this codec: choose another one.',
  INCONSISTENT_GROUP_PROTOCOL: 'Members of one group must share at least one assignor.',
  UNRELEASED_INSTANCE_ID:
    'Another member that is still there has this groupInstanceId: each member needs one of its own.',
  FENCED_INSTANCE_ID:
    'Another member has come with the same groupInstanceId and taken the place of this one: each member needs one of its own.',
  INVALID_REGULAR_EXPRESSION:
    'Patterns are resolved by the broker, in the syntax of RE2: there is no lookaround and no backreference.',
  GROUP_MAX_SIZE_REACHED: 'Raise the size that the broker allows groups to have, or start fewer members.',
  INVALID_SESSION_TIMEOUT:
    'Choose sessionTimeoutMs within group.min.session.timeout.ms and group.max.session.timeout.ms of the broker.',
};

export interface KafkaErrorOptions {
  readonly cause?: unknown;
  /** Overrides the table: for outcomes whose meaning depends on where they occur. */
  readonly retriable?: boolean;
  readonly brokerMessage?: string | undefined;
}

/** Everything that the client throws. `code` is Kafka's name for the error, or one of the client's own. */
export class KafkaError extends Error {
  readonly code: KafkaErrorCode;
  /** Whether the same call may succeed later, unchanged. The client has retried it already as long as it may. */
  readonly retriable: boolean;
  /** What the broker said beside the code, as it said it; it is part of the message. Undefined where it said nothing. */
  readonly brokerMessage: string | undefined;

  constructor(code: KafkaErrorCode, message: string, options: KafkaErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'KafkaError';
    this.code = code;
    this.retriable = options.retriable ?? isRetriable(code);
    this.brokerMessage = options.brokerMessage;
  }
}

function isRetriable(code: KafkaErrorCode): boolean {
  const own: { readonly retriable: boolean } | undefined = (
    clientErrors as Partial<Record<string, { retriable: boolean }>>
  )[code];
  return own?.retriable ?? retriableNames.has(code);
}

/** Kafka's codes lie in a dense range that starts at -1; the table stops well below this. */
const errorCodeMax = 300;
const retriableNames: ReadonlySet<string> = new Set(
  Array.from({ length: errorCodeMax }, (_, code) => errorInfo(code))
    .filter((info) => info.retriable)
    .map((info) => info.name),
);

/**
 * The error that a broker answered with. `doing` completes "Could not ...", such as 'create the topic orders';
 * `serverMessage` is what the broker said beside the code.
 */
export function brokerError(code: number, doing: string, serverMessage?: string | null): KafkaError {
  const name = nameOf(code);
  const brokerMessage = serverMessage === null || serverMessage === '' ? undefined : serverMessage;
  const said = brokerMessage === undefined ? '' : `: ${brokerMessage}`;
  const help = advice[name];
  const message = `Could not ${doing}: the broker answered ${name} (${code})${said}`;
  const text = withFullStop(message);
  return new KafkaError(name, help === undefined ? text : `${text} ${help}`, { brokerMessage });
}

/** A code that the table lacks comes from a newer broker; it is reported as Kafka's clients do. */
function nameOf(code: number): KafkaErrorCode {
  const name = errorName(code);
  return isErrorName(name) ? name : 'UNKNOWN_SERVER_ERROR';
}

function isErrorName(name: string): name is keyof typeof ErrorCode {
  return Object.hasOwn(ErrorCode, name);
}

/** Whether this broker error says that the client's metadata is out of date. */
export function wantsMetadata(code: number): boolean {
  return errorInfo(code).refreshMetadata;
}

export function isRetriableCode(code: number): boolean {
  return errorInfo(code).retriable;
}

/** Wraps whatever was thrown; a KafkaError stays as it is. */
export function toKafkaError(error: unknown, doing: string): KafkaError {
  if (error instanceof KafkaError) return error;
  const text = error instanceof Error ? error.message : String(error);
  const code = error instanceof ProtocolError ? 'BAD_RESPONSE' : 'UNKNOWN_SERVER_ERROR';
  return new KafkaError(code, withFullStop(`Could not ${doing}: ${text}`), {
    cause: error,
    retriable: false,
  });
}

export function abortedError(signal: AbortSignal, doing: string): KafkaError {
  return new KafkaError('ABORTED', `Could not ${doing}: the caller's signal was aborted.`, {
    cause: signal.reason,
  });
}

export function closedError(what: string): KafkaError {
  return new KafkaError('CLOSED', `The ${what} is closed: make a new one.`);
}

export function invalidArgument(message: string): KafkaError {
  return new KafkaError('INVALID_ARGUMENT', message);
}

function withFullStop(text: string): string {
  return text.endsWith('.') ? text : `${text}.`;
}

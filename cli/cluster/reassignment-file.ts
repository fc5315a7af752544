/** Assignments as Apache Kafka's kafka-reassign-partitions reads and writes them, and topics with partitions as arguments. */
import type { TopicPartition } from '../../client/index.ts';
import { usageError } from '../cli-error.ts';
import { parsePartitions } from '../client.ts';

export interface Assignment extends TopicPartition {
  /** Broker ids, the preferred leader first. */
  readonly replicas: readonly number[];
}

/** Reads the JSON of a file; throws a usage error that says what is wrong, and where. */
export function parseReassignmentFile(text: string, file: string): Assignment[] {
  const document = parseJson(text, file);
  if (!isObject(document) || !Array.isArray(document['partitions'])) {
    throw usageError(`${file} has no list "partitions", as {"version": 1, "partitions": [...]}.`);
  }
  const { version = 1, partitions } = document;
  if (version !== 1) throw usageError(`${file} has version ${JSON.stringify(version)}; 1 is known.`);
  const assignments = partitions.map((entry: unknown, at) => parseEntry(entry, `${file}, partition ${at}`));
  const seen = new Set<string>();
  for (const { topic, partition } of assignments) {
    const key = `${topic}-${partition}`;
    if (seen.has(key)) throw usageError(`${file} has ${key} more than once.`);
    seen.add(key);
  }
  if (assignments.length === 0) throw usageError(`${file} has no partitions.`);
  return assignments;
}

/** The same document for what moves, for other tools. */
export function reassignmentDocument(assignments: readonly Assignment[]): {
  readonly version: 1;
  readonly partitions: readonly Assignment[];
} {
  const partitions = assignments.map(({ topic, partition, replicas }) => ({ topic, partition, replicas }));
  return { version: 1, partitions };
}

function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw usageError(`${file} is no JSON: ${why}`, error);
  }
}

function parseEntry(entry: unknown, where: string): Assignment {
  if (!isObject(entry)) throw usageError(`${where}: an object with topic, partition and replicas is needed.`);
  const { topic, partition, replicas, log_dirs: directories } = entry;
  if (typeof topic !== 'string' || topic === '') throw usageError(`${where}: "topic" must be a name.`);
  if (!isId(partition)) throw usageError(`${where}: "partition" must be a whole number from 0.`);
  if (!Array.isArray(replicas) || replicas.length === 0 || !replicas.every(isId)) {
    throw usageError(`${where}: "replicas" must be a list of node numbers.`);
  }
  if (new Set(replicas).size !== replicas.length) {
    throw usageError(`${where}: "replicas" names a node more than once.`);
  }
  const isAny =
    directories === undefined || (Array.isArray(directories) && directories.every((each) => each === 'any'));
  if (!isAny) {
    throw usageError(
      `${where}: "log_dirs" can only be "any": nodes choose the directories of new replicas, and "kappalog cluster move" takes them to others.`,
    );
  }
  return { topic, partition, replicas };
}

/** `orders` or `orders:0-2,5`; a topic that is named twice has all that was said of it. */
export interface TopicSelection {
  readonly topic: string;
  /** Undefined: all. */
  readonly partitions: readonly number[] | undefined;
}

export function parseTopicSelections(texts: readonly string[]): TopicSelection[] {
  const selections = new Map<string, readonly number[] | undefined>();
  for (const text of texts) {
    const colon = text.indexOf(':');
    const topic = colon < 0 ? text : text.slice(0, colon);
    if (topic === '') throw usageError(`"${text}" names no topic; topics are given as NAME or NAME:0-2,5.`);
    const partitions = colon < 0 ? undefined : parsePartitions(text.slice(colon + 1));
    const before = selections.get(topic);
    const isAll = partitions === undefined || (selections.has(topic) && before === undefined);
    selections.set(topic, isAll ? undefined : [...new Set([...(before ?? []), ...partitions])]);
  }
  return [...selections].map(([topic, partitions]) => ({ topic, partitions }));
}

/** Node numbers such as `1,2,3`; throws a usage error that names the option. */
export function parseNodeIds(text: string, option: string): number[] {
  const ids = text.split(',').map((part) => (/^\s*\d{1,9}\s*$/.test(part) ? Number(part) : -1));
  if (ids.includes(-1) || new Set(ids).size !== ids.length) {
    throw usageError(`${option} takes different node numbers such as 1,2,3, not "${text}".`);
  }
  return ids;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isId(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

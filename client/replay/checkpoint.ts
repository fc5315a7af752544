/**
 * The durable progress of a replay: committed offsets of the reserved group `__replay-<id>`, so that it survives any
 * crash of this process or of a broker. Each partition's commit holds the next offset to read and, as metadata, the range
 * that was fixed when the replay began (its end must not move when the topic grows) and the counts so far.
 *
 * A position is committed only after everything before it was acknowledged by the destination: a crash repeats what came
 * after the last commit, and loses nothing. Two runs of one replay at the same time are not kept apart.
 */
import type { GroupOffset, GroupOffsetInput } from '../admin/admin-types.ts';
import { KafkaError } from '../errors.ts';
import { ReplayError } from './replay-error.ts';
import type { ReplayCounts } from './replay-options.ts';

export interface PartitionCheckpoint {
  readonly partition: number;
  readonly start: number;
  readonly end: number;
  /** The next offset to read; `end` when the partition is done. */
  readonly position: number;
  readonly counts: ReplayCounts;
}

/** What one replay is; stored with its progress, so that nothing else goes on from there. */
export interface ReplayIdentity {
  readonly topicId: string;
  /** A checksum over everything that decides what the replay does. */
  readonly fingerprint: number;
}

/** The part of the admin client that checkpoints need. */
export interface CheckpointAdmin {
  fetchGroupOffsets(groupId: string, topics?: readonly string[]): Promise<readonly GroupOffset[]>;
  commitGroupOffsets(groupId: string, offsets: readonly GroupOffsetInput[]): Promise<unknown>;
  deleteGroups(groupIds: readonly string[]): Promise<unknown>;
}

const formatVersion = 1;

export class CheckpointStore {
  readonly groupId: string;
  readonly #admin: CheckpointAdmin;
  readonly #id: string;
  readonly #topic: string;

  constructor(admin: CheckpointAdmin, id: string, topic: string) {
    this.#admin = admin;
    this.#id = id;
    this.#topic = topic;
    this.groupId = `__replay-${id}`;
  }

  /** What an earlier run left; undefined where there was none. Throws a ReplayError where it was another replay. */
  async load(identity: ReplayIdentity): Promise<PartitionCheckpoint[] | undefined> {
    const offsets = (await this.#fetch()).filter((offset) => offset.offset >= 0);
    if (offsets.length === 0) return undefined;
    return offsets.map((offset) => this.#read(offset, identity)).sort((a, b) => a.partition - b.partition);
  }

  async save(checkpoints: readonly PartitionCheckpoint[], identity: ReplayIdentity): Promise<void> {
    const offsets = checkpoints.map(({ partition, start, end, position, counts }) => ({
      topic: this.#topic,
      partition,
      offset: position,
      metadata: JSON.stringify({
        replay: formatVersion,
        start,
        end,
        topicId: identity.topicId,
        fingerprint: identity.fingerprint,
        counts: [counts.read, counts.written, counts.filtered, counts.skipped],
      }),
    }));
    if (offsets.length > 0) await this.#admin.commitGroupOffsets(this.groupId, offsets);
  }

  /** Forgets the replay: a later one of the same name starts anew. */
  async remove(): Promise<void> {
    try {
      await this.#admin.deleteGroups([this.groupId]);
    } catch (error) {
      if (!isMissingGroup(error)) throw error;
    }
  }

  async #fetch(): Promise<readonly GroupOffset[]> {
    try {
      return await this.#admin.fetchGroupOffsets(this.groupId);
    } catch (error) {
      if (isMissingGroup(error)) return [];
      throw error;
    }
  }

  #read(offset: GroupOffset, identity: ReplayIdentity): PartitionCheckpoint {
    const stored = parseMetadata(offset.metadata);
    if (stored === undefined || offset.topic !== this.#topic || stored.fingerprint !== identity.fingerprint) {
      throw new ReplayError(
        'DEFINITION_CHANGED',
        `The replay ${this.#id} was begun with other options (topic, range, filter or destination): repeat those, or choose another id.`,
      );
    }
    if (stored.topicId !== identity.topicId) {
      throw new ReplayError(
        'SOURCE_RECREATED',
        `The topic ${this.#topic} was deleted and made again since the replay ${this.#id} began, so its progress means nothing now: choose another id.`,
      );
    }
    const [read, written, filtered, skipped] = stored.counts;
    const counts = { read, written, filtered, skipped };
    return {
      partition: offset.partition,
      start: stored.start,
      end: stored.end,
      position: offset.offset,
      counts,
    };
  }
}

interface StoredMetadata {
  /** The version of this format. */
  readonly replay: number;
  readonly start: number;
  readonly end: number;
  readonly topicId: string;
  readonly fingerprint: number;
  readonly counts: readonly [number, number, number, number];
}

/** Undefined for metadata that no replay of this format has written. */
function parseMetadata(text: string): StoredMetadata | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  return isStoredMetadata(value) && value.replay === formatVersion ? value : undefined;
}

function isStoredMetadata(value: unknown): value is StoredMetadata {
  if (typeof value !== 'object' || value === null) return false;
  const stored: Partial<Record<keyof StoredMetadata, unknown>> = value;
  const { replay, start, end, fingerprint, topicId, counts } = stored;
  return (
    [replay, start, end, fingerprint].every(Number.isSafeInteger) &&
    typeof topicId === 'string' &&
    Array.isArray(counts) &&
    counts.length === 4 &&
    counts.every(Number.isSafeInteger)
  );
}

function isMissingGroup(error: unknown): boolean {
  return error instanceof KafkaError && error.code === 'GROUP_ID_NOT_FOUND';
}

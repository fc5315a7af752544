/** Compares what the broker holds with what it has promised. Every difference is a line; no lines is success. */
import type { Kappalog } from '../../client/index.ts';
import { loadGroup } from './change-load.ts';
import type { Journal } from './journal.ts';
import { loadPartitions, loadTopic } from './record-load.ts';

export interface Verdict {
  readonly differences: string[];
  readonly recordsRead: number;
  /** Records that are there without an acknowledgement: a kill took the answer away and nobody asked again. */
  readonly unacknowledged: number;
}

/** More than this says nothing new. */
const differencesMax = 20;

export async function verify(kappalog: Kappalog, journal: Journal): Promise<Verdict> {
  const differences: string[] = [];
  const complain = (line: string): void => {
    if (differences.length < differencesMax) differences.push(line);
  };
  const seen = await readAll(kappalog, complain);
  let recordsRead = 0;
  for (const offsets of seen.values()) recordsRead += offsets.length;
  compareStreams(journal, seen, complain);
  await compareCommits(kappalog, journal, complain);
  await compareTopics(kappalog, journal, complain);
  return { differences, recordsRead, unacknowledged: recordsRead - journal.acknowledged };
}

/** Offsets by sequence for each stream; complains of gaps, repeats and wrong order. */
async function readAll(kappalog: Kappalog, complain: (line: string) => void): Promise<Map<string, number[]>> {
  const partitions = Array.from({ length: loadPartitions }, (_, partition) => ({
    topic: loadTopic,
    partition,
  }));
  await using admin = kappalog.admin();
  const ends = await admin.listOffsets(
    partitions.map((partition) => ({ ...partition, at: 'latest' as const })),
  );
  const assign = ends.map(({ topic, partition, offset }) => ({
    topic,
    partition,
    offset: 'earliest' as const,
    endOffset: offset,
  }));
  await using consumer = kappalog.consumer({ assign });
  const next = partitions.map(() => 0);
  const seen = new Map<string, number[]>();
  for await (const { partition, offset, value } of consumer) {
    if (offset !== next[partition])
      complain(`partition ${partition}: offset ${offset} follows ${next[partition]! - 1}`);
    next[partition] = offset + 1;
    const [stream = '', sequence] = value?.toString('latin1').split(' ', 2) ?? [];
    const offsets = seen.get(stream) ?? [];
    seen.set(stream, offsets);
    if (!stream.endsWith(`/${partition}`))
      complain(`partition ${partition}, offset ${offset} holds '${stream}'`);
    // A producer numbers its records from 0 and has five requests under way at most: none may be missing or come twice.
    if (Number(sequence) !== offsets.length) {
      complain(`${stream}: ${sequence} at offset ${offset}, where ${offsets.length} was due`);
    }
    offsets[Number(sequence)] = offset;
  }
  for (const { partition, offset } of ends) {
    if (next[partition] !== offset)
      complain(`partition ${partition}: read up to ${next[partition]}, the end is ${offset}`);
  }
  return seen;
}

function compareStreams(
  journal: Journal,
  seen: ReadonlyMap<string, readonly number[]>,
  complain: (line: string) => void,
): void {
  for (const [stream, promised] of journal.streams) {
    const found = seen.get(stream) ?? [];
    for (const [sequence, offset] of promised.entries()) {
      if (offset >= 0 && found[sequence] !== offset) {
        complain(
          `${stream}: ${sequence} was acknowledged at offset ${offset} and is at ${found[sequence] ?? 'none'}`,
        );
      }
    }
  }
}

async function compareCommits(
  kappalog: Kappalog,
  journal: Journal,
  complain: (line: string) => void,
): Promise<void> {
  await using admin = kappalog.admin();
  const found = new Map<number, number>();
  for (const { partition, offset } of await admin.fetchGroupOffsets(loadGroup, [loadTopic]))
    found.set(partition, offset);
  for (const [partition, possible] of journal.commits) {
    const offset = found.get(partition) ?? -1;
    if (!possible.includes(offset)) {
      complain(
        `the group's commit of partition ${partition} is ${offset}, not one of ${possible.join(', ')}`,
      );
    }
  }
}

async function compareTopics(
  kappalog: Kappalog,
  journal: Journal,
  complain: (line: string) => void,
): Promise<void> {
  await using admin = kappalog.admin();
  const found = new Map((await admin.listTopics()).map((listing) => [listing.name, listing]));
  for (const [name, promise] of journal.topics) {
    const listing = found.get(name);
    if (promise.state !== 'unsure' && (promise.state === 'there') !== (listing !== undefined)) {
      complain(`the topic ${name} is ${listing === undefined ? 'gone' : 'there'}, not ${promise.state}`);
    }
    if (listing === undefined || promise.state === 'gone') continue;
    if (listing.partitions !== promise.partitions) {
      complain(`the topic ${name} has ${listing.partitions} partitions, not ${promise.partitions}`);
    }
    const [described] = await admin.describeConfigs([{ type: 'topic', name }]);
    const retention = described?.entries.find((entry) => entry.name === 'retention.ms')?.value ?? 'unset';
    if (!promise.retentions.includes(retention)) {
      complain(
        `the topic ${name} has retention.ms ${retention}, not one of ${promise.retentions.join(', ')}`,
      );
    }
  }
}

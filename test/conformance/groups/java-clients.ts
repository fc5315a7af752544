/** The Java client and Kafka's VerifiableConsumer as members; and the small Java programs of ../kafka, compiled once into the cache. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import {
  cacheDirectory,
  installKafkaJars,
  javaCommand,
  kafkaClassPath,
} from '../../support/apache-kafka-jars.ts';
import type { ChildProcesses } from '../../support/child-processes.ts';
import { javaOptions } from '../java-tools.ts';
import type { MemberConfig, MemberEvent, Offsets } from './line-protocol.ts';
import type { MemberClient, Translator } from './member-process.ts';

const sources = ['AdminCalls.java', 'GroupMember.java'].map((name) =>
  join(import.meta.dirname, '../kafka', name),
);

/** The class path of Kafka's jars and of our programs; rejects where there is no Java. */
export async function installJavaPrograms(children: ChildProcesses): Promise<string> {
  await installKafkaJars(children);
  const hash = createHash('sha256').update(kafkaClassPath());
  for (const source of sources) hash.update(readFileSync(source));
  const directory = join(cacheDirectory(), `java-programs-${hash.digest('hex').slice(0, 16)}`);
  const complete = join(directory, '.complete');
  if (!existsSync(complete)) {
    mkdirSync(directory, { recursive: true });
    await children.mustRun('javac', ['-cp', kafkaClassPath(), '-d', directory, ...sources]);
    writeFileSync(complete, '');
  }
  return [kafkaClassPath(), directory].join(delimiter);
}

export async function installJava(children: ChildProcesses): Promise<MemberClient> {
  const classPath = await installJavaPrograms(children);
  return {
    name: 'java',
    command: (config) => [
      javaCommand,
      [...javaOptions, '-cp', classPath, 'GroupMember', JSON.stringify(config)],
    ],
  };
}

/** It does not say when it begins to commit what it has just told that it has read. */
export async function installVerifiable(children: ChildProcesses): Promise<MemberClient> {
  await installKafkaJars(children);
  return {
    name: 'verifiable',
    // Of a JVM that a SIGTERM ends, after the hooks that close the consumer.
    exitCode: '143',
    command: (config) => [
      javaCommand,
      [
        ...javaOptions,
        '-cp',
        kafkaClassPath(),
        'org.apache.kafka.tools.VerifiableConsumer',
        ...verifiableArguments(config),
      ],
    ],
    translate: verifiableTranslator,
  };
}

const assignors: Readonly<Record<string, string>> = {
  range: 'RangeAssignor',
  roundrobin: 'RoundRobinAssignor',
  sticky: 'StickyAssignor',
  'cooperative-sticky': 'CooperativeStickyAssignor',
};

function verifiableArguments(config: MemberConfig): string[] {
  const args = [
    '--bootstrap-server',
    config.brokers,
    '--topic',
    config.topics[0]!,
    '--group-id',
    config.groupId,
  ];
  args.push('--verbose', '--reset-policy', 'earliest', '--group-protocol', config.protocol);
  if (config.instanceId !== null) args.push('--group-instance-id', config.instanceId);
  if (config.protocol === 'consumer') return [...args, '--group-remote-assignor', config.assignor];
  const strategy = `org.apache.kafka.clients.consumer.${assignors[config.assignor]}`;
  return [...args, '--session-timeout', `${config.sessionTimeoutMs}`, '--assignment-strategy', strategy];
}

interface Place {
  readonly topic: string;
  readonly partition: number;
}

/** What it prints, one object a line; `timestamp` is in milliseconds. */
type VerifiableLine = { readonly timestamp: number } & (
  | { readonly name: 'partitions_assigned' | 'partitions_revoked'; readonly partitions: readonly Place[] }
  | ({ readonly name: 'record_data'; readonly offset: number; readonly value: string } & Place)
  | {
      readonly name: 'records_consumed';
      readonly partitions: readonly (Place & { readonly maxOffset: number })[];
    }
  | {
      readonly name: 'offsets_committed';
      readonly offsets: readonly (Place & { readonly offset: number })[];
      readonly success: boolean;
      readonly error?: string;
    }
  | { readonly name: 'startup_complete' | 'shutdown_complete' }
);

/** It prints only what has changed of what it owns. It commits once it has printed how far it has read. */
function verifiableTranslator(): Translator {
  const owned = new Set<string>();
  return {
    stdout(text) {
      if (!text.startsWith('{')) return [];
      const line: VerifiableLine = JSON.parse(text);
      // It tells milliseconds only, and several lines within one keep their order.
      const at = line.timestamp * 1000;
      if (line.name === 'partitions_assigned' || line.name === 'partitions_revoked') {
        for (const { topic, partition } of line.partitions) {
          if (line.name === 'partitions_assigned') owned.add(`${topic}/${partition}`);
          else owned.delete(`${topic}/${partition}`);
        }
        return [owns(owned, at)];
      }
      if (line.name === 'record_data') {
        const { topic, partition, offset, value } = line;
        return [{ event: 'record', at, topic, partition, offset, value }];
      }
      if (line.name === 'records_consumed')
        return [{ event: 'commit', at, offsets: byPlace(line.partitions, ({ maxOffset }) => maxOffset + 1) }];
      if (line.name !== 'offsets_committed') return [];
      const offsets = byPlace(line.offsets, ({ offset }) => offset);
      if (line.success) return [{ event: 'committed', at, offsets }];
      return [{ event: 'commit-failed', at, offsets, error: line.error ?? '' }];
    },
    stderr: () => [],
  };
}

function byPlace<P extends Place>(places: readonly P[], offsetOf: (place: P) => number): Offsets {
  const offsets: Record<string, Record<string, number>> = {};
  for (const place of places) (offsets[place.topic] ??= {})[place.partition] = offsetOf(place);
  return offsets;
}

function owns(owned: ReadonlySet<string>, at: number): MemberEvent {
  const partitions: Record<string, number[]> = {};
  for (const place of owned) {
    const slash = place.lastIndexOf('/');
    (partitions[place.slice(0, slash)] ??= []).push(Number(place.slice(slash + 1)));
  }
  return { event: 'owns', at, partitions };
}

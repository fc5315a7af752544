/**
 * Apache Kafka's jars, resolved by Maven from test/conformance/kafka/pom.xml into the user's cache, outside the tree. They
 * give the Java console tools, the dump tool that witnesses our files, and the broker that the bench compares with.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import type { ChildProcesses } from './child-processes.ts';

const pom = resolve(import.meta.dirname, '../conformance/kafka/pom.xml');

export const javaCommand = 'java';

/** Where this project keeps what it downloads and builds for its harnesses. */
export function cacheDirectory(): string {
  return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'kappalog');
}

/** The version that the pom names. */
export function kafkaVersion(): string {
  const version = /<kafka.version>([^<]+)</.exec(readFileSync(pom, 'utf8'))?.[1];
  if (version === undefined) throw new Error(`${pom} names no kafka.version.`);
  return version;
}

function jarDirectory(): string {
  return join(cacheDirectory(), `apache-kafka-${kafkaVersion()}`);
}

export function kafkaClassPath(): string {
  return join(jarDirectory(), '*');
}

/** Fetches the jars unless they are there; rejects where java or mvn is missing or Maven fails. */
export async function installKafkaJars(children: ChildProcesses): Promise<void> {
  const complete = join(jarDirectory(), '.complete');
  await children.mustRun(javaCommand, ['-version']);
  if (existsSync(complete)) return;
  mkdirSync(jarDirectory(), { recursive: true });
  const goal = ['dependency:copy-dependencies', `-DoutputDirectory=${jarDirectory()}`];
  await children.mustRun('mvn', ['-q', '-B', '-f', pom, ...goal], { timeoutMs: 600_000 });
  writeFileSync(complete, '');
}

/** Kafka's DumpLogSegments and `kappalog log dump` over the same files. */
import { join } from 'node:path';
import { javaCommand, kafkaClassPath } from '../support/apache-kafka-jars.ts';
import { projectDirectory } from '../support/broker-process.ts';
import type { ChildProcesses } from '../support/child-processes.ts';
import { javaOptions } from './java-tools.ts';
import { equal } from './suite.ts';

/**
 * Kafka's tool finds fault with the first record of every segment but a partition's first (it takes -1 for the last one before),
 * and with every gap that a compaction has left.
 */
const expectedComplaint = /^Non-consecutive offsets in .*\n(\s+-?\d+ is followed by \d+\n?)+$/gm;

/** What Kafka's tool prints; fails where it complains of anything else. */
export async function kafkaDump(
  children: ChildProcesses,
  options: readonly string[],
  files: readonly string[],
): Promise<string> {
  const tool = 'org.apache.kafka.tools.DumpLogSegments';
  const args = [...javaOptions, '-cp', kafkaClassPath(), tool, ...options, '--files', files.join(',')];
  const { stdout, stderr } = await children.mustRun(javaCommand, args, { timeoutMs: 300_000 });
  equal(stderr.replaceAll(expectedComplaint, '').trim(), '', 'what it wrote to standard error');
  return stdout;
}

/** What ours prints, without the lines that Kafka's does not know. */
export async function ourDump(
  children: ChildProcesses,
  options: readonly string[],
  files: readonly string[],
): Promise<string> {
  const { stdout } = await runKappalog(children, ['log', 'dump', ...options, ...files]);
  return stdout.replaceAll(/^#.*\n/gm, '');
}

/** `kappalog` with these arguments; must succeed. */
export async function runKappalog(
  children: ChildProcesses,
  args: readonly string[],
): Promise<{ readonly stdout: string; readonly stderr: string }> {
  const command = [join(projectDirectory, 'bin/kappalog.js'), ...args];
  return children.mustRun(process.execPath, command, { timeoutMs: 300_000 });
}

/** Both print the same, line by line. */
export async function dumpsAgree(
  children: ChildProcesses,
  options: readonly string[],
  files: readonly string[],
): Promise<void> {
  const theirs = (await kafkaDump(children, options, files)).split('\n');
  const ours = (await ourDump(children, options, files)).split('\n');
  const at = theirs.findIndex((line, place) => line !== ours[place]);
  if (at >= 0) equal(ours[at], theirs[at], `line ${at + 1} of our dump`);
  equal(ours.length, theirs.length, 'the number of lines of our dump');
}

/** Indexes pass the sanity check that Kafka makes when it starts, and every entry fits the log. */
export async function indexesAreSound(children: ChildProcesses, indexes: readonly string[]): Promise<void> {
  const checked = await kafkaDump(children, ['--index-sanity-check'], indexes);
  const sound = checked.split('\n').filter((line) => / (passed sanity check|is empty)\.$/.test(line));
  equal(sound.length, indexes.length, 'the number of sound indexes');
  const verified = await kafkaDump(children, ['--verify-index-only'], indexes);
  const complaint = verified
    .split('\n')
    .find((line) => /mismatch|non-?monoton|not found|out of order/i.test(line));
  equal(complaint, undefined, 'the first complaint');
}

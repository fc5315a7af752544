/** What the checks of Kafka's group tools share: topics with known records, how a tool is run, and what its output says. */
import { Kappalog } from '../../../../client/index.ts';
import type { BrokerProcess } from '../../../support/broker-process.ts';
import type { Checks } from '../../checks.ts';
import type { ToolName, ToolRunner } from '../../tool-runner.ts';

export interface GroupTools {
  readonly checks: Checks;
  readonly broker: BrokerProcess;
  /** For scratch files. */
  readonly directory: string;
  /** What the tool wrote, to both its outputs; of those of these tools that fail most end with 0. */
  readonly run: (tool: ToolName, ...args: readonly string[]) => Promise<string>;
  /** A call of the Java Admin client: see AdminCalls.java. */
  readonly admin: (call: string, args: Readonly<Record<string, unknown>>) => Promise<unknown>;
}

/** Partitions of each topic, each with ten records and one more for every partition before it, one a minute from `firstMs` on. */
export const topics: Readonly<Record<string, number>> = { 'tools-a': 3, 'tools-b': 2 };
export const firstMs = 1_700_000_000_000;
export const minuteMs = 60_000;

/** By `topic partition`: where each ends. */
export const ends: Readonly<Record<string, number>> = ofPlaces((partition) => 10 + partition);

/** Something of every partition, by `topic partition`. */
export function ofPlaces<T>(valueOf: (partition: number, topic: string) => T): Record<string, T> {
  const values: Record<string, T> = {};
  for (const [topic, count] of Object.entries(topics)) {
    for (let partition = 0; partition < count; partition++)
      values[`${topic} ${partition}`] = valueOf(partition, topic);
  }
  return values;
}

export async function fillTopics(address: string): Promise<void> {
  const kappalog = new Kappalog({ brokers: address });
  const admin = kappalog.admin();
  await admin.createTopics(
    Object.entries(topics).map(([name, partitions]) => ({
      name,
      partitions,
      // The records' times are long past.
      configs: { 'retention.ms': '-1' },
    })),
  );
  await admin.close();
  const producer = kappalog.producer({ lingerMs: 0 });
  for (const [place, end] of Object.entries(ends)) {
    const [topic = '', partition] = place.split(' ');
    for (let number = 0; number < end; number++) {
      const timestamp = firstMs + number * minuteMs;
      await producer.send({ topic, partition: Number(partition), value: `${place} ${number}`, timestamp });
    }
  }
  await producer.close();
  await kappalog.close();
}

export type Row = Readonly<Record<string, string>>;

/**
 * The lines of all tables in what a tool printed, by the names of their columns. Columns are aligned; some have no value. Lines that
 * belong to no table are left out.
 */
export function tablesOf(printed: string): Row[] {
  const rows: Row[] = [];
  let columns: { readonly name: string; readonly at: number }[] = [];
  for (const line of printed.split('\n')) {
    if (/^(GROUP|TOPIC) /.test(line)) {
      columns = [...line.matchAll(/[^\s(]+( \(ID\))?/g)].map(({ 0: name, index }) => ({ name, at: index }));
    } else if (line.trim() === '') columns = [];
    else if (columns.length > 0) {
      const cells = columns.map(({ name, at }, i) => [name, line.slice(at, columns[i + 1]?.at).trim()]);
      rows.push(Object.fromEntries(cells));
    }
  }
  return rows;
}

/** One column by `TOPIC PARTITION`, in that order. */
export function byPlace(rows: readonly Row[], column: string): Record<string, string> {
  return ordered(rows.map((row) => [`${row['TOPIC']} ${row['PARTITION']}`, row[column] ?? '']));
}

/** By their keys in order, so that two can be compared as they are written. */
export function ordered<T>(entries: readonly (readonly [string, T])[]): Record<string, T> {
  return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** As `byPlace`, in numbers. */
export function numbersByPlace(rows: readonly Row[], column: string): Record<string, number> {
  return Object.fromEntries(
    Object.entries(byPlace(rows, column)).map(([place, text]) => [place, Number(text)]),
  );
}

export function makeRun(runner: ToolRunner, address: string): GroupTools['run'] {
  return async (tool, ...args) => {
    const to = args[0] === '--validate-regex' ? [] : ['--bootstrap-server', address];
    const { stdout, stderr } = await runner.tryToRun(tool, [...to, ...args]);
    return `${stdout}\n${stderr}`;
  };
}

export function makeAdmin(runner: ToolRunner, address: string): GroupTools['admin'] {
  return async (call, args) => {
    const answer: unknown = JSON.parse(await runner.run('adminCalls', [address, call, JSON.stringify(args)]));
    return answer;
  };
}

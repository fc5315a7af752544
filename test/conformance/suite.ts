import type { BrokerProcess } from '../support/broker-process.ts';
import type { ChildProcesses } from '../support/child-processes.ts';
import type { Checks } from './checks.ts';

/** What every client's suite is given. Suites share the broker; each keeps to topics and groups named after itself. */
export interface Suite {
  readonly checks: Checks;
  readonly children: ChildProcesses;
  readonly broker: BrokerProcess;
  /** Fewer records and combinations. */
  readonly short: boolean;
  /** For scratch files. */
  readonly directory: string;
}

export const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const;
export type CodecName = (typeof codecs)[number];

/** A record as a suite sends it and expects it back. */
export interface ExpectedRecord {
  readonly key: string;
  readonly value: string;
}

/** Records whose every part follows from their number; long and repetitive enough that each codec compresses them. */
export function expectedRecords(label: string, count: number): ExpectedRecord[] {
  return Array.from({ length: count }, (_, i) => ({
    key: `key-${i % 17}`,
    value: `${label} ${String(i).padStart(6, '0')} ${'abcdefgh'.repeat(i % 40)}`,
  }));
}

export interface SeenRecord extends ExpectedRecord {
  readonly partition: number;
  readonly offset: number;
}

/**
 * Every expected record was seen once; offsets count up from `firstOffset` without a gap in each partition; records of
 * one key, and with one partition all records, kept their order. Throws with the first difference.
 */
export function compareRecords(
  expected: readonly ExpectedRecord[],
  seen: readonly SeenRecord[],
  firstOffset = 0,
): void {
  if (seen.length !== expected.length) {
    throw new Error(`Read ${seen.length} records where ${expected.length} were expected.`);
  }
  const next = new Map<number, number>();
  for (const record of seen) {
    const offset = next.get(record.partition) ?? firstOffset;
    if (record.offset !== offset) {
      throw new Error(`Partition ${record.partition}: offset ${record.offset} came where ${offset} was due.`);
    }
    next.set(record.partition, offset + 1);
  }
  const wanted = byKey(expected);
  for (const [key, values] of byKey(seen)) {
    const due = wanted.get(key) ?? [];
    const at = values.findIndex((value, i) => value !== due[i]);
    if (at >= 0 || values.length !== due.length) {
      throw new Error(
        `Key ${key}: record ${at} of ${values.length} is '${values[at]?.slice(0, 60)}', not '${due[at]?.slice(0, 60)}'.`,
      );
    }
  }
}

function byKey(records: readonly ExpectedRecord[]): Map<string, string[]> {
  const values = new Map<string, string[]>();
  for (const { key, value } of records) {
    const list = values.get(key);
    if (list === undefined) values.set(key, [value]);
    else list.push(value);
  }
  return values;
}

/** Throws unless both are equal when written as JSON. */
export function equal(actual: unknown, expected: unknown, what: string): void {
  const [a, e] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== e) throw new Error(`${what} is ${a}, not ${e}.`);
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

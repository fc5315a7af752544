/**
 * What the broker has promised, kept outside of it: every acknowledged record with its place, every acknowledged commit
 * and every acknowledged change of a topic. Written to a file as it grows, so that a run can be resumed after the harness
 * itself was stopped; what the file lost then only weakens the check.
 *
 * A stream is one producer's records to one partition, numbered from 0. Streams of different lives of the harness differ.
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs';

/** A topic made, changed or deleted by the load. */
export interface TopicPromise {
  /** The retention.ms that must be found: each that is possible, more than one while a change is unanswered. */
  retentions: string[];
  partitions: number;
  /** 'gone' and 'there' are acknowledged; 'unsure' while a creation or deletion is unanswered. */
  state: 'unsure' | 'there' | 'gone';
}

type Entry =
  | { readonly kind: 'record'; readonly stream: string; readonly sequence: number; readonly offset: number }
  | { readonly kind: 'commit'; readonly partition: number; readonly possible: readonly number[] }
  | { readonly kind: 'topic'; readonly name: string; readonly promise: TopicPromise };

export class Journal {
  /** Offsets by sequence; -1 where not acknowledged. */
  readonly streams = new Map<string, number[]>();
  /** By partition: the offsets that may be found committed, the last acknowledged one first. */
  readonly commits = new Map<number, readonly number[]>();
  readonly topics = new Map<string, TopicPromise>();
  acknowledged = 0;
  readonly #file: string;
  #unwritten: string[] = [];

  constructor(file: string) {
    this.#file = file;
    if (!existsSync(file)) return;
    const lines = readFileSync(file, 'utf8').split('\n');
    // The last line may be cut: the harness was stopped while it wrote.
    for (const line of lines.slice(0, -1)) this.#apply(decode(line));
  }

  record(stream: string, sequence: number, offset: number): void {
    this.#add({ kind: 'record', stream, sequence, offset });
  }

  commit(partition: number, possible: readonly number[]): void {
    this.#add({ kind: 'commit', partition, possible });
  }

  topic(name: string, promise: TopicPromise): void {
    this.#add({ kind: 'topic', name, promise });
  }

  write(): void {
    if (this.#unwritten.length === 0) return;
    appendFileSync(this.#file, this.#unwritten.join(''));
    this.#unwritten = [];
  }

  #add(entry: Entry): void {
    this.#apply(entry);
    this.#unwritten.push(`${encode(entry)}\n`);
    if (this.#unwritten.length >= 1000) this.write();
  }

  #apply(entry: Entry): void {
    if (entry.kind === 'commit') this.commits.set(entry.partition, entry.possible);
    else if (entry.kind === 'topic') this.topics.set(entry.name, entry.promise);
    else {
      const offsets = this.streams.get(entry.stream) ?? [];
      this.streams.set(entry.stream, offsets);
      while (offsets.length < entry.sequence) offsets.push(-1);
      offsets[entry.sequence] = entry.offset;
      this.acknowledged += 1;
    }
  }
}

/** Records are by far the most, and are written short. */
function encode(entry: Entry): string {
  return entry.kind === 'record'
    ? `${entry.stream} ${entry.sequence} ${entry.offset}`
    : JSON.stringify(entry);
}

function decode(line: string): Entry {
  if (line.startsWith('{')) {
    const entry: Entry = JSON.parse(line);
    return entry;
  }
  const [stream = '', sequence, offset] = line.split(' ');
  return { kind: 'record', stream, sequence: Number(sequence), offset: Number(offset) };
}

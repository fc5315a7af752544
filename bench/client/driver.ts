/** What the bench of clients asks of a client, and what it measures with it. */

/** One measurement, done in a process of its own; it is handed over as JSON. */
export interface Task {
  readonly driver: string;
  /** Where the client's package is installed; '' for those of this tree. */
  readonly directory: string;
  readonly mode: 'import' | 'produce' | 'consume' | 'consume batches' | 'round trip';
  readonly brokers: string;
  readonly topic: string;
  /** Of a record's value. */
  readonly sizeBytes: number;
  /** Of records, or of round trips. A tenth of them before warms up, and is not measured. */
  readonly count: number;
  readonly compression: 'none' | 'lz4';
}

export interface Sample {
  readonly count: number;
  readonly seconds: number;
  /** Of the client's process, in user and system mode, all its threads. */
  readonly cpuSeconds: number;
  /** Highest resident memory of the client's process, its start included. */
  readonly peakBytes: number;
  /** Of each round trip; empty in other modes. */
  readonly latenciesMs: readonly number[];
}

/** Told of records as they come, `count` of them; their bytes are at hand. */
export type OnRecords = (count: number, valueBytes: number) => void;

export interface BenchProducer {
  /** Sends the values over and over until `count` are sent, without keys; resolves when every one is acknowledged by all replicas. */
  send(values: readonly Buffer[], count: number): Promise<void>;
  close(): Promise<void>;
}

export interface BenchConsumer {
  close(): Promise<void>;
}

/** A client library; each is used in the way that its documentation gives for speed. */
export interface ClientDriver {
  producer(task: Task): Promise<BenchProducer>;
  /** Reads the topic from its start, or from its end, in a group of its own: one message at a time, or by the batch where the library can. */
  consumer(task: Task, from: 'earliest' | 'latest', onRecords: OnRecords): Promise<BenchConsumer>;
}

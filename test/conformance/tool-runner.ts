/** Kafka's command-line tools, in one JVM for all commands: kafka/ToolRunner.java, which says how it is talked to. */
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { resolve } from 'node:path';
import { javaCommand, kafkaClassPath } from '../support/apache-kafka-jars.ts';
import { type ChildProcesses, CommandError } from '../support/child-processes.ts';
import { javaOptions } from './java-tools.ts';

const source = resolve(import.meta.dirname, 'kafka/ToolRunner.java');

const mainClasses = {
  // Of ../kafka, and so only where its class path is given.
  adminCalls: 'AdminCalls',
  apiVersions: 'org.apache.kafka.tools.BrokerApiVersionsCommand',
  cluster: 'org.apache.kafka.tools.ClusterTool',
  configs: 'kafka.admin.ConfigCommand',
  deleteRecords: 'org.apache.kafka.tools.DeleteRecordsCommand',
  elections: 'org.apache.kafka.tools.LeaderElectionCommand',
  features: 'org.apache.kafka.tools.FeatureCommand',
  groups: 'org.apache.kafka.tools.consumer.group.ConsumerGroupCommand',
  allGroups: 'org.apache.kafka.tools.GroupsCommand',
  logDirs: 'org.apache.kafka.tools.LogDirsCommand',
  offsets: 'org.apache.kafka.tools.GetOffsetShell',
  quorum: 'org.apache.kafka.tools.MetadataQuorumCommand',
  reassign: 'org.apache.kafka.tools.reassign.ReassignPartitionsCommand',
  topics: 'org.apache.kafka.tools.TopicCommand',
} as const;

export type ToolName = keyof typeof mainClasses;

/** These do most of their work when their JVM ends, and so get one of their own. */
export async function runVerifiable(
  children: ChildProcesses,
  tool: 'VerifiableConsumer' | 'VerifiableProducer',
  args: readonly string[],
): Promise<string> {
  const command = [...javaOptions, '-cp', kafkaClassPath(), `org.apache.kafka.tools.${tool}`, ...args];
  return (await children.mustRun(javaCommand, command, { timeoutMs: 120_000 })).stdout;
}

interface Answer {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that is still without an answer after so long ends the JVM. */
const timeoutMs = 60_000;

export class ToolRunner {
  readonly #child: ChildProcessWithoutNullStreams;
  #received: Buffer = Buffer.alloc(0);
  #waiting: { resolve(answer: Answer): void; reject(error: Error): void } | undefined;
  #complaints = '';

  /** `classPath`: Kafka's jars, and more where it is given. */
  constructor(children: ChildProcesses, classPath = kafkaClassPath()) {
    this.#child = children.converse(javaCommand, [...javaOptions, '-cp', classPath, source]);
    this.#child.stdout.on('data', (bytes: Buffer) => this.#take(bytes));
    this.#child.stderr.on('data', (bytes: Buffer) => (this.#complaints += bytes.toString()));
    this.#child.once('exit', () =>
      this.#waiting?.reject(new Error(`The JVM has ended: ${this.#complaints}`)),
    );
  }

  /** What it wrote to standard output. One command at a time; rejects where it fails or complains. */
  async run(tool: ToolName, args: readonly string[]): Promise<string> {
    const answer = await this.tryToRun(tool, args);
    // The tools end with 0 after some failures; those they print.
    if (answer.code === 0 && !/\b(ERROR|Exception)\b/.test(answer.stderr)) return answer.stdout;
    throw new CommandError(`${tool} ${args.join(' ')}`, { ...answer, timedOut: false });
  }

  /** As `run`, but gives back what comes of it, whatever that is. */
  async tryToRun(tool: ToolName, args: readonly string[]): Promise<Answer> {
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), timeoutMs);
    try {
      return await new Promise((resolve, reject) => {
        this.#waiting = { resolve, reject };
        this.#child.stdin.write(`${[mainClasses[tool], ...args].join('\u0001')}\n`);
      });
    } finally {
      this.#waiting = undefined;
      clearTimeout(timer);
    }
  }

  close(): void {
    this.#child.stdin.end();
  }

  #take(bytes: Buffer): void {
    this.#received = Buffer.concat([this.#received, bytes]);
    const headEnd = this.#received.indexOf('\n');
    if (headEnd < 0) return;
    const head = this.#received.toString('latin1', 0, headEnd).split(' ').map(Number);
    const [code = 1, written = 0, complained = 0] = head;
    const stdoutEnd = headEnd + 1 + written;
    if (this.#received.length < stdoutEnd + complained) return;
    const stdout = this.#received.toString('utf8', headEnd + 1, stdoutEnd);
    const stderr = this.#received.toString('utf8', stdoutEnd, stdoutEnd + complained);
    this.#received = this.#received.subarray(stdoutEnd + complained);
    this.#waiting?.resolve({ code, stdout, stderr });
  }
}

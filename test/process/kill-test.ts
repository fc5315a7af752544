/**
 * kill -9 at random moments: a broker process is killed and started again under load, again and again; then all that it
 * had acknowledged is compared with what it holds. The moments, the load's shapes and the order of changes come from the
 * seed (the interleaving itself is the operating system's). A state file makes a run resumable.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KafkaError, Kappalog } from '../../client/index.ts';
import type { Random } from '../../platform/random.ts';
import { SeededRandom } from '../../platform/seeded-random.ts';
import { waitUntilAnswering } from '../support/api-versions-probe.ts';
import { type BrokerKind, type BrokerSpec } from '../support/broker-process.ts';
import { formatKafkaStorage, spawnBroker, startBroker } from '../support/broker-process.ts';
import type { ChildProcesses } from '../support/child-processes.ts';
import { type ChangeLoad, startChangeLoad } from './change-load.ts';
import { Journal } from './journal.ts';
import { type RecordLoad, loadPartitions, loadTopic, patienceMs, startRecordLoad } from './record-load.ts';
import { type Verdict, verify } from './verify.ts';

export interface KillTestOptions {
  readonly kind: BrokerKind;
  readonly kills: number;
  readonly seed: number;
  /** Holds the state, the journal and the broker's directory; an interrupted run in it is resumed. */
  readonly directory: string;
  readonly port: number;
  readonly httpPort?: number;
  readonly children: ChildProcesses;
  readonly log: (line: string) => void;
}

export interface KillTestResult extends Verdict {
  readonly kills: Readonly<Record<Moment, number>>;
  readonly acknowledged: number;
  readonly commits: number;
  readonly changes: number;
}

/** 'load': some time after the broker answers; 'start-up': while it recovers; 'creation': right behind new topics. */
type Moment = 'load' | 'start-up' | 'creation';

interface State {
  /** How often the harness itself was started on this directory. */
  lives: number;
  kills: Record<Moment, number>;
}

export async function runKillTest(options: KillTestOptions): Promise<KillTestResult> {
  const { directory, kind, children, log } = options;
  mkdirSync(directory, { recursive: true });
  const state = readState(directory);
  state.lives += 1;
  const random = new SeededRandom(`${options.seed}/${state.lives}`);
  const journal = new Journal(join(directory, 'journal'));
  const httpPort = options.httpPort ?? options.port + 1;
  const spec = { port: options.port, httpPort, directory: join(directory, 'broker') };
  if (kind === 'kafka') await formatKafkaStorage(children, spec);
  await using kappalog = new Kappalog({
    brokers: `127.0.0.1:${options.port}`,
    retry: { timeoutMs: patienceMs, backoffMs: 10, backoffMaxMs: 100 },
  });
  const first = await startBroker(kind, children, spec);
  await createLoadTopic(kappalog);
  await first.kill();

  const records = startRecordLoad(kappalog, journal, random.fork('records'), state.lives);
  const changes = startChangeLoad(kappalog, journal, random.fork('changes'), state.lives);
  const moments = random.fork('moments');
  try {
    while (killCount(state) < options.kills && failuresOf(records, changes).length === 0) {
      await killOnce({ options, spec, kappalog, journal, random: moments, state });
      journal.write();
      writeFileSync(join(directory, 'state.json'), JSON.stringify(state));
      if (killCount(state) % 10 === 0)
        log(`${killCount(state)} kills, ${journal.acknowledged} records acknowledged`);
    }
    const last = await startBroker(kind, children, spec);
    await Promise.all([records.stop(), changes.stop()]);
    const failures = failuresOf(records, changes);
    // A broker that refused the load may refuse to be read as well.
    const verdict = failures.length > 0 ? unread : await verify(kappalog, journal);
    await last.stop();
    const differences = [...failures, ...verdict.differences];
    const counts = { acknowledged: journal.acknowledged, ...changes.counts, kills: state.kills };
    return { ...verdict, ...counts, differences };
  } finally {
    journal.write();
  }
}

const unread: Verdict = { differences: [], recordsRead: 0, unacknowledged: 0 };

function failuresOf(records: RecordLoad, changes: ChangeLoad): string[] {
  return [...records.failures, ...changes.failures].slice(0, 5);
}

function killCount({ kills }: State): number {
  return kills.load + kills['start-up'] + kills.creation;
}

function readState(directory: string): State {
  const file = join(directory, 'state.json');
  if (!existsSync(file)) return { lives: 0, kills: { load: 0, 'start-up': 0, creation: 0 } };
  const state: State = JSON.parse(readFileSync(file, 'utf8'));
  return state;
}

/** Small segments, so that kills fall on rolls too. */
async function createLoadTopic(kappalog: Kappalog): Promise<void> {
  await using admin = kappalog.admin();
  const configs = { 'segment.bytes': '1048576', 'retention.ms': '-1' };
  try {
    await admin.createTopics([{ name: loadTopic, partitions: loadPartitions, configs }]);
  } catch (error) {
    if (!(error instanceof KafkaError && error.code === 'TOPIC_ALREADY_EXISTS')) throw error;
  }
}

interface Killing {
  readonly options: KillTestOptions;
  readonly spec: BrokerSpec;
  readonly kappalog: Kappalog;
  readonly journal: Journal;
  readonly random: Random;
  readonly state: State;
}

/** Starts the broker, waits for the moment drawn, and kills it. */
async function killOnce(killing: Killing): Promise<void> {
  const { options, spec, random, state } = killing;
  const draw = random.below(10);
  const moment: Moment = draw < 2 ? 'start-up' : draw < 4 ? 'creation' : 'load';
  const broker = spawnBroker(options.kind, options.children, spec);
  if (moment === 'start-up') {
    await pause(random.below(options.kind === 'kafka' ? 4000 : 600));
  } else {
    await waitUntilAnswering(broker, 60_000, broker.ended);
    await pause(50 + random.below(moment === 'load' ? 1200 : 300));
  }
  if (moment === 'creation') await killDuringCreation(broker, killing);
  await broker.kill();
  state.kills[moment] += 1;
}

/** Asks for several topics and kills the broker while it makes them. Those that it acknowledged must be there later. */
async function killDuringCreation(
  broker: { kill(): Promise<void> },
  { kappalog, journal, random, state }: Killing,
): Promise<void> {
  await using admin = kappalog.admin();
  const abort = new AbortController();
  const settled = Array.from({ length: 5 }, (_, i) => {
    const name = `kill-burst-${state.lives}-${killCount(state)}-${i}`;
    const retention = String(3_600_000 + random.below(1000));
    const promise = { retentions: [retention], partitions: 1 + random.below(4) };
    const topic = { name, partitions: promise.partitions, configs: { 'retention.ms': retention } };
    // Not in the journal before: the changes that go on beside this would delete what is only being made.
    return admin.createTopics([topic], { signal: abort.signal }).then(
      () => journal.topic(name, { ...promise, state: 'there' }),
      (error: unknown) => {
        if (!(error instanceof KafkaError && error.code === 'ABORTED')) throw error;
        journal.topic(name, { ...promise, state: 'unsure' });
      },
    );
  });
  await pause(random.below(25));
  await broker.kill();
  abort.abort();
  await Promise.all(settled);
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

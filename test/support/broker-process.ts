/**
 * Brokers as operating-system processes: Kappalog from this tree, and Apache Kafka to compare with. Both are on loopback,
 * one node, with a data directory that outlives the process, so that they can be stopped, killed and started again.
 */
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { waitUntilAnswering } from './api-versions-probe.ts';
import type { ChildProcesses } from './child-processes.ts';
import { javaCommand, kafkaClassPath } from './apache-kafka-jars.ts';

export type BrokerKind = 'kappalog' | 'kafka';

export interface BrokerSpec {
  /** Where Kappalog listens; loopback where absent. */
  readonly host?: string;
  /** The network namespace that Kappalog runs in; that of the harness where absent. */
  readonly namespace?: string;
  /** The Kafka port. Apache Kafka takes the second port above it too, for its controller. */
  readonly port: number;
  /** Kappalog's HTTP port; the port above `port` where absent. */
  readonly httpPort?: number;
  /** Holds the data directory, configuration and log; made where missing. */
  readonly directory: string;
  /** Data directories beside the first; none where absent. */
  readonly furtherDirectories?: readonly string[];
  /** Broker settings by Kafka's names. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Extra arguments of `kappalog start`. */
  readonly arguments?: readonly string[];
  /** Beside the harness's own. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Java heap of Apache Kafka. */
  readonly heap?: string;
}

export interface BrokerProcess {
  readonly kind: BrokerKind;
  readonly pid: number;
  readonly host: string;
  readonly port: number;
  /** `host:port`, for clients. */
  readonly address: string;
  readonly httpPort: number;
  readonly dataDirectory: string;
  readonly logFile: string;
  /** From the start of the process to its first answer. */
  readonly readyMs: number;
  /** Resolves with the exit code, null for a signal. */
  readonly ended: Promise<number | null>;
  /** SIGTERM; resolves with the exit code once it has ended, rejects when it has not within 30 s. */
  stop(): Promise<number | null>;
  /** SIGKILL. */
  kill(): Promise<void>;
}

export const projectDirectory = resolve(import.meta.dirname, '../..');

const loopback = '127.0.0.1';

export async function startBroker(
  kind: BrokerKind,
  children: ChildProcesses,
  spec: BrokerSpec,
): Promise<BrokerProcess> {
  const starting = spawnBroker(kind, children, spec);
  const { logFile } = starting;
  try {
    const readyMs = await waitUntilAnswering(
      { host: starting.host, port: spec.port },
      60_000,
      starting.ended,
    );
    return { ...starting, readyMs };
  } catch (error) {
    starting.child.kill('SIGKILL');
    const log = existsSync(logFile) ? readFileSync(logFile, 'utf8').slice(-2000) : '';
    throw new Error(`${kind} did not start. Its log (${logFile}) ends with:\n${log}`, { cause: error });
  }
}

/** As startBroker, but does not wait until it answers. */
export function spawnBroker(
  kind: BrokerKind,
  children: ChildProcesses,
  spec: BrokerSpec,
): Omit<BrokerProcess, 'readyMs'> & { child: ChildProcess } {
  mkdirSync(spec.directory, { recursive: true });
  const host = spec.host ?? loopback;
  const dataDirectory = join(spec.directory, 'data');
  const logFile = join(spec.directory, 'broker.log');
  const directories = [dataDirectory, ...(spec.furtherDirectories ?? [])].join(',');
  const [command, args] =
    kind === 'kappalog' ? kappalogCommand(spec, directories) : kafkaCommand(spec, directories);
  const env = { ...process.env, ...spec.environment };
  const { child, ended } = children.start(command, args, { cwd: projectDirectory, logFile, env });
  return {
    kind,
    child,
    pid: child.pid ?? -1,
    host,
    port: spec.port,
    address: `${host}:${spec.port}`,
    httpPort: httpPort(spec),
    dataDirectory,
    logFile,
    ended,
    async stop() {
      child.kill('SIGTERM');
      const timeout = new Promise<'timeout'>((resolve) => setTimeout(resolve, 30_000, 'timeout').unref());
      const outcome = await Promise.race([ended, timeout]);
      if (outcome !== 'timeout') return outcome;
      child.kill('SIGKILL');
      throw new Error(`${kind} had not ended 30 s after SIGTERM.`);
    },
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

function httpPort(spec: BrokerSpec): number {
  return spec.httpPort ?? spec.port + 1;
}

function kappalogCommand(spec: BrokerSpec, dataDirectories: string): [string, string[]] {
  const args = [join(projectDirectory, 'bin/kappalog.js'), 'start', '--port', String(spec.port)];
  args.push('--http-port', String(httpPort(spec)), '--data-dir', dataDirectories);
  for (const [key, value] of Object.entries(spec.settings ?? {})) args.push('--set', `${key}=${value}`);
  if (spec.host !== undefined) args.push('--host', spec.host);
  args.push(...(spec.arguments ?? []));
  if (!args.includes('--internal-port')) args.push('--internal-port', 'off');
  // `ip netns exec` becomes the command that it is given: the process is the broker's own.
  if (spec.namespace !== undefined)
    return ['ip', ['netns', 'exec', spec.namespace, process.execPath, ...args]];
  return [process.execPath, args];
}

function kafkaCommand(spec: BrokerSpec, dataDirectories: string): [string, string[]] {
  const properties = join(spec.directory, 'server.properties');
  const controllerPort = spec.port + 2;
  const settings: Record<string, string> = {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': `1@${loopback}:${controllerPort}`,
    listeners: `PLAINTEXT://${loopback}:${spec.port},CONTROLLER://${loopback}:${controllerPort}`,
    'advertised.listeners': `PLAINTEXT://${loopback}:${spec.port}`,
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'log.dirs': dataDirectories,
    'offsets.topic.replication.factor': '1',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'share.coordinator.state.topic.replication.factor': '1',
    'share.coordinator.state.topic.min.isr': '1',
    'group.initial.rebalance.delay.ms': '0',
    ...spec.settings,
  };
  const lines = Object.entries(settings).map(([key, value]) => `${key}=${value}\n`);
  writeFileSync(properties, lines.join(''));
  const heap = spec.heap ?? '1g';
  // The collector's settings are those of Kafka's own start script.
  const tuning = ['-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20', '-XX:InitiatingHeapOccupancyPercent=35'];
  const args = [`-Xmx${heap}`, `-Xms${heap}`, '-server', ...tuning, '-Djava.awt.headless=true'];
  args.push('-cp', kafkaClassPath(), 'kafka.Kafka', properties);
  return [javaCommand, args];
}

/** Apache Kafka's storage must be formatted before its first start; does nothing where it is already. */
export async function formatKafkaStorage(children: ChildProcesses, spec: BrokerSpec): Promise<void> {
  const dataDirectory = join(spec.directory, 'data');
  if (existsSync(join(dataDirectory, 'meta.properties'))) return;
  mkdirSync(spec.directory, { recursive: true });
  kafkaCommand(spec, [dataDirectory, ...(spec.furtherDirectories ?? [])].join(','));
  const clusterId = 'AAAAAAAAAAAAAAAAAAAAAQ';
  const args = ['-cp', kafkaClassPath(), 'kafka.tools.StorageTool', 'format', '-t', clusterId];
  await children.mustRun(javaCommand, [...args, '-c', join(spec.directory, 'server.properties')]);
}

/** `kappalog start`: one broker in this process, until a signal. It loads the broker and never the client. */
import type { Broker } from '../../broker/index.ts';
import { CliError } from '../cli-error.ts';
import type { CommandContext } from '../command-context.ts';
import { readConfigFile } from './config-file.ts';
import { createLogger } from './log.ts';
import {
  layerOfEnvironment,
  layerOfFlags,
  resolveStartConfiguration,
  type StartConfiguration,
} from './start-options.ts';

/** Options as commander has them; those not given are absent. */
export type StartFlags = Readonly<Record<string, string | readonly string[] | undefined>>;

/** Runs a broker until SIGINT or SIGTERM and closes it in order; throws a CliError where it cannot start. */
export async function start(flags: StartFlags, context: CommandContext): Promise<void> {
  const nodes = flags['nodes'] ?? context.environment['KAPPALOG_NODES'];
  if (typeof nodes === 'string') {
    const { startNodes } = await import('./start-nodes.ts');
    return startNodes(nodes, flags, context);
  }
  const configuration = await readConfiguration(flags, context);
  const broker = await open(configuration, context);
  if (broker === undefined) return;
  const ready = Math.round(process.uptime() * 1000);
  announce(broker, { configuration, readyMs: ready }, context);
  const failure = await Promise.race([aborted(context.interruption.signal), broker.whenFailed]);
  if (failure !== undefined)
    throw new CliError(failure.code, asSentence(failure.message), { cause: failure });
  context.output.note(`Stopping on ${context.interruption.reason ?? 'request'}.`);
  await broker.close();
}

/** Flags before environment before file. */
export async function readConfiguration(
  flags: StartFlags,
  context: CommandContext,
): Promise<StartConfiguration> {
  const ofFlags = layerOfFlags(flags);
  const ofEnvironment = layerOfEnvironment(context.environment);
  const file = ofFlags.options.get('config') ?? ofEnvironment.options.get('config');
  const layers = [ofFlags, ofEnvironment, ...(file === undefined ? [] : [await readConfigFile(file)])];
  return resolveStartConfiguration(layers);
}

/** Undefined where it was told to stop before it was ready. */
async function open(
  configuration: StartConfiguration,
  { interruption, output }: CommandContext,
): Promise<Broker | undefined> {
  const { startBroker, StartError } = await import('../../broker/index.ts');
  const { host, port, httpPort, dataDirs, advertisedHost, logLevel, settings } = configuration;
  const { nodeId, rack, internalPort, internalHost, voters, join } = configuration;
  const internalTls = await readTls(configuration);
  try {
    return await startBroker({
      host,
      port,
      httpPort,
      dataDir: dataDirs,
      settings,
      storage: 'disk',
      logger: createLogger(logLevel, process.stderr),
      nodeId,
      signal: interruption.signal,
      acceptLostMemory: configuration.acceptLostMemory,
      internalPort,
      ...(rack === undefined ? {} : { rack }),
      ...(internalHost === undefined ? {} : { internalHost }),
      ...(internalTls === undefined ? {} : { internalTls }),
      ...(voters === undefined ? {} : { voters }),
      ...(join === undefined ? {} : { join }),
      ...(advertisedHost === undefined ? {} : { advertisedHost }),
    });
  } catch (cause) {
    if (cause instanceof StartError && cause.code === 'stopped') {
      output.note(`Stopped on ${interruption.reason ?? 'request'}, before it was ready.`);
      return undefined;
    }
    if (cause instanceof StartError) throw new CliError(cause.code, asSentence(cause.message), { cause });
    throw cause;
  }
}

async function readTls({
  internalTls,
}: StartConfiguration): Promise<{ cert: Buffer; key: Buffer; ca: Buffer } | undefined> {
  if (internalTls === undefined) return undefined;
  const { readFile } = await import('node:fs/promises');
  const read = (file: string): Promise<Buffer> =>
    readFile(file).catch((cause: unknown) => {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new CliError('TLS_FILE', `The file ${file} could not be read (${reason}).`, { cause });
    });
  const { cert, key, ca } = internalTls;
  return { cert: await read(cert), key: await read(key), ca: await read(ca) };
}

/** Tells who starts it where clients find it. */
function announce(
  broker: Broker,
  { configuration, readyMs }: { configuration: StartConfiguration; readyMs: number },
  { output }: CommandContext,
): void {
  const { host, port, httpPort } = broker;
  const wildcard = host === '0.0.0.0' || host === '::';
  const listening = showAddress(host, port);
  const advertised = configuration.advertisedHost;
  const seen = advertised ?? (wildcard ? 'the address that each of them connected to' : listening);
  const http = httpPort === undefined ? undefined : `http://${showAddress(host, httpPort)}`;
  output.result(
    {
      ready: true,
      host,
      port,
      httpPort: httpPort ?? null,
      advertised: advertised ?? null,
      dataDir: configuration.dataDirs.join(','),
      pid: process.pid,
      readyMs,
    },
    () =>
      [
        `Kappalog is ready (${readyMs} ms).`,
        `  Kafka clients   ${listening}`,
        ...(seen === listening ? [] : [`  they are told   ${seen}`]),
        ...(http === undefined ? [] : [`  HTTP            ${http}/health/ready, ${http}/metrics`]),
        `  data            ${configuration.dataDirs.join(', ')}`,
        `  stop            Ctrl-C`,
      ].join('\n'),
  );
  void output.flush();
}

function showAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

function asSentence(text: string): string {
  const sentence = text.charAt(0).toUpperCase() + text.slice(1);
  return sentence.endsWith('.') ? sentence : `${sentence}.`;
}

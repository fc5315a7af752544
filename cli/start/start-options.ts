/**
 * The options of `kappalog start`, once: the command line, the environment, the config file and the table in the README
 * are all made from this list. A flag goes before the environment, that before the file, that before the default.
 */
import type { Address } from '../../platform/network.ts';
import { usageError } from '../cli-error.ts';
import { resolveClusterOptions } from './cluster-options.ts';

export interface StartOption {
  /** The flag without its dashes, and the key in a config file. */
  readonly name: string;
  readonly placeholder: string;
  readonly environment: string;
  /** As text, as it would be given; undefined where there is none. */
  readonly default: string | undefined;
  readonly description: string;
  /** Whether a config file may hold it. */
  readonly inFile: boolean;
}

export const startOptions = [
  {
    name: 'host',
    placeholder: 'HOST',
    environment: 'KAPPALOG_HOST',
    default: '127.0.0.1',
    description:
      'Address to listen on; `0.0.0.0` or `::` for all. Only this machine can connect unless it is set.',
    inFile: true,
  },
  {
    name: 'port',
    placeholder: 'PORT',
    environment: 'KAPPALOG_PORT',
    default: '9092',
    description: 'Port for Kafka clients; `0` takes a free one.',
    inFile: true,
  },
  {
    name: 'http-port',
    placeholder: 'PORT',
    environment: 'KAPPALOG_HTTP_PORT',
    default: '8080',
    description: 'Port for health, readiness and metrics; `0` takes a free one, `off` goes without.',
    inFile: true,
  },
  {
    name: 'data-dir',
    placeholder: 'DIRECTORY[,DIRECTORY...]',
    environment: 'KAPPALOG_DATA_DIR',
    default: './data',
    description:
      'Where everything is kept; made where it does not exist. Several share the partitions by the space they have free; the first holds the metadata.',
    inFile: true,
  },
  {
    name: 'advertised-host',
    placeholder: 'HOST[:PORT]',
    environment: 'KAPPALOG_ADVERTISED_HOST',
    default: undefined,
    description:
      'Address that clients are told to connect to. Without it they are told the one that they connected to.',
    inFile: true,
  },
  {
    name: 'node-id',
    placeholder: 'NUMBER',
    environment: 'KAPPALOG_NODE_ID',
    default: '1',
    description: 'Number of this node, which no other node of its cluster has; kept in its data directory.',
    inFile: true,
  },
  {
    name: 'rack',
    placeholder: 'NAME',
    environment: 'KAPPALOG_RACK',
    default: undefined,
    description: 'Zone of this node: replicas are spread over racks, and clients may read in their own.',
    inFile: true,
  },
  {
    name: 'internal-port',
    placeholder: 'PORT',
    environment: 'KAPPALOG_INTERNAL_PORT',
    default: '9093',
    description: 'Port for the other nodes of the cluster; `off` for a node that none may join.',
    inFile: true,
  },
  {
    name: 'internal-host',
    placeholder: 'HOST',
    environment: 'KAPPALOG_INTERNAL_HOST',
    default: undefined,
    description: 'Address that other nodes are told; the one that is listened on unless it is given.',
    inFile: true,
  },
  {
    name: 'internal-tls-cert',
    placeholder: 'FILE',
    environment: 'KAPPALOG_INTERNAL_TLS_CERT',
    default: undefined,
    description: 'Certificate (PEM) for traffic between nodes; goes with the two below.',
    inFile: true,
  },
  {
    name: 'internal-tls-key',
    placeholder: 'FILE',
    environment: 'KAPPALOG_INTERNAL_TLS_KEY',
    default: undefined,
    description: 'Its private key (PEM).',
    inFile: true,
  },
  {
    name: 'internal-tls-ca',
    placeholder: 'FILE',
    environment: 'KAPPALOG_INTERNAL_TLS_CA',
    default: undefined,
    description: 'The authority (PEM) that has signed the certificates of all nodes.',
    inFile: true,
  },
  {
    name: 'voters',
    placeholder: 'ID@HOST:PORT,...',
    environment: 'KAPPALOG_VOTERS',
    default: undefined,
    description:
      'The nodes that form a new cluster, this one among them, by their internal addresses; the same list for each.',
    inFile: true,
  },
  {
    name: 'join',
    placeholder: 'HOST:PORT',
    environment: 'KAPPALOG_JOIN',
    default: undefined,
    description: 'Internal address of any node of the cluster that this node is to join.',
    inFile: true,
  },
  {
    name: 'nodes',
    placeholder: 'NUMBER',
    environment: 'KAPPALOG_NODES',
    default: undefined,
    description:
      'Starts so many nodes (1 to 7) on this machine as one cluster: node i has the ports 9091+i, 19091+i (internal) and 8079+i (HTTP).',
    inFile: false,
  },
  {
    name: 'accept-lost-memory',
    placeholder: 'YES',
    environment: 'KAPPALOG_ACCEPT_LOST_MEMORY',
    default: 'no',
    description:
      '`yes`: replicas under `write.caching` go on without what they lost when the machine stopped. For one start.',
    inFile: false,
  },
  {
    name: 'log-level',
    placeholder: 'LEVEL',
    environment: 'KAPPALOG_LOG_LEVEL',
    default: 'info',
    description: '`debug`, `info`, `warn`, `error` or `silent`.',
    inFile: true,
  },
  {
    name: 'config',
    placeholder: 'FILE',
    environment: 'KAPPALOG_CONFIG',
    default: undefined,
    description: 'A file with any of these options and broker settings: JSON, or lines of `key=value`.',
    inFile: false,
  },
  {
    name: 'set',
    placeholder: 'KEY=VALUE',
    environment: 'KAPPALOG_SET',
    default: undefined,
    description:
      'A broker setting under its Kafka name; can be repeated. In the environment several are separated by `;`.',
    inFile: false,
  },
] as const satisfies readonly StartOption[];

export type StartOptionName = (typeof startOptions)[number]['name'];

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/** What a node is started with, every source considered. */
export interface StartConfiguration {
  readonly host: string;
  readonly port: number;
  readonly httpPort: number | false;
  /** At least one. */
  readonly dataDirs: readonly string[];
  readonly advertisedHost: string | undefined;
  readonly nodeId: number;
  readonly rack: string | undefined;
  readonly internalPort: number | false;
  readonly internalHost: string | undefined;
  /** Files. */
  readonly internalTls: { readonly cert: string; readonly key: string; readonly ca: string } | undefined;
  readonly voters: ReadonlyMap<number, Address> | undefined;
  readonly join: Address | undefined;
  /** An operator answers for what losses of memory took. */
  readonly acceptLostMemory: boolean;
  readonly logLevel: LogLevel;
  /** Broker settings by Kafka's name. */
  readonly settings: Readonly<Record<string, string>>;
}

/** Option values by name as one source has them, and broker settings. */
export interface ConfigurationLayer {
  readonly options: ReadonlyMap<string, string>;
  readonly settings: ReadonlyMap<string, string>;
  /** For messages: 'the flag', 'the environment', 'kappalog.json'. */
  readonly origin: string;
}

/** The flags as commander hands them over: camelCase names, `set` as a list. */
export function layerOfFlags(
  flags: Readonly<Record<string, string | readonly string[] | undefined>>,
): ConfigurationLayer {
  const options = new Map<string, string>();
  for (const { name } of startOptions) {
    const value = flags[camelCase(name)];
    if (typeof value === 'string') options.set(name, value);
  }
  const set = flags['set'];
  const settings = parseSettings(Array.isArray(set) ? set : [], '--set');
  return { options, settings, origin: 'the command line' };
}

export function layerOfEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
): ConfigurationLayer {
  const options = new Map<string, string>();
  for (const option of startOptions) {
    const value = environment[option.environment];
    if (value !== undefined && value !== '' && option.name !== 'set') options.set(option.name, value);
  }
  const set = (environment['KAPPALOG_SET'] ?? '').split(';').filter((text) => text.trim() !== '');
  return { options, settings: parseSettings(set, 'KAPPALOG_SET'), origin: 'the environment' };
}

/** An option's text, and where it came from. */
export interface GivenValue {
  readonly text: string | undefined;
  readonly from: string;
}

const defaultOrigin = 'the default';

/** Joins the layers, the first one winning; throws a usage error that names the option and where it came from. */
export function resolveStartConfiguration(layers: readonly ConfigurationLayer[]): StartConfiguration {
  const value = (name: StartOptionName): GivenValue => {
    const layer = layers.find((each) => each.options.has(name));
    const option = startOptions.find((each) => each.name === name);
    return { text: layer?.options.get(name) ?? option?.default, from: layer?.origin ?? defaultOrigin };
  };
  const settings: Record<string, string> = {};
  for (const layer of [...layers].reverse()) Object.assign(settings, Object.fromEntries(layer.settings));
  const http = value('http-port');
  const dataDirs = takeDataDirectories(value('data-dir'), settings);
  return {
    host: value('host').text!,
    port: parsePort('port', value('port')),
    httpPort: http.text === 'off' || http.text === 'false' ? false : parsePort('http-port', http),
    dataDirs,
    advertisedHost: value('advertised-host').text,
    ...resolveClusterOptions(value),
    acceptLostMemory: parseYesNo('accept-lost-memory', value('accept-lost-memory')),
    logLevel: parseLogLevel(value('log-level')),
    settings,
  };
}

/** `key=value` texts by key; throws a usage error for another form. */
export function parseSettings(texts: readonly string[], origin: string): Map<string, string> {
  const settings = new Map<string, string>();
  for (const text of texts) {
    const equals = text.indexOf('=');
    if (equals <= 0) throw usageError(`${origin} takes KEY=VALUE, such as num.partitions=6, not "${text}".`);
    settings.set(text.slice(0, equals).trim(), text.slice(equals + 1).trim());
  }
  return settings;
}

/** The option, or Kafka's settings of that meaning, which are taken out of the others. */
function takeDataDirectories(option: GivenValue, settings: Record<string, string>): string[] {
  const name = ['log.dirs', 'log.dir'].find((each) => settings[each] !== undefined);
  if (name !== undefined && option.from !== defaultOrigin) {
    throw usageError(`data-dir (from ${option.from}) and ${name} say the same; leave one of them out.`);
  }
  const text = name === undefined ? (option.text ?? '') : settings[name]!;
  delete settings['log.dirs'];
  delete settings['log.dir'];
  const directories = text
    .split(',')
    .map((directory) => directory.trim())
    .filter((directory) => directory !== '');
  if (directories.length > 0) return directories;
  throw usageError(`${name ?? 'data-dir'} must name at least one directory.`);
}

export function parsePort(name: string, { text, from }: GivenValue): number {
  const port = Number(text);
  if (/^\d+$/.test(text ?? '') && port <= 65_535) return port;
  throw usageError(`${name} must be a port from 0 to 65535, not "${text}" (from ${from}).`);
}

function parseYesNo(name: string, { text, from }: GivenValue): boolean {
  if (text === 'yes' || text === 'no') return text === 'yes';
  throw usageError(`${name} must be yes or no, not "${text}" (from ${from}).`);
}

function parseLogLevel({ text, from }: GivenValue): LogLevel {
  const level = logLevels.find((each) => each === text);
  if (level !== undefined) return level;
  throw usageError(`log-level must be one of ${logLevels.join(', ')}, not "${text}" (from ${from}).`);
}

function camelCase(name: string): string {
  return name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

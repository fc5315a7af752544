/** What the options say of this node's place in a cluster. */
import type { Address } from '../../platform/network.ts';
import { usageError } from '../cli-error.ts';
import { parsePort } from './start-options.ts';
import type { GivenValue, StartConfiguration, StartOptionName } from './start-options.ts';

type ClusterPart = Pick<
  StartConfiguration,
  'nodeId' | 'rack' | 'internalPort' | 'internalHost' | 'internalTls' | 'voters' | 'join'
>;

/** Kafka's node ids are int32. */
const nodeIdMax = 2 ** 31 - 1;

/** Throws a usage error that names the option and where it came from. */
export function resolveClusterOptions(value: (name: StartOptionName) => GivenValue): ClusterPart {
  const nodeId = parseNodeId('node-id', value('node-id'));
  const internal = value('internal-port');
  const internalPort = internal.text === 'off' ? false : parsePort('internal-port', internal);
  const voters = parseVoters(value('voters'));
  const join = parseJoin(value('join'));
  if (voters !== undefined && join !== undefined) {
    throw usageError('voters and join exclude each other: a node forms a new cluster, or joins one.');
  }
  if ((voters !== undefined || join !== undefined) && internalPort === false) {
    throw usageError('internal-port must not be off for a node of a cluster with others.');
  }
  const { text: host } = value('host');
  const internalHost = value('internal-host').text;
  if (join !== undefined && internalHost === undefined && (host === '0.0.0.0' || host === '::')) {
    throw usageError(
      `internal-host must say where other nodes reach this one, as it listens on all addresses (${host}).`,
    );
  }
  const own = voters?.get(nodeId);
  if (voters !== undefined && own === undefined) {
    throw usageError(
      `voters must name this node, ${nodeId}, too; they are ${[...voters.keys()].join(', ')}.`,
    );
  }
  if (own !== undefined && own.port !== internalPort) {
    throw usageError(
      `voters say that node ${nodeId} is reached at port ${own.port}, and internal-port is ${internalPort}.`,
    );
  }
  return {
    nodeId,
    rack: value('rack').text,
    internalPort,
    internalHost: internalHost ?? own?.host,
    internalTls: parseTls(value),
    voters,
    join,
  };
}

function parseNodeId(name: string, { text, from }: GivenValue): number {
  const nodeId = Number(text);
  if (/^\d+$/.test(text ?? '') && nodeId <= nodeIdMax) return nodeId;
  throw usageError(`${name} must be a number from 0 to ${nodeIdMax}, not "${text}" (from ${from}).`);
}

function parseVoters({ text, from }: GivenValue): ReadonlyMap<number, Address> | undefined {
  if (text === undefined) return undefined;
  const voters = new Map<number, Address>();
  for (const each of text.split(',')) {
    const [id, place] = each.trim().split('@', 2);
    const address = place === undefined ? undefined : addressOf(place);
    if (address === undefined) {
      throw usageError(`voters takes ID@HOST:PORT, such as 1@db1:9093, not "${each}" (from ${from}).`);
    }
    const nodeId = parseNodeId('a voter', { text: id, from });
    if (voters.has(nodeId)) throw usageError(`voters names node ${nodeId} twice (from ${from}).`);
    voters.set(nodeId, address);
  }
  if (voters.size === 1 || voters.size === 3 || voters.size === 5) return voters;
  throw usageError(
    `voters must be 1, 3 or 5 nodes, not ${voters.size}: an even number survives no more failures. ` +
      'Start the others with --join.',
  );
}

function parseJoin({ text, from }: GivenValue): Address | undefined {
  if (text === undefined) return undefined;
  const address = addressOf(text);
  if (address !== undefined) return address;
  throw usageError(`join takes HOST:PORT, the internal address of a node, not "${text}" (from ${from}).`);
}

function addressOf(text: string): Address | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  return host === undefined || port < 1 || port > 65_535 ? undefined : { host, port };
}

function parseTls(value: (name: StartOptionName) => GivenValue): ClusterPart['internalTls'] {
  const [cert, key, ca] = (['internal-tls-cert', 'internal-tls-key', 'internal-tls-ca'] as const).map(
    (name) => value(name).text,
  );
  if (cert === undefined && key === undefined && ca === undefined) return undefined;
  if (cert !== undefined && key !== undefined && ca !== undefined) return { cert, key, ca };
  throw usageError('internal-tls-cert, internal-tls-key and internal-tls-ca go together; one is missing.');
}

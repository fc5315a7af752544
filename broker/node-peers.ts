/** A node among others: the listener for traffic between nodes, and how the node finds its cluster at its start. */
import { hostname } from 'node:os';
import { BufferPool } from '../platform/buffer-pool.ts';
import type { Address } from '../platform/network.ts';
import type { Platform } from '../platform/platform.ts';
import { internalListener } from './cluster/controller/registration.ts';
import type { ClaimedDirectory } from './data-directory.ts';
import { formCluster } from './formation/form-cluster.ts';
import type { Formed, JoinQuestion } from './formation/form-cluster.ts';
import { nextIncarnation, readIncarnation, writeKnownNodes } from './formation/formation-files.ts';
import type { Logger } from './logger.ts';
import { openListener } from './node-start.ts';
import { PeerNetwork } from './peers/peer-network.ts';
import type { PeerTls } from './peers/peer-settings.ts';

/** How a node is reached by others, and whom it begins with. */
export interface ClusterOptions {
  /** Port for the other nodes; none unless it is given: then nobody can join this one. 0 takes a free one. */
  readonly internalPort?: number | false;
  /** Address that other nodes are told; the one that is listened on unless it is given. */
  readonly internalHost?: string;
  readonly internalTls?: PeerTls;
  /** The first voters of a new cluster, this node among them, by id. */
  readonly voters?: ReadonlyMap<number, Address>;
  /** The internal address of any member of the cluster that this node is to join. */
  readonly join?: Address;
  /** Nodes with the same name fail together; the machine's name unless it is given. */
  readonly machine?: string;
  /** What other nodes are told of this program, for their logs. */
  readonly softwareVersion?: string;
}

export interface MeetingOptions extends ClusterOptions {
  readonly platform: Platform;
  readonly logger: Logger;
  readonly nodeId: number;
  /** `kappalog.leader.lease.enable`: only nodes that agree on it talk to each other. */
  readonly usesLeases: boolean;
  /** Address to listen on. */
  readonly host: string;
  readonly isStopping: () => boolean;
}

export interface NodePeers {
  readonly incarnation: number;
  readonly formed: Formed;
  /** Undefined where no other node can reach this one. */
  readonly network: PeerNetwork | undefined;
  /** For its registration. */
  readonly endpoints: readonly {
    readonly name: string;
    readonly securityProtocol: number;
    readonly host: string;
    readonly port: number;
  }[];
  readonly machine: string;
  /** How it asks to be taken into the cluster. */
  readonly question: JoinQuestion | undefined;
  /** Where the nodes of the cluster are now; kept for the next start. */
  nodesChanged(addresses: ReadonlyMap<number, Address>): void;
}

/** Memory of large frames kept for the next ones. */
const idleBuffersBytes = 32 * 1024 * 1024;
/** Kafka's numbers. */
const securityProtocols = { plaintext: 0, tls: 1 };

/** Resolves when the node belongs to a cluster, however long it has to wait for others. Rejects with a StartError. */
export async function meetCluster(
  options: MeetingOptions,
  claimed: ClaimedDirectory,
  directory: string,
): Promise<NodePeers> {
  const { platform, logger, nodeId, voters, join } = options;
  const { disk, clock, ids } = platform;
  const network = await openNetwork(options, claimed, await nextIncarnation(disk, directory));
  try {
    const formed = await formCluster({
      disk,
      clock,
      directory,
      nodeId,
      directoryId: claimed.directoryId,
      clusterId: claimed.clusterId,
      peers: network,
      address: network === undefined ? undefined : addressOf(options, network),
      voters,
      join,
      newClusterId: () => ids.uuid(),
      onWaiting: (message) => logger.info({}, message),
      onWarning: (message) => logger.warn({}, message),
      isStopping: options.isStopping,
    });
    // A node that joins begins above whatever had its number before.
    const incarnation = await readIncarnation(disk, directory);
    network?.identify({ nodeId, incarnation, clusterId: formed.clusterId });
    for (const [id, address] of formed.addresses) if (id !== nodeId) network?.setAddress(id, address);
    return {
      incarnation,
      formed,
      network,
      endpoints: network === undefined ? [] : [endpointOf(options, network)],
      machine: options.machine ?? hostname(),
      question:
        network === undefined
          ? undefined
          : { nodeId, directoryId: claimed.directoryId, ...addressOf(options, network) },
      nodesChanged: keeper(options, network, directory),
    };
  } catch (error) {
    await network?.close();
    throw error;
  }
}

/** One write at a time, of what is known when it begins. */
function keeper(
  { platform, logger, nodeId }: MeetingOptions,
  network: PeerNetwork | undefined,
  directory: string,
): NodePeers['nodesChanged'] {
  let latest: ReadonlyMap<number, Address> | undefined;
  let isWriting = false;
  const write = async (): Promise<void> => {
    isWriting = true;
    for (let nodes = latest; nodes !== undefined; nodes = latest) {
      latest = undefined;
      await writeKnownNodes(platform.disk, directory, nodes).catch((error: unknown) => {
        // The next change, or the list given at the next start, does as well.
        logger.warn({ err: error }, 'the addresses of the other nodes could not be kept');
      });
    }
    isWriting = false;
  };
  return (addresses) => {
    for (const [id, address] of addresses) if (id !== nodeId) network?.setAddress(id, address);
    if (network === undefined || addresses.size < 2) return;
    latest = addresses;
    if (!isWriting) void write();
  };
}

async function openNetwork(
  options: MeetingOptions,
  claimed: ClaimedDirectory,
  incarnation: number,
): Promise<PeerNetwork | undefined> {
  const { platform, logger, nodeId, host, internalPort = false, internalTls } = options;
  const { usesLeases, softwareVersion = '' } = options;
  if (internalPort === false) return undefined;
  const { network, clock, random } = platform;
  const address = { host, port: internalPort };
  return openListener(address, 'internal', () =>
    PeerNetwork.open({
      network,
      clock,
      random: random.fork('peers'),
      address,
      advertisedHost: options.internalHost,
      identity: { nodeId, incarnation, clusterId: claimed.clusterId ?? '', softwareVersion, usesLeases },
      pool: new BufferPool({ idleBytesMax: idleBuffersBytes }),
      onNotice: ({ kind, message, ...fields }) => logger.warn({ kind, ...fields }, message),
      ...(internalTls === undefined ? {} : { tls: internalTls }),
    }),
  );
}

function addressOf({ internalHost }: MeetingOptions, { address }: PeerNetwork): Address {
  return { host: internalHost ?? address.host, port: address.port };
}

function endpointOf(options: MeetingOptions, network: PeerNetwork): NodePeers['endpoints'][number] {
  const { tls, plaintext } = securityProtocols;
  return {
    name: internalListener,
    securityProtocol: options.internalTls === undefined ? plaintext : tls,
    ...addressOf(options, network),
  };
}

/** The nodes of the cluster, what it has agreed on, and taking a node out. */
import { ErrorCode } from '../../protocol/index.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { brokerError, KafkaError } from '../errors.ts';
import type { CallOptions } from '../options.ts';
import type { ClusterDescription, FeatureDescription } from './admin-types.ts';

/** Kafka's number for the listeners of brokers, as opposed to those of controllers. */
const brokerEndpoints = 1;

export async function describeCluster(cluster: Cluster, options: CallOptions): Promise<ClusterDescription> {
  const doing = 'describe the cluster';
  const attempt = async (): Promise<ClusterDescription> => {
    const response = await cluster.request(
      'DescribeCluster',
      (version) => ({
        includeClusterAuthorizedOperations: false,
        ...(version < 1 ? {} : { endpointType: brokerEndpoints }),
        ...(version < 2 ? {} : { includeFencedBrokers: true }),
      }),
      { target: 'any', signal: options.signal },
    );
    if (response.errorCode !== ErrorCode.NONE)
      throw brokerError(response.errorCode, doing, response.errorMessage);
    const { clusterId, controllerId, brokers } = response;
    return {
      clusterId,
      controllerId,
      brokers: brokers
        .map(({ brokerId, host, port, rack, isFenced }) => ({
          id: brokerId,
          host,
          port,
          rack,
          fenced: isFenced,
        }))
        .sort((a, b) => a.id - b.id),
    };
  };
  try {
    return await cluster.retry(doing, attempt, options);
  } catch (error) {
    if (error instanceof KafkaError && error.code === 'UNSUPPORTED_VERSION')
      return fromMetadata(cluster, options);
    throw error;
  }
}

/** From brokers before 2.8. */
async function fromMetadata(cluster: Cluster, options: CallOptions): Promise<ClusterDescription> {
  const { clusterId, controllerId, brokers } = await cluster.fetchMetadata([], options);
  return {
    clusterId: clusterId ?? '',
    controllerId,
    brokers: brokers
      .map(({ nodeId, host, port, rack }) => ({ id: nodeId, host, port, rack, fenced: false }))
      .sort((a, b) => a.id - b.id),
  };
}

/** By name; none from brokers before 2.7. */
export async function describeFeatures(
  cluster: Cluster,
  options: CallOptions,
): Promise<FeatureDescription[]> {
  const doing = 'describe the features';
  return cluster.retry(
    doing,
    async () => {
      const body = { clientSoftwareName: 'kappalog', clientSoftwareVersion: '0.1.0' };
      const response = await cluster.request('ApiVersions', body, { target: 'any', signal: options.signal });
      if (response.errorCode !== ErrorCode.NONE) throw brokerError(response.errorCode, doing);
      const levels = new Map(
        response.finalizedFeatures.map(({ name, maxVersionLevel }) => [name, maxVersionLevel]),
      );
      return response.supportedFeatures
        .map(({ name, minVersion, maxVersion }) => ({
          name,
          minVersion,
          maxVersion,
          level: levels.get(name) ?? null,
        }))
        .sort((a, b) => (a.name < b.name ? -1 : 1));
    },
    options,
  );
}

export async function unregisterBroker(
  cluster: Cluster,
  brokerId: number,
  options: CallOptions,
): Promise<void> {
  const doing = `take the broker ${brokerId} out of the cluster`;
  await cluster.retry(
    doing,
    async (tries) => {
      const { errorCode, errorMessage } = await cluster.request(
        'UnregisterBroker',
        { brokerId },
        { target: 'controller', signal: options.signal },
      );
      // An earlier try whose answer was lost may have done it.
      const isGone = tries > 1 && errorCode === ErrorCode.BROKER_ID_NOT_REGISTERED;
      if (errorCode !== ErrorCode.NONE && !isGone) throw brokerError(errorCode, doing, errorMessage);
    },
    options,
  );
}

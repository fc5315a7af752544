import { ErrorCode } from '../../protocol/index.ts';
import type { Cluster, Target } from '../cluster/cluster.ts';
import { brokerError, invalidArgument } from '../errors.ts';
import type { CallOptions } from '../options.ts';
import type { ChangeOptions } from './admin.ts';
import type { ConfigChange, ConfigDescription, ConfigResource, ConfigSource } from './admin-types.ts';

const resourceTypes = { topic: 2, broker: 4, group: 32 } as const;

/** By Kafka's number for the place that a value comes from. */
const sources: readonly ConfigSource[] = [
  'unknown',
  'topic',
  'dynamic-broker',
  'dynamic-default-broker',
  'static-broker',
  'default',
  'dynamic-broker-logger',
  'client-metrics',
  'group',
];

const operations = { set: 0, remove: 1, append: 2, subtract: 3 } as const;

export interface DescribeConfigsOptions extends CallOptions {
  /** Only settings of these names. */
  readonly settings?: readonly string[];
}

export async function describeConfigs(
  cluster: Cluster,
  resources: readonly ConfigResource[],
  options: DescribeConfigsOptions,
): Promise<ConfigDescription[]> {
  const described: ConfigDescription[] = [];
  // Only the broker itself knows its own settings.
  for (const group of Map.groupBy(resources, brokerOf).values()) {
    described.push(...(await describeAt(cluster, group, options)));
  }
  const find = (wanted: ConfigResource): ConfigDescription =>
    described.find(({ type, name }) => type === wanted.type && name === wanted.name)!;
  return resources.map(find);
}

async function describeAt(
  cluster: Cluster,
  resources: readonly ConfigResource[],
  options: DescribeConfigsOptions,
): Promise<ConfigDescription[]> {
  const body = {
    resources: resources.map(({ type, name }) => ({
      resourceType: resourceTypes[type],
      resourceName: name,
      configurationKeys: options.settings === undefined ? null : [...options.settings],
    })),
  };
  const doing = `describe the configuration of ${nameAll(resources)}`;
  return cluster.retry(
    doing,
    async () => {
      const target = await targetOf(cluster, resources[0]!, 'any');
      const response = await cluster.request('DescribeConfigs', body, { target, signal: options.signal });
      return response.results.map((result) => {
        if (result.errorCode !== ErrorCode.NONE)
          throw brokerError(result.errorCode, doing, result.errorMessage);
        return {
          type: typeOf(result.resourceType),
          name: result.resourceName,
          entries: result.configs.map(({ name, value, configSource, readOnly, isSensitive }) => ({
            name,
            value,
            source: sources[configSource] ?? 'unknown',
            readOnly,
            sensitive: isSensitive,
          })),
        };
      });
    },
    options,
  );
}

export async function alterConfigs(
  cluster: Cluster,
  changes: readonly ConfigChange[],
  options: ChangeOptions,
): Promise<void> {
  for (const group of Map.groupBy(changes, brokerOf).values()) await alterAt(cluster, group, options);
}

async function alterAt(
  cluster: Cluster,
  changes: readonly ConfigChange[],
  options: ChangeOptions,
): Promise<void> {
  const body = {
    resources: changes.map((change) => ({
      resourceType: resourceTypes[change.type],
      resourceName: change.name,
      configs: operationsOf(change),
    })),
    validateOnly: options.validateOnly ?? false,
  };
  const doing = `change the configuration of ${nameAll(changes)}`;
  await cluster.retry(
    doing,
    async () => {
      const target = await targetOf(cluster, changes[0]!, 'controller');
      const response = await cluster.request('IncrementalAlterConfigs', body, {
        target,
        signal: options.signal,
      });
      for (const { errorCode, errorMessage } of response.responses) {
        if (errorCode !== ErrorCode.NONE) throw brokerError(errorCode, doing, errorMessage);
      }
    },
    options,
  );
}

function operationsOf(
  change: ConfigChange,
): { name: string; configOperation: number; value: string | null }[] {
  const withValues = (['set', 'append', 'subtract'] as const).flatMap((operation) =>
    Object.entries(change[operation] ?? {}).map(([name, value]) => ({
      name,
      configOperation: operations[operation],
      value,
    })),
  );
  const removed = (change.remove ?? []).map((name) => ({
    name,
    configOperation: operations.remove,
    value: null,
  }));
  return [...withValues, ...removed];
}

function nameAll(resources: readonly ConfigResource[]): string {
  return resources
    .map(({ type, name }) => (type === 'broker' && name === '' ? 'all brokers' : `${type} ${name}`))
    .join(', ');
}

/** Where the resource is to be asked about: a broker's own name, or '' where another broker will do. */
function brokerOf(resource: ConfigResource): string {
  return resource.type === 'broker' ? resource.name : '';
}

async function targetOf(
  cluster: Cluster,
  resource: ConfigResource,
  otherwise: 'any' | 'controller',
): Promise<Target> {
  const name = brokerOf(resource);
  if (name === '') return otherwise;
  if (cluster.metadata.nodes.size === 0) await cluster.refresh();
  const node = cluster.metadata.nodes.get(Number(name));
  if (node === undefined) throw invalidArgument(`There is no broker ${name} in the cluster.`);
  return node;
}

function typeOf(resourceType: number): ConfigResource['type'] {
  return resourceType === resourceTypes.topic
    ? 'topic'
    : resourceType === resourceTypes.broker
      ? 'broker'
      : 'group';
}

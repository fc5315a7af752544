/**
 * ListConfigResources: the names of what has settings: topics (2), brokers (4), groups (32) that were given any. Version 0 asks only for subscriptions to
 * client metrics (16), of which there are none; version 1 names the types it wants, none meaning all. Loggers of brokers (8)
 * have no settings here, so none are listed; a type that Kafka does not know is UNSUPPORTED_VERSION.
 */
import { ErrorCode } from '../../protocol/index.ts';
import { ConfigResourceType } from '../cluster/metadata/metadata-image.ts';
import { clusterResource, defineHandler } from './handler.ts';
import type { RequestContext } from './handler.ts';

const knownTypes: ReadonlySet<number> = new Set(Object.values(ConfigResourceType));

export const listConfigResources = defineHandler({
  api: 'ListConfigResources',
  versions: [0, 1],
  handle(context, request) {
    const refuse = (error: keyof typeof ErrorCode) => ({ throttleTimeMs: 0, errorCode: ErrorCode[error] });
    if (!context.authorize('DESCRIBE_CONFIGS', 'CLUSTER', clusterResource)) {
      return refuse('CLUSTER_AUTHORIZATION_FAILED');
    }
    const types = wantedTypes(context, request.resourceTypes);
    if ([...types].some((type) => !knownTypes.has(type))) return refuse('UNSUPPORTED_VERSION');
    const configResources = [...types].flatMap((resourceType) =>
      namesOf(context, resourceType).map((resourceName) => ({ resourceName, resourceType })),
    );
    return { throttleTimeMs: 0, errorCode: ErrorCode.NONE, configResources };
  },
});

function wantedTypes(context: RequestContext, asked: readonly number[]): ReadonlySet<number> {
  if (context.apiVersion === 0) return new Set([ConfigResourceType.CLIENT_METRICS]);
  return asked.length === 0 ? knownTypes : new Set(asked);
}

function namesOf(context: RequestContext, resourceType: number): string[] {
  const { image } = context.node.cluster;
  if (resourceType === ConfigResourceType.TOPIC) return [...image.topics()].map(({ name }) => name);
  if (resourceType === ConfigResourceType.BROKER) return [...image.brokers.keys()].map(String);
  if (resourceType !== ConfigResourceType.GROUP) return [];
  return [...image.settingResources()].filter(({ type }) => type === resourceType).map(({ name }) => name);
}

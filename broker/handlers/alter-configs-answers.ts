/** What IncrementalAlterConfigs and AlterConfigs share: rights, the metadata log's refusals, the form of the answer. */
import { ErrorCode } from '../../protocol/index.ts';
import type { AlterationResult } from '../cluster/controller/alter-configs.ts';
import { ConfigResourceType } from '../cluster/metadata/metadata-image.ts';
import { clusterResource } from './handler.ts';
import type { RequestContext } from './handler.ts';
import { unlessLogRefuses } from './metadata-log-refusal.ts';

interface Resource {
  readonly resourceType: number;
  readonly resourceName: string;
}

interface ResourceAnswer extends Resource {
  readonly errorCode: ErrorCode;
  readonly errorMessage: string | null;
}

/** Has `change` alter the resources that the client may alter; one answer for each resource, in order. */
export async function alterResources<R extends Resource>(
  context: RequestContext,
  resources: readonly R[],
  change: (allowed: readonly R[]) => Promise<AlterationResult[]>,
): Promise<ResourceAnswer[]> {
  const allowed = resources.filter((resource) => mayAlter(context, resource));
  const results = await unlessLogRefuses(change(allowed), (refusal) =>
    allowed.map(({ resourceType, resourceName }) => ({ resourceType, resourceName, refusal })),
  );
  const decided = results.values();
  return resources.map((resource): ResourceAnswer => {
    const { resourceType, resourceName } = resource;
    const answered = { resourceType, resourceName };
    if (!allowed.includes(resource)) {
      return { ...answered, errorCode: ErrorCode[missingRight(resourceType)], errorMessage: null };
    }
    const refusal = decided.next().value?.refusal;
    return refusal === undefined
      ? { ...answered, errorCode: ErrorCode.NONE, errorMessage: null }
      : { ...answered, errorCode: ErrorCode[refusal.error], errorMessage: refusal.message };
  });
}

function mayAlter(context: RequestContext, { resourceType, resourceName }: Resource): boolean {
  switch (resourceType) {
    case ConfigResourceType.TOPIC:
      return context.authorize('ALTER_CONFIGS', 'TOPIC', resourceName);
    case ConfigResourceType.GROUP:
      return context.authorize('ALTER_CONFIGS', 'GROUP', resourceName);
    default:
      return context.authorize('ALTER_CONFIGS', 'CLUSTER', clusterResource);
  }
}

function missingRight(resourceType: number): keyof typeof ErrorCode {
  if (resourceType === ConfigResourceType.TOPIC) return 'TOPIC_AUTHORIZATION_FAILED';
  if (resourceType === ConfigResourceType.GROUP) return 'GROUP_AUTHORIZATION_FAILED';
  return 'CLUSTER_AUTHORIZATION_FAILED';
}

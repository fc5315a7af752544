/**
 * What a client may do, as the bit field that it can ask for: bit n stands for Kafka's ACL operation n. Where it was not
 * asked for the field holds the lowest int32, which is the schema's default.
 */
import { clusterResource } from './handler.ts';
import type { AclOperation, RequestContext, ResourceType } from './handler.ts';

const operationNumbers: Readonly<Record<AclOperation, number>> = {
  READ: 3,
  WRITE: 4,
  CREATE: 5,
  DELETE: 6,
  ALTER: 7,
  DESCRIBE: 8,
  CLUSTER_ACTION: 9,
  DESCRIBE_CONFIGS: 10,
  ALTER_CONFIGS: 11,
  IDEMPOTENT_WRITE: 12,
};

/** The operations that exist for topics and for the cluster. */
const topicOperations: readonly AclOperation[] = [
  'READ',
  'WRITE',
  'CREATE',
  'DELETE',
  'ALTER',
  'DESCRIBE',
  'DESCRIBE_CONFIGS',
  'ALTER_CONFIGS',
];
const clusterOperations: readonly AclOperation[] = [
  'CREATE',
  'ALTER',
  'DESCRIBE',
  'CLUSTER_ACTION',
  'DESCRIBE_CONFIGS',
  'ALTER_CONFIGS',
  'IDEMPOTENT_WRITE',
];

/** Those that exist for groups. */
const groupOperations: readonly AclOperation[] = [
  'READ',
  'DELETE',
  'DESCRIBE',
  'DESCRIBE_CONFIGS',
  'ALTER_CONFIGS',
];

/** Where they were not asked for. */
export const operationsOmitted = -2_147_483_648;

export function groupAuthorizedOperations(context: RequestContext, groupId: string): number {
  return bits(context, groupOperations, 'GROUP', groupId);
}

export function topicAuthorizedOperations(context: RequestContext, topic: string): number {
  return bits(context, topicOperations, 'TOPIC', topic);
}

/** None at all for a client that may not even describe the cluster. */
export function clusterAuthorizedOperations(context: RequestContext): number {
  if (!context.authorize('DESCRIBE', 'CLUSTER', clusterResource)) return 0;
  return bits(context, clusterOperations, 'CLUSTER', clusterResource);
}

function bits(
  context: RequestContext,
  operations: readonly AclOperation[],
  type: ResourceType,
  name: string,
): number {
  return operations
    .filter((operation) => context.authorize(operation, type, name))
    .reduce((field, operation) => field + 2 ** operationNumbers[operation], 0);
}

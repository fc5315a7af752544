/**
 * DescribeConfigs: the settings of topics, brokers and groups with value, source and, on request, synonyms (version 1) and a
 * sentence on each (version 3).
 *
 * A topic has every topic setting of Kafka's. A broker, named by its id, has the settings that Kappalog honours; the empty
 * name gives what is set for all brokers at run time. A group, whether it exists or not, has those that it can be given. Other kinds of resources, and other brokers than this one, are
 * refused with INVALID_REQUEST, as Kafka does.
 */
import { ErrorCode } from '../../protocol/index.ts';
import type { DescribeConfigsRequest } from '../../protocol/index.ts';
import type { Refusal } from '../cluster/controller/controller.ts';
import { ConfigResourceType } from '../cluster/metadata/metadata-image.ts';
import { topicNameFault } from '../cluster/topic-names.ts';
import {
  brokerConfigEntries,
  clusterWideConfigEntries,
  groupConfigEntries,
  topicConfigEntries,
} from '../config/config-entries.ts';
import type { ConfigEntry } from '../config/config-entries.ts';
import { clusterResource, defineHandler } from './handler.ts';
import type { RequestContext } from './handler.ts';

type Asked = DescribeConfigsRequest['resources'][number];
type Described = { readonly entries: readonly ConfigEntry[] } | { readonly refusal: Refusal };

export const describeConfigs = defineHandler({
  api: 'DescribeConfigs',
  versions: [1, 4],
  handle(context, request) {
    const results = request.resources.map((asked) => {
      const { resourceType, resourceName, configurationKeys } = asked;
      const resource = { resourceType, resourceName };
      const described = describe(context, asked);
      if ('refusal' in described) {
        const { error, message } = described.refusal;
        return { ...resource, errorCode: ErrorCode[error], errorMessage: message, configs: [] };
      }
      const wanted = new Set(configurationKeys ?? []);
      const configs = described.entries
        .filter(({ name }) => wanted.size === 0 || wanted.has(name))
        .map((entry) => ({
          ...entry,
          synonyms: request.includeSynonyms ? entry.synonyms : [],
          documentation: request.includeDocumentation ? entry.documentation : null,
        }));
      return { ...resource, errorCode: ErrorCode.NONE, errorMessage: '', configs };
    });
    return { throttleTimeMs: 0, results };
  },
});

function describe(context: RequestContext, asked: Asked): Described {
  switch (asked.resourceType) {
    case ConfigResourceType.TOPIC:
      return describeTopic(context, asked.resourceName);
    case ConfigResourceType.BROKER:
      return describeBroker(context, asked.resourceName);
    case ConfigResourceType.GROUP:
      return describeGroup(context, asked.resourceName);
    default:
      return refuse(
        'INVALID_REQUEST',
        `Settings of resource type ${asked.resourceType} are not served: topics (2), brokers (4) and groups (32) are.`,
      );
  }
}

function describeTopic(context: RequestContext, name: string): Described {
  if (!context.authorize('DESCRIBE_CONFIGS', 'TOPIC', name)) {
    return refuse('TOPIC_AUTHORIZATION_FAILED', 'Topic authorization failed.');
  }
  const fault = topicNameFault(name);
  if (fault !== undefined) return refuse('INVALID_TOPIC_EXCEPTION', fault);
  const { image } = context.node.cluster;
  if (image.topic(name) === undefined) {
    return refuse('UNKNOWN_TOPIC_OR_PARTITION', `The topic '${name}' does not exist.`);
  }
  return {
    entries: topicConfigEntries(image.settings(ConfigResourceType.TOPIC, name), context.node.config),
  };
}

function describeBroker(context: RequestContext, name: string): Described {
  if (!context.authorize('DESCRIBE_CONFIGS', 'CLUSTER', clusterResource)) {
    return refuse('CLUSTER_AUTHORIZATION_FAILED', 'Cluster authorization failed.');
  }
  const { cluster, config, nodeId } = context.node;
  if (name === '') {
    return { entries: clusterWideConfigEntries(cluster.image.settings(ConfigResourceType.BROKER, '')) };
  }
  if (!/^\d{1,10}$/.test(name)) {
    return refuse('INVALID_REQUEST', `Broker id must be an integer, but it is: ${name}`);
  }
  if (Number(name) !== nodeId) {
    const message = `Unexpected broker id, expected ${nodeId} or empty string, but received ${name}`;
    return refuse('INVALID_REQUEST', message);
  }
  return { entries: brokerConfigEntries(config) };
}

function describeGroup(context: RequestContext, name: string): Described {
  if (!context.authorize('DESCRIBE_CONFIGS', 'GROUP', name)) {
    return refuse('GROUP_AUTHORIZATION_FAILED', 'Group authorization failed.');
  }
  if (name === '') return refuse('INVALID_REQUEST', 'Group name must not be empty.');
  const { cluster, config } = context.node;
  return { entries: groupConfigEntries(cluster.image.settings(ConfigResourceType.GROUP, name), config) };
}

function refuse(error: Refusal['error'], message: string): Described {
  return { refusal: { error, message } };
}

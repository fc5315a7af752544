import { describe, expect, it } from 'vitest';
import { ErrorCode } from '../../../protocol/index.ts';
import { serveNode } from './served-node.ts';
import type { ServedNode } from './served-node.ts';

const topicType = 2;
const brokerType = 4;
const set = 0;

async function nodeWithTopic(settings: Record<string, string> = {}): Promise<ServedNode> {
  const node = await serveNode({ settings });
  const configs = [{ name: 'retention.ms', value: '-1' }];
  await node.call('CreateTopics', 7, {
    topics: [{ name: 't', numPartitions: 1, replicationFactor: 1, configs }],
  });
  return node;
}

describe('DescribeConfigs', () => {
  it.each([1, 2, 3, 4])('version %i tells all settings of a topic', async (version) => {
    await using node = await nodeWithTopic({ 'message.max.bytes': '2000' });
    const resources = [{ resourceType: topicType, resourceName: 't', configurationKeys: null }];
    const asked = {
      resources,
      includeSynonyms: true,
      ...(version >= 3 ? { includeDocumentation: true } : {}),
    };
    const { results } = await node.call('DescribeConfigs', version, asked);
    expect(
      results.map(({ errorCode, resourceName, configs }) => [errorCode, resourceName, configs.length]),
    ).toEqual([[0, 't', 38]]);
    const find = (name: string) => results[0]?.configs.find((config) => config.name === name);
    expect(find('retention.ms')).toEqual({
      name: 'retention.ms',
      value: '-1',
      readOnly: false,
      configSource: 1,
      isSensitive: false,
      synonyms: [{ name: 'retention.ms', value: '-1', source: 1 }],
      configType: version >= 3 ? 5 : 0,
      documentation: version >= 3 ? expect.stringContaining('deleted') : '',
    });
    expect(find('max.message.bytes')).toMatchObject({
      value: '2000',
      configSource: 4,
      synonyms: [
        { name: 'message.max.bytes', value: '2000', source: 4 },
        { name: 'message.max.bytes', value: '1048588', source: 5 },
      ],
    });
  });

  it('gives only what is asked for', async () => {
    await using node = await nodeWithTopic();
    const resources = [
      { resourceType: topicType, resourceName: 't', configurationKeys: ['segment.ms', 'no.such'] },
      { resourceType: brokerType, resourceName: '1', configurationKeys: ['num.partitions'] },
    ];
    const { results } = await node.call('DescribeConfigs', 4, { resources });
    expect(results.map(({ configs }) => configs.map(({ name, value }) => [name, value]))).toEqual([
      [['segment.ms', '604800000']],
      [['num.partitions', '1']],
    ]);
    expect(results[0]?.configs[0]).toMatchObject({ synonyms: [], documentation: null });
  });

  it('tells of a broker what it honours, and of all brokers what was set at run time', async () => {
    await using node = await nodeWithTopic();
    const configs = [{ name: 'message.max.bytes', configOperation: set, value: '3000' }];
    await node.call('IncrementalAlterConfigs', 1, {
      resources: [{ resourceType: brokerType, resourceName: '', configs }],
    });
    const resources = ['1', ''].map((resourceName) => ({
      resourceType: brokerType,
      resourceName,
      configurationKeys: null,
    }));
    const { results } = await node.call('DescribeConfigs', 4, { resources });
    expect(results[0]?.configs.find(({ name }) => name === 'message.max.bytes')).toMatchObject({
      value: '3000',
      configSource: 3,
      readOnly: false,
    });
    expect(results[1]?.configs.map(({ name, value, configSource }) => [name, value, configSource])).toEqual([
      ['message.max.bytes', '3000', 3],
    ]);
  });

  it.each([
    [topicType, 'x', ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
    [topicType, 'x/y', ErrorCode.INVALID_TOPIC_EXCEPTION],
    [brokerType, '2', ErrorCode.INVALID_REQUEST],
    [brokerType, 'one', ErrorCode.INVALID_REQUEST],
    [32, '', ErrorCode.INVALID_REQUEST],
    [99, '', ErrorCode.INVALID_REQUEST],
  ])('refuses resource type %i named %j', async (resourceType, resourceName, errorCode) => {
    await using node = await nodeWithTopic();
    const resources = [{ resourceType, resourceName, configurationKeys: null }];
    const { results } = await node.call('DescribeConfigs', 4, { resources });
    expect(results).toEqual([
      { errorCode, errorMessage: expect.stringMatching(/\w{3}/), resourceType, resourceName, configs: [] },
    ]);
  });

  it('needs the right to see settings', async () => {
    await using node = await nodeWithTopic();
    node.authorize = () => false;
    const resources = [
      { resourceType: topicType, resourceName: 't', configurationKeys: null },
      { resourceType: brokerType, resourceName: '1', configurationKeys: null },
    ];
    const { results } = await node.call('DescribeConfigs', 4, { resources });
    expect(results.map(({ errorCode, configs }) => [errorCode, configs])).toEqual([
      [ErrorCode.TOPIC_AUTHORIZATION_FAILED, []],
      [ErrorCode.CLUSTER_AUTHORIZATION_FAILED, []],
    ]);
  });
});

describe('IncrementalAlterConfigs', () => {
  it.each([0, 1])('version %i alters each resource by itself, and counts at once', async (version) => {
    await using node = await nodeWithTopic();
    const live = node.services.cluster.topicConfig('t');
    const change = (resourceType: number, resourceName: string, name: string, value: string) => ({
      resourceType,
      resourceName,
      configs: [{ name, configOperation: set, value }],
    });
    const resources = [
      change(topicType, 't', 'max.message.bytes', '77'),
      change(topicType, 'x', 'max.message.bytes', '77'),
      change(brokerType, '1', 'num.partitions', '3'),
      change(brokerType, '1', 'max.connections', '5'),
    ];
    const { responses } = await node.call('IncrementalAlterConfigs', version, { resources });
    expect(responses.map(({ resourceName, errorCode }) => [resourceName, errorCode])).toEqual([
      ['t', 0],
      ['x', ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
      ['1', ErrorCode.INVALID_REQUEST],
      ['1', ErrorCode.INVALID_REQUEST],
    ]);
    expect(live.maxMessageBytes).toBe(77);
  });

  it('only validates when asked to, and needs the right to alter', async () => {
    await using node = await nodeWithTopic();
    const alter = async (validateOnly: boolean) => {
      const configs = [{ name: 'segment.ms', configOperation: set, value: '9' }];
      const resources = [
        { resourceType: topicType, resourceName: 't', configs },
        { resourceType: brokerType, resourceName: '', configs: [] },
      ];
      const { responses } = await node.call('IncrementalAlterConfigs', 1, { resources, validateOnly });
      return responses.map(({ errorCode }) => errorCode);
    };
    expect(await alter(true)).toEqual([0, 0]);
    node.authorize = () => false;
    expect(await alter(false)).toEqual([
      ErrorCode.TOPIC_AUTHORIZATION_FAILED,
      ErrorCode.CLUSTER_AUTHORIZATION_FAILED,
    ]);
    expect(node.services.cluster.topicConfig('t').segmentMs).toBe(604_800_000);
  });
});

describe('AlterConfigs', () => {
  it.each([0, 1, 2])('version %i puts the new settings in the place of all', async (version) => {
    await using node = await nodeWithTopic();
    const configs = [{ name: 'segment.ms', value: '9' }];
    const resources = [
      { resourceType: topicType, resourceName: 't', configs },
      { resourceType: topicType, resourceName: 'x', configs },
    ];
    const { responses } = await node.call('AlterConfigs', version, { resources });
    expect(responses.map(({ errorCode }) => errorCode)).toEqual([0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]);
    expect(node.services.cluster.topicConfig('t')).toMatchObject({ segmentMs: 9, retentionMs: 604_800_000 });
  });
});

describe('ListConfigResources', () => {
  it('names topics and brokers; version 0 only subscriptions, of which there are none', async () => {
    await using node = await nodeWithTopic();
    const list = async (version: number, resourceTypes: number[]) => {
      const answer = await node.call('ListConfigResources', version, { resourceTypes });
      return [
        answer.errorCode,
        answer.configResources.map((resource) => [resource.resourceType, resource.resourceName]),
      ];
    };
    const all = [
      [topicType, 't'],
      [brokerType, '1'],
    ];
    expect(await list(0, [])).toEqual([0, []]);
    expect(await list(1, [])).toEqual([0, all]);
    expect(await list(1, [brokerType, 32])).toEqual([0, [[brokerType, '1']]]);
    expect(await list(1, [topicType, 3])).toEqual([ErrorCode.UNSUPPORTED_VERSION, []]);
    node.authorize = () => false;
    expect(await list(1, [])).toEqual([ErrorCode.CLUSTER_AUTHORIZATION_FAILED, []]);
  });
});

/** Settings of groups over the wire: altered, described, listed, and there again after a restart. */
import { expect, it } from 'vitest';
import { consumerGroupSettings } from '../../broker/config/consumer-group-settings.ts';
import { MemoryDisk } from '../../platform/memory-disk.ts';
import { ErrorCode } from '../../protocol/index.ts';
import { embed } from './embedded.ts';
import type { WireConnection } from './wire-connection.ts';

const groupType = 32;
const sessionTimeout = 'consumer.session.timeout.ms';
const [set, remove] = [0, 1];

async function alter(
  connection: WireConnection,
  group: string,
  settings: Record<string, string | null>,
): Promise<unknown[]> {
  const configs = Object.entries(settings).map(([name, value]) => ({
    name,
    configOperation: value === null ? remove : set,
    value,
  }));
  const { responses } = await connection.call('IncrementalAlterConfigs', 1, {
    resources: [{ resourceType: groupType, resourceName: group, configs }],
    validateOnly: false,
  });
  return responses.map(({ errorCode, errorMessage }) => [errorCode, errorMessage]);
}

async function describeGroup(connection: WireConnection, group: string): Promise<unknown[]> {
  const { results } = await connection.call('DescribeConfigs', 4, {
    resources: [{ resourceType: groupType, resourceName: group, configurationKeys: null }],
    includeSynonyms: true,
    includeDocumentation: false,
  });
  return results.flatMap(({ errorCode, configs }) => [
    errorCode,
    ...configs.map(({ name, value, configSource, synonyms }) => [
      name,
      value,
      configSource,
      synonyms.map((synonym) => [synonym.name, synonym.value, synonym.source]),
    ]),
  ]);
}

async function listGroups(connection: WireConnection): Promise<string[]> {
  const { configResources } = await connection.call('ListConfigResources', 1, { resourceTypes: [groupType] });
  return configResources.map(({ resourceName }) => resourceName);
}

it('refuses what a group cannot have, and keeps nothing of it', async () => {
  await using node = await embed();
  const connection = await node.connect();
  const noShareGroups = expect.stringContaining('Kappalog has no share groups');
  expect(await alter(connection, 'g', { 'share.session.timeout.ms': '45000' })).toEqual([
    [ErrorCode.INVALID_CONFIG, noShareGroups],
  ]);
  expect(await alter(connection, 'g', { 'no.such': '1' })).toEqual([
    [ErrorCode.INVALID_CONFIG, 'Unknown group config name: no.such.'],
  ]);
  expect(await alter(connection, '', {})).toEqual([
    [ErrorCode.INVALID_REQUEST, expect.stringContaining('group')],
  ]);
  expect(await listGroups(connection)).toEqual([]);
  const names = [...consumerGroupSettings.keys()];
  const described = await describeGroup(connection, 'g');
  expect(described.slice(1).map((entry) => (Array.isArray(entry) ? entry[0] : undefined))).toEqual(names);
  expect(described[0]).toBe(ErrorCode.NONE);
});

it('keeps the settings of a group over a restart', async () => {
  const disk = new MemoryDisk();
  const expected = [
    0,
    ['consumer.assignment.interval.ms', '1000', 5, [['group.consumer.assignment.interval.ms', '1000', 5]]],
    ['consumer.heartbeat.interval.ms', '5000', 5, [['group.consumer.heartbeat.interval.ms', '5000', 5]]],
    [
      sessionTimeout,
      '50000',
      8,
      [
        [sessionTimeout, '50000', 8],
        ['group.consumer.session.timeout.ms', '45000', 5],
      ],
    ],
  ];
  {
    await using node = await embed({ disk });
    const connection = await node.connect();
    expect(await alter(connection, 'g', { [sessionTimeout]: '50000' })).toEqual([[0, null]]);
    expect(await alter(connection, 'h', { [sessionTimeout]: '50000' })).toEqual([[0, null]]);
    expect(await alter(connection, 'h', { [sessionTimeout]: null })).toEqual([[0, null]]);
    expect(await alter(connection, 'g', { [sessionTimeout]: '60001' })).toEqual([
      [ErrorCode.INVALID_CONFIG, expect.stringContaining('group.consumer.max.session.timeout.ms (60000)')],
    ]);
    expect(await describeGroup(connection, 'g')).toEqual(expected);
  }
  await using node = await embed({ disk });
  const connection = await node.connect();
  expect(await describeGroup(connection, 'g')).toEqual(expected);
  expect(await listGroups(connection)).toEqual(['g']);
  const { responses } = await connection.call('AlterConfigs', 2, {
    resources: [{ resourceType: groupType, resourceName: 'g', configs: [] }],
    validateOnly: false,
  });
  expect(responses.map(({ errorCode }) => errorCode)).toEqual([0]);
  expect(await listGroups(connection)).toEqual([]);
});

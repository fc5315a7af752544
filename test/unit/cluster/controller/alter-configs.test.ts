import { describe, expect, it } from 'vitest';
import {
  ConfigOperation,
  decideAlterConfigs,
  decideReplaceConfigs,
} from '../../../../broker/cluster/controller/alter-configs.ts';
import type { ResourceAlteration } from '../../../../broker/cluster/controller/alter-configs.ts';
import { decideCreateTopics } from '../../../../broker/cluster/controller/create-topics.ts';
import { carryOut, stateOf, topicNamed } from '../cluster-fixtures.ts';
import type { TestState } from '../cluster-fixtures.ts';

const { SET, DELETE, APPEND, SUBTRACT } = ConfigOperation;
const topicType = 2;
const brokerType = 4;

function alteration(
  resourceType: number,
  resourceName: string,
  ...changes: (readonly [name: string, operation: number, value: string | null])[]
): ResourceAlteration {
  const configs = changes.map(([name, configOperation, value]) => ({ name, configOperation, value }));
  return { resourceType, resourceName, configs };
}

function stateWithTopic(): TestState {
  const state = stateOf({});
  const configs = [{ name: 'retention.ms', value: '100' }];
  carryOut(state, decideCreateTopics(state, [topicNamed('t', { configs })]));
  return state;
}

describe('altering single settings', () => {
  it('sets, deletes, and leaves the rest', () => {
    const state = stateWithTopic();
    const { result } = carryOut(
      state,
      decideAlterConfigs(state, [
        alteration(topicType, 't', ['segment.ms', SET, '5'], ['flush.ms', SET, '7']),
      ]),
    );
    expect(result).toEqual([{ resourceType: topicType, resourceName: 't' }]);
    expect([...state.image.settings(topicType, 't')]).toEqual([
      ['retention.ms', '100'],
      ['segment.ms', '5'],
      ['flush.ms', '7'],
    ]);
    const removal = alteration(topicType, 't', ['retention.ms', DELETE, null], ['preallocate', DELETE, null]);
    const decision = decideAlterConfigs(state, [removal]);
    expect(decision.records).toHaveLength(1);
    carryOut(state, decision);
    expect([...state.image.settings(topicType, 't').keys()]).toEqual(['segment.ms', 'flush.ms']);
  });

  it('appends to a list what is not there and subtracts what is, beginning with the default', () => {
    const state = stateWithTopic();
    const change = (operation: number, value: string) => {
      const decision = decideAlterConfigs(state, [
        alteration(topicType, 't', ['cleanup.policy', operation, value]),
      ]);
      carryOut(state, decision);
      return [decision.result[0]?.refusal?.error, state.image.settings(topicType, 't').get('cleanup.policy')];
    };
    expect(change(APPEND, 'compact')).toEqual([undefined, 'delete,compact']);
    expect(change(APPEND, 'compact')).toEqual([undefined, 'delete,compact']);
    expect(change(SUBTRACT, 'delete')).toEqual([undefined, 'compact']);
    expect(change(SUBTRACT, 'compact')).toEqual([undefined, '']);
    expect(change(APPEND, 'nonsense')).toEqual(['INVALID_CONFIG', '']);
  });

  it('writes nothing for a value that is there already', () => {
    const state = stateWithTopic();
    const decision = decideAlterConfigs(state, [alteration(topicType, 't', ['retention.ms', SET, '100'])]);
    expect(decision).toEqual({ records: [], result: [{ resourceType: topicType, resourceName: 't' }] });
  });

  it('takes all changes of a resource or none, and each resource by itself', () => {
    const state = stateWithTopic();
    const decision = decideAlterConfigs(state, [
      alteration(topicType, 't', ['segment.ms', SET, '5'], ['retention.ms', SET, 'soon']),
      alteration(brokerType, '', ['message.max.bytes', SET, '2000']),
    ]);
    expect(decision.result.map(({ refusal }) => refusal)).toEqual([
      {
        error: 'INVALID_CONFIG',
        message: 'Invalid value soon for configuration retention.ms: it is not a number of type LONG.',
      },
      undefined,
    ]);
    carryOut(state, decision);
    expect([...state.image.settings(topicType, 't')]).toEqual([['retention.ms', '100']]);
    expect([...state.image.settings(brokerType, '')]).toEqual([['message.max.bytes', '2000']]);
  });

  it.each([
    [
      [topicType, 'x', 'retention.ms', SET, '1'],
      'UNKNOWN_TOPIC_OR_PARTITION',
      "The topic 'x' does not exist.",
    ],
    [
      [topicType, '', 'retention.ms', SET, '1'],
      'INVALID_REQUEST',
      'Default topic resources are not allowed. Name a topic.',
    ],
    [
      [topicType, '..', 'retention.ms', SET, '1'],
      'INVALID_TOPIC_EXCEPTION',
      "Topic name is invalid: '..' is not allowed, as it would name a directory. Choose another one.",
    ],
    [
      [topicType, 't', 'retention.mss', SET, '1'],
      'INVALID_CONFIG',
      'Unknown topic config name: retention.mss. Look for a slip of the pen; DescribeConfigs lists all names.',
    ],
    [
      [topicType, 't', 'retention.ms', SET, null],
      'INVALID_REQUEST',
      'Null value not supported for : retention.ms',
    ],
    [
      [topicType, 't', 'retention.ms', APPEND, '1'],
      'INVALID_CONFIG',
      "Can't APPEND to key retention.ms because its type is not LIST. Set it to a value instead.",
    ],
    [
      [topicType, 't', 'retention.ms', SUBTRACT, '1'],
      'INVALID_CONFIG',
      "Can't SUBTRACT to key retention.ms because its type is not LIST. Set it to a value instead.",
    ],
    [
      [topicType, 't', 'retention.ms', 9, '1'],
      'INVALID_REQUEST',
      'Unknown operation 9 for the setting retention.ms.',
    ],
    [
      [brokerType, '1', 'num.partitions', SET, '3'],
      'INVALID_REQUEST',
      'Cannot update these configs dynamically: num.partitions. Set it when the broker starts (--set num.partitions=...).',
    ],
    [
      [brokerType, '1', 'num.io.threads', SET, '3'],
      'INVALID_REQUEST',
      '"num.io.threads" is a Kafka setting that Kappalog does not honour; leave it out.',
    ],
    [
      [brokerType, '1', 'message.max.bytes', SET, '-3'],
      'INVALID_REQUEST',
      'The value "-3" of the setting "message.max.bytes" cannot be taken: it must be at least 0.',
    ],
    [
      [brokerType, '8', 'message.max.bytes', SET, '3'],
      'INVALID_REQUEST',
      'Unexpected broker id 8; the cluster has: 1.',
    ],
    [
      [brokerType, 'one', 'message.max.bytes', SET, '3'],
      'INVALID_REQUEST',
      'Broker id must be a number, but it is: one',
    ],
    [
      [32, 'g', 'share.session.timeout.ms', SET, '45000'],
      'INVALID_CONFIG',
      'Invalid value 45000 for configuration share.session.timeout.ms: Kappalog has no share groups. Leave it out.',
    ],
    [
      [32, '', 'consumer.session.timeout.ms', SET, '50000'],
      'INVALID_REQUEST',
      'Default group resources are not allowed. Name a group.',
    ],
    [
      [16, 'g', 'interval.ms', SET, '3'],
      'INVALID_REQUEST',
      'Settings of resource type 16 cannot be altered here: topics (2), brokers (4) and groups (32) can.',
    ],
  ] as [[number, string, string, number, string | null], string, string][])(
    'refuses %j',
    ([resourceType, resourceName, name, operation, value], error, message) => {
      const asked = alteration(resourceType, resourceName, [name, operation, value]);
      expect(decideAlterConfigs(stateWithTopic(), [asked])).toEqual({
        records: [],
        result: [{ resourceType, resourceName, refusal: { error, message } }],
      });
    },
  );

  it('refuses a resource that stands twice and a setting that stands twice', () => {
    const state = stateWithTopic();
    const once = alteration(topicType, 't', ['segment.ms', SET, '5']);
    const errors = (resources: ResourceAlteration[]) =>
      decideAlterConfigs(state, resources).result.map(({ refusal }) => refusal?.message);
    expect(errors([once, once])).toEqual([
      'Each resource must appear at most once.',
      'Each resource must appear at most once.',
    ]);
    expect(errors([alteration(topicType, 't', ['segment.ms', SET, '5'], ['segment.ms', SET, '6'])])).toEqual([
      'Error due to duplicate config keys: each setting must appear at most once.',
    ]);
  });

  it('lets a broker keep what it was given by a version that honoured more', () => {
    const state = stateOf({});
    const old = { resourceType: brokerType, resourceName: '', name: 'num.io.threads', value: '5' };
    carryOut(state, { records: [{ type: 'ConfigRecord', value: old }], result: undefined });
    const decision = decideAlterConfigs(state, [alteration(brokerType, '', ['max.connections', SET, '9'])]);
    expect(decision.result).toEqual([{ resourceType: brokerType, resourceName: '' }]);
    expect(decision.records).toHaveLength(1);
  });

  it('checks new settings together with those that stay', () => {
    const state = stateWithTopic();
    carryOut(
      state,
      decideAlterConfigs(state, [alteration(topicType, 't', ['max.compaction.lag.ms', SET, '9'])]),
    );
    const decision = decideAlterConfigs(state, [
      alteration(topicType, 't', ['min.compaction.lag.ms', SET, '10']),
    ]);
    expect(decision.result[0]?.refusal?.error).toBe('INVALID_CONFIG');
  });
});

describe('replacing all settings', () => {
  it('sends what is left out back to its default', () => {
    const state = stateWithTopic();
    const configs = [{ name: 'segment.ms', value: '5' }];
    carryOut(state, decideReplaceConfigs(state, [{ resourceType: topicType, resourceName: 't', configs }]));
    expect([...state.image.settings(topicType, 't')]).toEqual([['segment.ms', '5']]);
  });

  it('refuses a null value and changes nothing', () => {
    const configs = [{ name: 'segment.ms', value: null }];
    const asked = { resourceType: topicType, resourceName: 't', configs };
    const decision = decideReplaceConfigs(stateWithTopic(), [asked]);
    expect(decision.records).toEqual([]);
    expect(decision.result[0]?.refusal?.message).toBe('Null value not supported for : segment.ms');
  });
});

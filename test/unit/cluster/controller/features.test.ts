import { describe, expect, it } from 'vitest';
import { decideBootstrap } from '../../../../broker/cluster/controller/controller.ts';
import { decideUpdateFeatures, servedFeatures } from '../../../../broker/cluster/controller/features.ts';
import { decideRegistration } from '../../../../broker/cluster/controller/registration.ts';
import { carryOut, stateOf, uuid } from '../cluster-fixtures.ts';
import type { TestState } from '../cluster-fixtures.ts';

const name = 'metadata.version';

function bootstrapped(): TestState {
  const state = stateOf({ nodes: [] });
  carryOut(state, decideBootstrap(state.image));
  return state;
}

function update(level: number, rest: { name?: string; allowDowngrade?: boolean } = {}) {
  return { name, level, allowDowngrade: false, ...rest };
}

describe('levels of features', () => {
  it('are written once for a new cluster', () => {
    const state = bootstrapped();
    expect([...state.image.features]).toEqual([
      [name, 30],
      ['group.version', 1],
    ]);
    expect(decideBootstrap(state.image).records).toEqual([]);
  });

  it('stay as they are where they are what is asked for', () => {
    const state = bootstrapped();
    expect(carryOut(state, decideUpdateFeatures(state, [update(30)])).result).toEqual([{ name }]);
    expect(state.log).toHaveLength(2);
  });

  it.each([
    ['below what is supported', [update(29)], 'supports levels 30 to 30 of metadata.version; 29 is outside'],
    ['above it', [update(34)], '34 is outside'],
    ['none at all', [update(0, { allowDowngrade: true })], '0 is outside'],
    ['of a feature that nobody knows', [update(1, { name: 'x' })], 'does not support the feature x'],
    ['twice', [update(30), update(30)], 'more than once'],
  ])('are refused: %s', (_, updates, message) => {
    const state = bootstrapped();
    const { records, result } = decideUpdateFeatures(state, updates);
    expect(records).toEqual([]);
    expect(result[0]?.refusal?.message).toContain(message);
  });

  it('are refused as a whole where one is', () => {
    const state = stateOf({ nodes: [] });
    const { records, result } = decideUpdateFeatures(state, [update(30), update(1, { name: 'x' })]);
    expect(records).toEqual([]);
    expect(result.map(({ refusal }) => refusal?.error)).toEqual([undefined, 'INVALID_UPDATE_VERSION']);
    expect(decideUpdateFeatures(state, [update(30)]).records).toHaveLength(1);
  });

  it('are refused where a node could not serve them', () => {
    const state = bootstrapped();
    carryOut(state, {
      records: [{ type: 'RegisterBrokerRecord', value: { brokerId: 4, incarnationId: uuid(1) } }],
      result: undefined,
    });
    expect(decideUpdateFeatures(state, [update(30)]).result[0]?.refusal?.message).toBe(
      'Node 4 does not support level 30 of metadata.version. Upgrade it, or unregister it.',
    );
  });

  it('keep a node out that cannot serve what the cluster has agreed on', () => {
    const state = stateOf({ nodes: [] });
    carryOut(state, {
      records: [{ type: 'FeatureLevelRecord', value: { name: 'of.the.future', featureLevel: 3 } }],
      result: undefined,
    });
    const { records, result } = decideRegistration(state, {
      nodeId: 1,
      incarnationId: uuid(1),
      endpoints: [],
      rack: null,
      host: null,
      logDirectories: [],
      features: servedFeatures(),
    });
    expect(records).toEqual([]);
    expect(result).toEqual({
      kind: 'refused',
      error: 'UNSUPPORTED_VERSION',
      message: 'Node 1 does not support level 3 of of.the.future, which this cluster has agreed on.',
    });
  });

  it('are what each node serves of them, whatever the release of the controller', () => {
    const state = bootstrapped();
    const register = (nodeId: number, minSupportedVersion: number, maxSupportedVersion: number): string => {
      const features = [{ name, minSupportedVersion, maxSupportedVersion }, ...servedFeatures().slice(1)];
      const node = { nodeId, incarnationId: uuid(nodeId), endpoints: [], rack: null, host: null };
      const decision = decideRegistration(state, { ...node, logDirectories: [], features });
      if (decision.result.kind === 'refused') return decision.result.message;
      carryOut(state, decision);
      return 'registered';
    };
    expect(register(1, 30, 31)).toBe('registered');
    expect(register(2, 31, 32)).toBe(
      'Node 2 does not support level 30 of metadata.version, which this cluster has agreed on.',
    );
    expect([...state.image.brokers.values()].map(({ features }) => features)).toEqual([
      [{ name, minSupportedVersion: 30, maxSupportedVersion: 31 }, ...servedFeatures().slice(1)],
    ]);
  });
});

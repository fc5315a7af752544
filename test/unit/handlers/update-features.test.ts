import { describe, expect, it } from 'vitest';
import { ErrorCode } from '../../../protocol/index.ts';
import { serveNode } from './served-node.ts';

const feature = 'metadata.version';

describe('UpdateFeatures', () => {
  it.each([0, 1, 2])(
    'version %i takes the level that there is, and says why not another',
    async (version) => {
      await using node = await serveNode();
      const level = node.services.cluster.image.features.get(feature)!;
      const same = await node.call('UpdateFeatures', version, {
        featureUpdates: [{ feature, maxVersionLevel: level }],
      });
      expect(same).toMatchObject({ errorCode: ErrorCode.NONE, errorMessage: null });
      const other = await node.call('UpdateFeatures', version, {
        featureUpdates: [{ feature, maxVersionLevel: level + 1 }],
      });
      const errors = [other.errorCode, ...other.results.map(({ errorCode }) => errorCode)];
      const { NONE, INVALID_UPDATE_VERSION } = ErrorCode;
      expect(errors).toEqual(version < 2 ? [NONE, INVALID_UPDATE_VERSION] : [INVALID_UPDATE_VERSION]);
      expect(node.services.cluster.image.features.get(feature)).toBe(level);
    },
  );

  it('needs rights on the cluster, and upgrade types that there are', async () => {
    await using node = await serveNode();
    const odd = await node.call('UpdateFeatures', 1, {
      featureUpdates: [{ feature, maxVersionLevel: 1, upgradeType: 9 }],
    });
    expect(odd.errorCode).toBe(ErrorCode.INVALID_REQUEST);
    node.authorize = () => false;
    const refused = await node.call('UpdateFeatures', 1, { featureUpdates: [] });
    expect(refused.errorCode).toBe(ErrorCode.CLUSTER_AUTHORIZATION_FAILED);
  });
});

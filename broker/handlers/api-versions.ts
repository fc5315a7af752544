/**
 * ApiVersions: what this node serves, computed from its handlers.
 *
 * A version that is too new is answered in the form of version 0 with UNSUPPORTED_VERSION and the same list, on a
 * connection that stays open (the dispatcher passes no request then). Produce is announced from version 0 although only 3
 * and later are served: older librdkafka looks for it (KAFKA-18659), as Kafka does. From version 3 a client says its
 * software's name and version, which must be plain words; from version 5 it may say which cluster and node it expects.
 */
import { apis, ErrorCode } from '../../protocol/index.ts';
import { supportedFeatures } from '../cluster/controller/features.ts';
import { defineHandler } from './handler.ts';
import type { AnyHandler, RequestContext } from './handler.ts';

const softwareWord = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/;

export const apiVersions = defineHandler({
  api: 'ApiVersions',
  versions: [0, 5],
  handle(context, request) {
    const apiKeys = announced(context.node.handlers);
    if (request === undefined) return { errorCode: ErrorCode.UNSUPPORTED_VERSION, apiKeys };
    if (context.apiVersion >= 3) {
      const { clientSoftwareName, clientSoftwareVersion } = request;
      if (!softwareWord.test(clientSoftwareName) || !softwareWord.test(clientSoftwareVersion)) {
        return { errorCode: ErrorCode.INVALID_REQUEST };
      }
    }
    return { errorCode: ErrorCode.NONE, apiKeys, throttleTimeMs: 0, ...features(context) };
  },
});

function announced(
  handlers: readonly AnyHandler[],
): { apiKey: number; minVersion: number; maxVersion: number }[] {
  const byName = new Map(apis.map((api) => [api.name, api]));
  return handlers
    .map(({ api, versions: [min, max] }) => {
      const { key, min: knownMin, advertisedMin } = byName.get(api)!;
      return { apiKey: key, minVersion: min === knownMin ? advertisedMin : min, maxVersion: max };
    })
    .sort((a, b) => a.apiKey - b.apiKey);
}

/** From version 3: what this build could serve, and what the cluster has agreed on. */
function features({ apiVersion, node }: RequestContext): object {
  if (apiVersion < 3) return {};
  return {
    supportedFeatures: [...supportedFeatures].map(([name, { min, max }]) => ({
      name,
      // Clients that know no version 4 cannot read 0 (KAFKA-17011).
      minVersion: apiVersion < 4 ? Math.max(min, 1) : min,
      maxVersion: max,
    })),
    finalizedFeatures: [...node.cluster.image.features].map(([name, level]) => ({
      name,
      minVersionLevel: level,
      maxVersionLevel: level,
    })),
    finalizedFeaturesEpoch: node.cluster.image.endOffset,
  };
}

/** Whether this cluster serves groups of the consumer protocol (KIP-848) at present. */
import { ErrorCode } from '../../protocol/index.ts';
import { consumerProtocolConfigOf } from '../groups/group-config.ts';
import type { RequestContext } from './handler.ts';

const feature = 'group.version';

/** What to answer where it does not; undefined where it does. */
export function consumerGroupsRefusal({ node }: RequestContext) {
  const errorCode = ErrorCode.UNSUPPORTED_VERSION;
  if ((node.cluster.image.features.get(feature) ?? 0) < 1) {
    const errorMessage = `Groups of the consumer protocol need level 1 of the feature ${feature}: raise it with kafka-features.sh.`;
    return { errorCode, errorMessage };
  }
  if (consumerProtocolConfigOf(node.config).isServed) return undefined;
  const errorMessage = `Groups of the consumer protocol are not served: group.coordinator.rebalance.protocols names no "consumer".`;
  return { errorCode, errorMessage };
}

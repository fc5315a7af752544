/** The one place that knows which protocols there are. */
import type { Cluster } from '../cluster/cluster.ts';
import { ClassicMembership, type ClassicOptions } from './classic-membership.ts';
import { ConsumerMembership } from './consumer-membership.ts';
import type { ConsumerProtocolOptions } from './heartbeat-request.ts';
import type { Membership, MembershipEvents } from './membership.ts';

export type GroupOptions =
  | ({ readonly protocol: 'classic' } & ClassicOptions)
  | ({ readonly protocol: 'consumer' } & ConsumerProtocolOptions);

/** Does nothing before its `start`. */
export function joinGroup(cluster: Cluster, options: GroupOptions, events: MembershipEvents): Membership {
  return options.protocol === 'classic'
    ? new ClassicMembership(cluster, options, events)
    : new ConsumerMembership(cluster, options, events);
}

/** Groups as HTTP and the metrics show them. docs/operations.md says what each figure means. */
import type { GroupLag } from '../groups/lag/group-lag.ts';

export interface GroupSummary {
  readonly groupId: string;
  readonly protocol: 'classic' | 'consumer';
  readonly state: string;
  readonly memberCount: number;
  /** Null where it is not watched: nothing is committed, or it was not looked at yet, or there are too many. */
  readonly lag: Omit<GroupLag, 'partitions'> | null;
}

export interface DescribedGroup extends Omit<GroupSummary, 'lag'> {
  readonly members: readonly {
    readonly memberId: string;
    readonly instanceId: string | null;
    readonly clientId: string;
    readonly clientHost: string;
  }[];
  readonly lag: GroupLag | null;
}

export type GroupAnswer =
  | { readonly kind: 'found'; readonly group: DescribedGroup }
  /** No group of this id is coordinated here, where it would be. */
  | { readonly kind: 'unknown' }
  /** Another node coordinates it; null: none is known at present. */
  | { readonly kind: 'elsewhere'; readonly coordinator: number | null }
  | { readonly kind: 'loading' };

export interface GroupsView {
  /** Those that this node coordinates. */
  all(): Iterable<GroupSummary>;
  one(groupId: string): GroupAnswer;
  /** Of all that are watched. */
  lags(): Iterable<readonly [groupId: string, lag: GroupLag]>;
  /** Partitions that groups have committed and that are not watched, as there are too many. */
  leftOut(): number;
}

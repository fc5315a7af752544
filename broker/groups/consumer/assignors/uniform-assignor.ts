/**
 * Gives every member as many partitions as any other, as far as subscriptions allow it, and takes from nobody more than that needs.
 * To the ends of Kafka's server-side UniformAssignor, by means of our own. Racks play no part, as they play none there.
 *
 * With equal subscriptions the members' counts differ by at most one, and no assignment that is as even moves fewer partitions. With
 * differing ones no assignment is more even: no partition, nor any chain of partitions that hand each other on, can be moved so that the
 * counts come closer to each other (Kafka looks at single partitions, and at most 16 times at each topic). In both
 * cases nothing moves where that holds already.
 */
import type { Assignor } from './assignor.ts';
import { shareByDifferingSubscriptions } from './differing-subscriptions.ts';
import { shareByEqualSubscriptions } from './equal-subscriptions.ts';
import { indexGroup } from './indexed-group.ts';
import { assignmentOf, Shares } from './shares.ts';

export const uniformAssignor: Assignor = {
  name: 'uniform',
  assign(input) {
    const group = indexGroup(input);
    const shares = new Shares(group);
    if (group.hasEqualSubscriptions) shareByEqualSubscriptions(group, shares);
    else shareByDifferingSubscriptions(group, shares);
    return assignmentOf(group, shares);
  },
};

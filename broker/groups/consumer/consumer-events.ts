/** What time brings about in consumer groups, and what happens once their log has been replayed. */
import type { GroupTimerEvent } from '../group-commands.ts';
import type { GroupStep } from '../group-step.ts';
import { maybeAssign } from './assigning.ts';
import type { ConsumerGroup } from './consumer-group.ts';
import { onConsumerSessionTimeout, onRevocationTimeout } from './consumer-leaving.ts';
import { armMemberSession, watchRevocation } from './consumer-step.ts';

export function expireInConsumerGroup(step: GroupStep, group: ConsumerGroup, event: GroupTimerEvent): void {
  switch (event.kind) {
    case 'session':
      return onConsumerSessionTimeout(step, group, event.memberId);
    case 'revocation':
      return onRevocationTimeout(step, group, event.memberId);
    case 'assignment':
      return maybeAssign(step, group);
    default:
    // Timers of a classic group that was here before.
  }
}

/** Members' sessions, and the time that they have for giving up partitions, start anew. */
export function activateConsumerGroup(step: GroupStep, group: ConsumerGroup): void {
  group.replayed();
  for (const member of group.members.values()) {
    armMemberSession(step, group, member.memberId);
    watchRevocation(step, group, { before: undefined, after: member });
  }
  maybeAssign(step, group);
}

/** Subscriptions by pattern, when topics have come or gone: who looks for them, outside of the machine, says what matches now. */
import { ErrorCode } from '../../../protocol/index.ts';
import type { RequestId } from '../../coordinator/state-machine.ts';
import type { GroupStep } from '../group-step.ts';
import { maybeAssign } from './assigning.ts';
import type { RefreshPatternsCommand } from './consumer-commands.ts';
import { ConsumerGroup } from './consumer-group.ts';
import { noticeTopics, setPattern } from './consumer-step.ts';

export function refreshPatterns(step: GroupStep, command: RefreshPatternsCommand, request: RequestId): void {
  const group = step.groups.get(command.groupId);
  if (group instanceof ConsumerGroup) refresh(step, group, command);
  step.effects.reply(request, { errorCode: ErrorCode.NONE });
}

function refresh(step: GroupStep, group: ConsumerGroup, { patterns }: RefreshPatternsCommand): void {
  for (const [pattern, topics] of patterns) {
    const known = group.patterns.get(pattern)?.topics;
    // Who named it has gone meanwhile, or named another.
    if (!group.isPatternUsed(pattern) || known?.join('\n') === topics.join('\n')) continue;
    setPattern(step, group, [pattern, { topics, resolvedAtMs: step.effects.wallMs }]);
    group.topicsVersion = undefined;
  }
  noticeTopics(step, group);
  maybeAssign(step, group);
}

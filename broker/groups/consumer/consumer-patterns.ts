/** Subscriptions by pattern: who looks for the topics, outside of the machine, is told when it is time and says what matches now. */
import { ErrorCode } from '../../../protocol/index.ts';
import type { RequestId } from '../../coordinator/state-machine.ts';
import type { GroupStep } from '../group-step.ts';
import { maybeAssign } from './assigning.ts';
import type { RefreshPatternsCommand, RefreshPatternsReply } from './consumer-commands.ts';
import { ConsumerGroup } from './consumer-group.ts';
import { encodeConsumerRecord } from './consumer-records.ts';
import { bumpEpoch, noticeTopics, setPattern } from './consumer-step.ts';

/**
 * Patterns that topics are to be looked for anew: topics may have come or gone since, or it was long ago, and who may see which
 * topics may have changed.
 */
export function stalePatterns(step: GroupStep, group: ConsumerGroup): readonly string[] {
  if (group.patterns.size === 0) return [];
  const ageMs = step.effects.wallMs - group.patternsRefreshedAtMs;
  const { patternRefreshIntervalMs } = step.consumerConfig(group.groupId);
  // Of a wall clock that was set back nothing is known.
  const isRecent = ageMs >= 0 && ageMs < patternRefreshIntervalMs;
  return isRecent && group.patternsVersion === step.topics.version ? [] : [...group.patterns.keys()];
}

export function refreshPatterns(step: GroupStep, command: RefreshPatternsCommand, request: RequestId): void {
  const group = step.groups.get(command.groupId);
  const tooLarge = group instanceof ConsumerGroup ? refresh(step, group, command) : [];
  step.effects.reply(request, { errorCode: ErrorCode.NONE, tooLarge } satisfies RefreshPatternsReply);
}

function refresh(
  step: GroupStep,
  group: ConsumerGroup,
  { patterns, topicsVersion }: RefreshPatternsCommand,
): readonly string[] {
  const tooLarge: string[] = [];
  let hasChanged = false;
  for (const [pattern, topics] of patterns) {
    const known = group.patterns.get(pattern)?.topics;
    // Who named it has gone meanwhile, or named another.
    if (!group.isPatternUsed(pattern) || known?.join('\n') === topics.join('\n')) continue;
    const resolved = { topics, resolvedAtMs: step.effects.wallMs };
    if (isRecordable(step, group, [pattern, resolved])) {
      setPattern(step, group, [pattern, resolved]);
      hasChanged ||= (known ?? []).join('\n') !== topics.join('\n');
    } else tooLarge.push(pattern);
  }
  group.patternsVersion = topicsVersion;
  group.patternsRefreshedAtMs = step.effects.wallMs;
  // Who reads what may change also where the group as a whole has the same topics as before.
  if (hasChanged) bumpEpoch(step, group);
  else noticeTopics(step, group);
  maybeAssign(step, group);
  return tooLarge;
}

function isRecordable(
  step: GroupStep,
  { groupId }: ConsumerGroup,
  [pattern, value]: Parameters<typeof setPattern>[2],
): boolean {
  const record = encodeConsumerRecord({ kind: 'pattern', group: groupId, pattern, value });
  return record.key.length + (record.value?.length ?? 0) <= step.effects.recordSizeBytesMax;
}

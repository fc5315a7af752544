/**
 * What a coordinator does for members that subscribe by a pattern, beside the state machine: finds the topics that match when a member
 * names a pattern, and again when the machine says that what it knows may be out of date. One search for a group at a time.
 */
import type { Clock } from '../../../platform/clock.ts';
import { ErrorCode } from '../../../protocol/index.ts';
import type { Outcome } from '../../coordinator/shard.ts';
import { replyTo } from '../group-commands.ts';
import type { GroupReply } from '../group-commands.ts';
import type { ConsumerRefusal, RefreshPatternsCommand } from './consumer-commands.ts';
import { MatchingTopics } from './matching-topics.ts';
import { TopicPatternError } from './topic-pattern.ts';
import type { TopicsView } from './topics-view.ts';

export interface PatternSubscriptionsOptions {
  readonly clock: Clock;
  readonly topics: () => TopicsView;
  /** Undefined where the group is not coordinated here any more. */
  readonly submit: (command: RefreshPatternsCommand) => Promise<Outcome<GroupReply>> | undefined;
  readonly onLargePatterns: (groupId: string, patterns: readonly string[]) => void;
}

export class PatternSubscriptions {
  readonly #options: PatternSubscriptionsOptions;
  readonly #matching: MatchingTopics;
  /** Groups whose patterns are being looked for anew. */
  readonly #refreshing = new Set<string>();

  constructor(options: PatternSubscriptionsOptions) {
    this.#options = options;
    this.#matching = new MatchingTopics(options.clock, options.topics);
  }

  /** The topics that match and that the member may see; none for an empty pattern. */
  async matching(
    pattern: string,
    maySee: (topic: string) => boolean,
  ): Promise<{ readonly topics: readonly string[] } | ConsumerRefusal> {
    if (pattern === '') return { topics: [] };
    try {
      return { topics: (await this.#matching.of(pattern)).filter(maySee) };
    } catch (error) {
      if (!(error instanceof TopicPatternError)) throw error;
      return { errorCode: ErrorCode.INVALID_REGULAR_EXPRESSION, message: error.message };
    }
  }

  /** Patterns that were taken are looked for anew; the group is told when all are found. Does not wait for it. */
  refresh(groupId: string, patterns: readonly string[], maySee: (topic: string) => boolean): void {
    if (patterns.length === 0 || this.#refreshing.has(groupId)) return;
    this.#refreshing.add(groupId);
    void this.#refresh(groupId, patterns, maySee).finally(() => this.#refreshing.delete(groupId));
  }

  async #refresh(
    groupId: string,
    patterns: readonly string[],
    maySee: (topic: string) => boolean,
  ): Promise<void> {
    const topicsVersion = this.#options.topics().version;
    const found = new Map<string, readonly string[]>();
    for (const pattern of patterns) {
      const matching = await this.matching(pattern, maySee);
      // One that another release took and this one does not: what it matched then still counts.
      if ('topics' in matching) found.set(pattern, matching.topics);
    }
    const command = { kind: 'refresh-patterns', groupId, patterns: found, topicsVersion } as const;
    const outcome = await this.#options.submit(command);
    if (outcome?.kind !== 'replied') return;
    const { tooLarge } = replyTo<RefreshPatternsCommand>(command, outcome.reply);
    if (tooLarge.length > 0) this.#options.onLargePatterns(groupId, tooLarge);
  }
}

/**
 * Looks for the topics that match the patterns of consumer groups (KIP-848), outside of the state machine and in slices, so that no
 * pattern and no number of topics holds up the node. Members of a group mostly name the same pattern, so what was found for the last
 * few patterns is kept as long as the topics stay as they are.
 */
import type { Clock } from '../../../platform/clock.ts';
import { TopicPattern } from './topic-pattern.ts';
import type { TopicsView } from './topics-view.ts';

/** Steps of matching (characters times instructions of the pattern) before other work has its turn: some milliseconds. */
const stepsPerSlice = 500_000;
const foundMax = 32;

interface Found {
  readonly topics: Promise<readonly string[]>;
}

export class MatchingTopics {
  readonly #clock: Clock;
  readonly #topics: () => TopicsView;
  /** By pattern, for the topics as of `#version`; the latest last. */
  readonly #found = new Map<string, Found>();
  #version: number | undefined;

  constructor(clock: Clock, topics: () => TopicsView) {
    this.#clock = clock;
    this.#topics = topics;
  }

  /** Names of the topics that match, ascending. Rejects with a TopicPatternError where the pattern is none. */
  of(pattern: string): Promise<readonly string[]> {
    const topics = this.#topics();
    if (topics.version !== this.#version) {
      this.#found.clear();
      this.#version = topics.version;
    }
    const found = this.#found.get(pattern) ?? { topics: this.#lookFor(pattern, topics) };
    this.#found.delete(pattern);
    this.#found.set(pattern, found);
    if (this.#found.size > foundMax) this.#found.delete(this.#found.keys().next().value!);
    return found.topics;
  }

  async #lookFor(text: string, topics: TopicsView): Promise<readonly string[]> {
    const pattern = TopicPattern.compile(text);
    const matching: string[] = [];
    let steps = 0;
    for (const name of topics.names()) {
      steps += name.length * pattern.size;
      if (steps > stepsPerSlice) {
        steps = 0;
        await this.#otherWork();
      }
      if (pattern.matches(name)) matching.push(name);
    }
    return matching.toSorted();
  }

  #otherWork(): Promise<void> {
    return new Promise((resolve) => {
      this.#clock.after(0, resolve);
    });
  }
}

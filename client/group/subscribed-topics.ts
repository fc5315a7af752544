/** The topics that a member of a classic group subscribes to: as they were named, or those that match a pattern now. */
import type { Cluster } from '../cluster/cluster.ts';

/** Topics that do not exist yet are looked for this often. */
const missingTopicsMs = 5_000;

export class SubscribedTopics {
  readonly #cluster: Cluster;
  readonly #pattern: RegExp | undefined;
  readonly #signal: AbortSignal;
  #names: readonly string[];
  /** When all topics were last looked through, or named ones that are missing were last looked for. */
  #lookedAtMs = -Infinity;
  #isLooking = false;

  /** `names` count where there is no pattern. Looking ends with the signal. */
  constructor(
    cluster: Cluster,
    { names, pattern }: { readonly names: readonly string[]; readonly pattern: RegExp | undefined },
    signal: AbortSignal,
  ) {
    this.#cluster = cluster;
    this.#names = names;
    this.#pattern = pattern;
    this.#signal = signal;
    cluster.track(names);
  }

  /** Another array when they have changed. */
  get names(): readonly string[] {
    return this.#names;
  }

  /** To be awaited before joining: with a pattern, all topics must have been looked through once. */
  async known(): Promise<void> {
    if (this.#pattern !== undefined && this.#lookedAtMs === -Infinity) await this.#match(this.#pattern);
  }

  /** Looks in the background, where that is due. */
  lookIfDue(): void {
    const { clock, settings } = this.#cluster.components;
    const isMissing = this.#names.length === 0 || this.#names.some((name) => !this.#isThere(name));
    const dueMs = isMissing
      ? Math.min(missingTopicsMs, settings.metadataMaxAgeMs)
      : settings.metadataMaxAgeMs;
    if (clock.monotonicMs() - this.#lookedAtMs < dueMs) return;
    if (this.#pattern !== undefined) return this.#matchSoon(this.#pattern);
    if (!isMissing) return this.#cluster.refreshIfOld();
    this.#lookedAtMs = clock.monotonicMs();
    this.#cluster.refreshSoon();
  }

  #isThere(name: string): boolean {
    return (this.#cluster.metadata.topic(name)?.partitions.length ?? 0) > 0;
  }

  #matchSoon(pattern: RegExp): void {
    this.#cluster.refreshIfOld();
    if (this.#isLooking) return;
    this.#isLooking = true;
    const end = (): void => {
      this.#isLooking = false;
    };
    // What was known before holds until a later look succeeds.
    this.#match(pattern).then(end, end);
  }

  async #match(pattern: RegExp): Promise<void> {
    const { topics } = await this.#cluster.fetchMetadata(null, { signal: this.#signal, timeoutMs: 0 });
    this.#lookedAtMs = this.#cluster.components.clock.monotonicMs();
    const names = topics
      .flatMap(({ name, isInternal }) => (name === null || isInternal || !pattern.test(name) ? [] : [name]))
      .sort();
    if (names.join('\n') === this.#names.join('\n')) return;
    this.#names = names;
    this.#cluster.track(names);
  }
}

import { describe, expect, it } from 'vitest';
import { MetadataLogError } from '../../../broker/cluster/metadata/metadata-log.ts';
import { SeededRandom } from '../../../platform/seeded-random.ts';
import type { Random } from '../../../platform/random.ts';
import { contents, topicNamed } from './cluster-fixtures.ts';
import { settle } from './memory-cluster.ts';
import { MemoryFleet } from './memory-fleet.ts';
import type { FleetNode } from './memory-fleet.ts';

type Outcome = 'made' | 'exists' | 'nothing' | 'unknown' | 'pending';

/** What was asked for and what came of it; each name is created, and then perhaps deleted, by one node after the other. */
class History {
  readonly fleet: MemoryFleet;
  readonly random: Random;
  readonly running: Promise<unknown>[] = [];
  readonly creations = new Map<string, Outcome[]>();
  readonly deletions = new Map<string, Outcome[]>();
  readonly producerIds: number[] = [];
  /** The image of each offset, as the first node that came there had it. */
  readonly images = new Map<number, string>();
  changesOfLeader = 0;
  #names = 0;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    this.fleet = new MemoryFleet([1, 2, 3].concat(this.random.below(2) === 0 ? [] : [4, 5]));
  }

  pick<T>(items: readonly T[]): T {
    return items[this.random.below(items.length)]!;
  }

  step(): void {
    const { fleet, random } = this;
    const { group } = fleet;
    const replicas = [...group.replicas.values()];
    const dice = random.below(100);
    if (dice < 30) group.replicate(this.pick(replicas), this.pick(replicas), 1 + random.below(4));
    else if (dice < 60 && fleet.messages.length > 0) {
      const [message] = fleet.messages.splice(random.below(fleet.messages.length), 1);
      if (random.below(10) === 0) message!.lose();
      else message!.deliver();
    } else if (dice < 68) {
      const voters = replicas.filter(() => random.below(3) > 0);
      if (group.elect(this.pick(replicas), voters)) this.changesOfLeader++;
    } else if (dice < 76) {
      const asked = replicas.filter(() => random.below(3) > 0);
      group.confirm(this.pick(replicas), asked);
    } else if (dice < 82) fleet.clock.advance(random.below(2_000));
    else if (dice < 84) this.pick(replicas).reading.close();
    else if (dice < 86) this.pick(replicas).reading.open();
    else if (dice < 93) this.create(this.pick(fleet.nodes));
    else if (dice < 97) this.delete(this.pick(fleet.nodes));
    else this.allocate(this.pick(fleet.nodes));
  }

  create({ cluster }: FleetNode): void {
    // Sometimes a name that somebody else has asked for too.
    const name = `t${this.random.below(4) === 0 ? this.random.below(this.#names + 1) : ++this.#names}`;
    const outcomes = this.creations.get(name) ?? [];
    this.creations.set(name, outcomes);
    const at = outcomes.push('pending') - 1;
    this.follow(cluster.createTopics([topicNamed(name)]), (result) => {
      if (result instanceof MetadataLogError) outcomes[at] = outcomeOf(result);
      else if (result[0]?.kind === 'created') {
        outcomes[at] = 'made';
        const isDeleted = this.deletions.has(name);
        if (!isDeleted) expect(cluster.image.topic(name)?.id).toBe(result[0].topicId);
      } else outcomes[at] = 'exists';
    });
  }

  delete({ cluster }: FleetNode): void {
    const topics = [...cluster.image.topics()];
    if (topics.length === 0) return;
    const { name, id } = this.pick(topics);
    const outcomes = this.deletions.get(name) ?? [];
    this.deletions.set(name, outcomes);
    const at = outcomes.push('pending') - 1;
    this.follow(cluster.deleteTopics([id]), (result) => {
      if (result instanceof MetadataLogError) outcomes[at] = outcomeOf(result);
      else {
        outcomes[at] = result[0]?.kind === 'deleted' ? 'made' : 'exists';
        expect(cluster.image.topicById(id)).toBeUndefined();
      }
    });
  }

  allocate({ cluster }: FleetNode): void {
    this.follow(cluster.allocateProducerId(), (result) => {
      if (!(result instanceof MetadataLogError)) this.producerIds.push(result);
    });
  }

  /** Errors of the log are outcomes too; others fail the test. */
  follow<Result>(operation: Promise<Result>, ended: (result: Result | MetadataLogError) => void): void {
    this.running.push(
      operation.then(ended, (error: unknown) => {
        if (!(error instanceof MetadataLogError)) throw error;
        ended(error);
      }),
    );
  }

  /** Same offset, same image. */
  check(): void {
    for (const { cluster } of this.fleet.nodes) {
      const { image } = cluster;
      if (image.endOffset === 0) continue;
      const seen = this.images.get(image.endOffset);
      const now = JSON.stringify(contents(image));
      if (seen === undefined) this.images.set(image.endOffset, now);
      else expect(now).toBe(seen);
    }
  }
}

function outcomeOf(error: MetadataLogError): Outcome {
  return error.code === 'unknown' ? 'unknown' : 'nothing';
}

async function play(seed: number): Promise<History> {
  const history = new History(seed);
  const { fleet } = history;
  await fleet.form();
  for (let step = 0; step < 150; step++) {
    history.step();
    if (history.random.below(3) > 0) await settle();
    history.check();
  }
  for (const { replica } of fleet.nodes) replica.reading.open();
  await fleet.heal(3);
  await fleet.run(Promise.all(history.running));
  await fleet.agree();
  history.check();
  return history;
}

describe('histories of several nodes whose leaders come and go', () => {
  it('have one image for each offset; what was answered holds, and what was not done is not there', async () => {
    const totals = { made: 0, exists: 0, nothing: 0, unknown: 0, pending: 0, changesOfLeader: 0 };
    for (let seed = 0; seed < 150; seed++) {
      const history = await play(seed);
      const { fleet, creations, deletions, producerIds } = history;
      const images = fleet.nodes.map(({ cluster }) => contents(cluster.image));
      for (const image of images) expect(image, `seed ${seed}`).toEqual(images[0]);
      const { image } = fleet.nodes[0]!.cluster;
      for (const [name, outcomes] of creations) {
        for (const outcome of outcomes) totals[outcome]++;
        const deleted = deletions.get(name) ?? [];
        const made = outcomes.filter((outcome) => outcome === 'made').length;
        const mayBeMade = outcomes.filter((outcome) => outcome === 'made' || outcome === 'unknown').length;
        const gone = deleted.filter((outcome) => outcome === 'made').length;
        const mayBeGone = deleted.filter((outcome) => outcome !== 'nothing').length;
        const isThere = image.topic(name) === undefined ? 0 : 1;
        // Each creation takes one deletion before the next.
        expect(made, `seed ${seed}: ${name} was made too often`).toBeLessThanOrEqual(mayBeGone + 1);
        expect(isThere, `seed ${seed}: ${name} was lost`).toBeGreaterThanOrEqual(
          Math.min(1, made - mayBeGone),
        );
        expect(isThere, `seed ${seed}: ${name} should not be there`).toBeLessThanOrEqual(
          Math.max(0, mayBeMade - gone),
        );
      }
      expect(new Set(producerIds).size, `seed ${seed}`).toBe(producerIds.length);
      expect(fleet.failures, `seed ${seed}`).toEqual([]);
      totals.changesOfLeader += history.changesOfLeader;
      await fleet.close();
    }
    expect(totals.pending).toBe(0);
    // The histories are worth something.
    expect(totals.made).toBeGreaterThan(500);
    expect(totals.unknown).toBeGreaterThan(20);
    expect(totals.exists).toBeGreaterThan(20);
    expect(totals.changesOfLeader).toBeGreaterThan(300);
  });
});

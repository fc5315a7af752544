/**
 * The most even shares where members subscribe to different topics. First what is free goes to whoever has least; then whoever has
 * most gives a partition to somebody who has at least two fewer, as long as there is somebody.
 *
 * Where nobody of those subscribes to what it has, a chain does: it gives to a member that subscribes to that, and this one gives another
 * on. Shares are as even as can be if and only if there is no such chain (Harvey, Ladner, Lovász and Tamir, "Semi-matchings for
 * bipartite graphs and load balancing"), and the ends of chains are the only totals that change.
 *
 * Members are taken by their totals, the highest first. Where no chain from a member leads to anybody with two fewer, then none ever will
 * from any of the members to which chains lead from it: all of these are settled, and chains need not go there again. So the
 * search for what cannot be found costs no more than one look at each topic and member.
 */
import type { IndexedGroup } from './indexed-group.ts';
import { LeastLoaded } from './least-loaded.ts';
import type { Shares } from './shares.ts';

export function shareByDifferingSubscriptions(group: IndexedGroup, shares: Shares): void {
  const leastLoaded = group.topics.map(({ subscribers }) => new LeastLoaded(subscribers, shares.totals));
  dealOut(group, shares, leastLoaded);
  new Levelling(group, shares, leastLoaded).run();
}

/** Topics with most partitions for each of their subscribers first: those of the others have more to choose from. */
function dealOut({ topics }: IndexedGroup, shares: Shares, leastLoaded: readonly LeastLoaded[]): void {
  const need = topics.map(({ holders, subscribers }) => holders.length / subscribers.length);
  const order = Array.from(topics.keys()).toSorted(
    (left, right) =>
      need[right]! - need[left]! || topics[left]!.subscribers.length - topics[right]!.subscribers.length,
  );
  for (const topic of order) {
    for (let left = shares.free[topic]!; left > 0; left--) shares.give(leastLoaded[topic]!.top, topic);
  }
}

/** A member on the way of chains, and the one before it with the topic of which it would give one. */
interface Link {
  readonly member: number;
  readonly topic: number;
  readonly giver: Link | undefined;
}

class Levelling {
  readonly #topics: IndexedGroup['topics'];
  readonly #shares: Shares;
  readonly #leastLoaded: readonly LeastLoaded[];
  /** By member: 1 where no chain from it or over it leads to anybody with two fewer any more. */
  readonly #settled: Uint8Array;
  /** The search that came by last, by member and by topic. */
  readonly #reached: Int32Array;
  readonly #searched: Int32Array;
  #search = 0;

  constructor({ memberIds, topics }: IndexedGroup, shares: Shares, leastLoaded: readonly LeastLoaded[]) {
    this.#topics = topics;
    this.#shares = shares;
    this.#leastLoaded = leastLoaded;
    this.#settled = new Uint8Array(memberIds.length);
    this.#reached = new Int32Array(memberIds.length);
    this.#searched = new Int32Array(topics.length);
  }

  run(): void {
    const { totals } = this.#shares;
    const totalMax = totals.reduce((most, total) => Math.max(most, total), 0);
    for (let level = totalMax; level >= 2; level--) {
      for (const [member, total] of totals.entries()) {
        if (total === level && this.#settled[member] === 0) this.#giveOne(member);
      }
    }
  }

  /** The shortest chain to a member with two fewer; the end of it has the fewest partitions of those that the last giver could choose. */
  #giveOne(member: number): void {
    this.#search++;
    this.#reached[member] = this.#search;
    const links: Link[] = [{ member, topic: -1, giver: undefined }];
    const totalMax = this.#shares.totals[member]! - 2;
    for (const giver of links) {
      const link = this.#lightestReceiver(giver);
      if (link !== undefined && this.#shares.totals[link.member]! <= totalMax) return this.#handOn(link);
      this.#reachReceivers(giver, links);
    }
    for (const link of links) this.#settled[link.member] = 1;
  }

  #lightestReceiver(giver: Link): Link | undefined {
    let lightest: Link | undefined;
    let totalMin = Infinity;
    for (const topic of this.#shares.of(giver.member).keys()) {
      if (this.#searched[topic] === this.#search) continue;
      const member = this.#leastLoaded[topic]!.top;
      const total = this.#shares.totals[member]!;
      if (total >= totalMin) continue;
      totalMin = total;
      lightest = { member, topic, giver };
    }
    return lightest;
  }

  #reachReceivers(giver: Link, links: Link[]): void {
    for (const topic of this.#shares.of(giver.member).keys()) {
      if (this.#searched[topic] === this.#search) continue;
      this.#searched[topic] = this.#search;
      for (const member of this.#topics[topic]!.subscribers) {
        if (this.#reached[member] === this.#search || this.#settled[member] === 1) continue;
        this.#reached[member] = this.#search;
        links.push({ member, topic, giver });
      }
    }
  }

  #handOn(end: Link): void {
    for (let link = end; link.giver !== undefined; link = link.giver) {
      this.#shares.take(link.giver.member, link.topic);
      this.#shares.give(link.member, link.topic);
    }
  }
}

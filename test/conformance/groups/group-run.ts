/**
 * One group from its first member to its end: topics of its own, numbered records all the while, members that come and go, and at the end
 * what all of them have read and committed.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Kafka, logLevel } from 'kafkajs';
import type { Admin, Kappalog } from '../../../client/index.ts';
import type { ChildProcesses } from '../../support/child-processes.ts';
import { equal } from '../suite.ts';
import { Feed } from './feed.ts';
import { Journal } from './journal.ts';
import { checkLedger, type LedgerSums } from './ledger.ts';
import type { MemberConfig } from './line-protocol.ts';
import { type MemberClient, MemberProcess } from './member-process.ts';

/** What groups are run with. */
export interface GroupsSuite {
  readonly children: ChildProcesses;
  readonly kappalog: Kappalog;
  /** `host:port`, with commas. */
  readonly brokers: string;
  readonly replicationFactor: number;
  /** Takes what the members of a group told, as JSON lines, where something is wrong with it. */
  readonly directory: string;
}

export interface GroupSpec {
  /** Of the group; its topics begin with it. */
  readonly name: string;
  readonly protocol: MemberConfig['protocol'];
  readonly assignor: string;
  /** Whether members subscribe to a pattern in place of the names of the topics. */
  readonly byPattern?: boolean;
  /** Whether every other member that comes goes by the consumer protocol. */
  readonly isOfBothProtocols?: boolean;
  /** 2 where absent. */
  readonly topics?: number;
  /** Of each topic; 4 where absent. */
  readonly partitionsEach?: number;
  /** Of the classic protocol; 6,000 where absent. */
  readonly sessionTimeoutMs?: number;
}

/** More than any client needs for a rebalance, the time of a session included. */
const settleMs = 60_000;
const defaultPartitionsEach = 4;
const defaultSessionTimeoutMs = 6_000;
const heartbeatIntervalMs = 300;
const rebalanceTimeoutMs = 10_000;

export class GroupRun {
  readonly spec: GroupSpec;
  readonly #suite: GroupsSuite;
  readonly #topics: ReadonlyMap<string, number>;
  readonly #journal = new Journal();
  readonly #feed: Feed;
  #members: MemberProcess[] = [];
  #count = 0;
  /** Of all that ever were in it. */
  readonly #clients = new Set<MemberClient>();
  #isFinishing = false;

  private constructor(suite: GroupsSuite, spec: GroupSpec) {
    this.spec = spec;
    this.#suite = suite;
    this.#topics = new Map(
      ['a', 'b']
        .slice(0, spec.topics)
        .map((letter) => [`${spec.name}-${letter}`, spec.partitionsEach ?? defaultPartitionsEach]),
    );
    this.#feed = new Feed(suite.kappalog, this.#topics);
  }

  /** Makes the topics, and begins to write into them. */
  static async begin(suite: GroupsSuite, spec: GroupSpec): Promise<GroupRun> {
    const run = new GroupRun(suite, spec);
    const { replicationFactor } = suite;
    const topics = [...run.#topics].map(([name, partitions]) => ({ name, partitions, replicationFactor }));
    const admin = suite.kappalog.admin();
    await admin.createTopics(topics);
    await admin.close();
    run.#feed.start();
    return run;
  }

  /** Those that have been started and not been ended. */
  get members(): readonly MemberProcess[] {
    return this.#members;
  }

  /** Starts a member; `untilShared` waits for it. `as`: where it differs from the group's other members. */
  start(
    client: MemberClient,
    as: Partial<Pick<MemberConfig, 'instanceId' | 'protocol' | 'assignor'>> = {},
  ): MemberProcess {
    const name = `${client.name}-${(this.#count += 1)}`;
    const config: MemberConfig = {
      brokers: this.#suite.brokers,
      clientId: name,
      groupId: this.spec.name,
      topics: [...this.#topics.keys()],
      pattern: this.spec.byPattern === true ? `^${this.spec.name}-[ab]$` : null,
      protocol: this.spec.protocol,
      assignor: this.spec.assignor,
      instanceId: null,
      sessionTimeoutMs: this.spec.sessionTimeoutMs ?? defaultSessionTimeoutMs,
      heartbeatIntervalMs,
      rebalanceTimeoutMs: Math.max(rebalanceTimeoutMs, this.spec.sessionTimeoutMs ?? 0),
      ...as,
    };
    const member = new MemberProcess(this.#suite.children, this.#journal, { client, name, config });
    this.#clients.add(client);
    this.#members.push(member);
    return member;
  }

  async leave(member: MemberProcess): Promise<void> {
    await this.#end(member, () => member.leave(settleMs));
  }

  /** As a static member that comes back. */
  async stop(member: MemberProcess): Promise<void> {
    await this.#end(member, () => member.stop(settleMs));
  }

  async crash(member: MemberProcess): Promise<void> {
    this.#forget(member);
    await member.kill();
  }

  /** Resolves when every partition has one owner, shares are fair, and of every partition its owner has read something since. */
  async untilShared(when: string): Promise<void> {
    await this.until(`${when}, all partitions are shared out`, () => this.#unshared());
    await this.untilRead(when);
  }

  /** Resolves when of every partition its owner of that time has read something that it had not read before. */
  async untilRead(when: string): Promise<void> {
    const waiting = new Map(this.#places.map((place) => [place, true]));
    let seen = this.#journal.entries.length;
    await this.until(`${when}, every partition is read`, () => {
      for (; seen < this.#journal.entries.length; seen++) {
        const { member, event } = this.#journal.entries[seen]!;
        if (event.event !== 'record') continue;
        const place = `${event.topic}/${event.partition}`;
        if (this.#owners(place).some(({ name }) => name === member)) waiting.delete(place);
      }
      return waiting.size === 0
        ? undefined
        : `nothing was read of ${[...waiting.keys()].join(', ')}; ${this.#shares()}`;
    });
  }

  /** Resolves when a commit was acknowledged for every partition that its owner of that time began after this was called. */
  async untilCommitted(when: string): Promise<void> {
    const waiting = new Set(this.#places);
    /** By member and place. */
    const begun = new Set<string>();
    let seen = this.#journal.entries.length;
    await this.until(`${when}, something is committed of every partition`, () => {
      for (; seen < this.#journal.entries.length; seen++) {
        const { member, event } = this.#journal.entries[seen]!;
        if (event.event !== 'commit' && event.event !== 'committed') continue;
        for (const [topic, partitions] of Object.entries(event.offsets)) {
          for (const partition of Object.keys(partitions)) {
            const place = `${topic}/${partition}`;
            if (event.event === 'commit') begun.add(`${member} ${place}`);
            else if (begun.has(`${member} ${place}`)) waiting.delete(place);
          }
        }
      }
      return waiting.size === 0 ? undefined : `nothing of ${[...waiting].join(', ')}; ${this.#shares()}`;
    });
  }

  /** Throws where the coordinator has less than what members were told is committed. */
  async checkCommitted(admin: Admin): Promise<void> {
    const told = new Map<string, number>();
    for (const { event } of this.#journal.entries) {
      if (event.event !== 'committed') continue;
      for (const [topic, partitions] of Object.entries(event.offsets)) {
        for (const [partition, offset] of Object.entries(partitions)) {
          const place = `${topic}/${partition}`;
          told.set(place, Math.max(offset, told.get(place) ?? 0));
        }
      }
    }
    const fetched = await admin.fetchGroupOffsets(this.spec.name);
    const offsets = new Map(fetched.map(({ topic, partition, offset }) => [`${topic}/${partition}`, offset]));
    for (const [place, offset] of told) {
      const has = offsets.get(place) ?? -1;
      if (has < offset) throw new Error(`${place}: ${offset} was acknowledged, and ${has} is committed.`);
    }
  }

  /** What of the topics has not one owner, or is not shared out fairly; undefined: nothing. */
  unshared(): string | undefined {
    return this.#unshared();
  }

  /** Resolves when so many more records have been read by whomever. */
  async untilSomeRead(when: string, records: number): Promise<void> {
    let [seen, read] = [this.#journal.entries.length, 0];
    await this.until(`${when}, ${records} more records are read`, () => {
      for (; seen < this.#journal.entries.length; seen++)
        if (this.#journal.entries[seen]!.event.event === 'record') read += 1;
      return read >= records ? undefined : `${read} were read; ${this.#shares()}`;
    });
  }

  /** As Journal.until; also rejects when a member fails. */
  until(what: string, missing: () => string | undefined): Promise<void> {
    return this.#journal.until(what, settleMs, () => {
      for (const member of this.#members) member.check();
      return missing();
    });
  }

  /** Everything is read, all leave, what they have read and committed is compared with what was written. */
  async finish(): Promise<LedgerSums> {
    await this.#feed.stop();
    this.#isFinishing = true;
    await this.#untilAllRead('at the end');
    await Promise.all([...this.#members].map((member) => this.leave(member)));
    const { ends } = this.#feed;
    const clients = [...this.#clients];
    const sums = checkLedger(this.#journal.entries, {
      ends,
      hasSilentMembers: clients.some(({ isSilent }) => isSilent === true),
      readsOn: clients.some(({ readsOn }) => readsOn === true),
    });
    const expected = this.#places.map((place) => [place, ends.get(place) ?? 0]);
    equal(await this.#committed(), expected, 'what the group has committed');
    return sums;
  }

  /** After a failure: ends whatever still runs, and writes down what the members have told, and what they wrote of errors. */
  async abandon(): Promise<void> {
    const lines = this.#journal.entries.map(({ member, event }) => JSON.stringify({ member, ...event }));
    writeFileSync(join(this.#suite.directory, `${this.spec.name}.jsonl`), `${lines.join('\n')}\n`);
    const errors = this.#members.map((member) => `== ${member.name}\n${member.errors}\n`);
    writeFileSync(join(this.#suite.directory, `${this.spec.name}.errors`), errors.join(''));
    await Promise.all([...this.#members].map((member) => this.crash(member)));
    // The failure that led here is the one to be told.
    await this.#feed.stop().catch(() => undefined);
  }

  async #untilAllRead(when: string): Promise<void> {
    const { ends } = this.#feed;
    const reached = new Map<string, number>();
    let seen = 0;
    await this.until(`${when}, all records are read`, () => {
      for (; seen < this.#journal.entries.length; seen++) {
        const { event } = this.#journal.entries[seen]!;
        if (event.event !== 'record') continue;
        const place = `${event.topic}/${event.partition}`;
        reached.set(place, Math.max(reached.get(place) ?? 0, event.offset + 1));
      }
      const behind = this.#places.filter((place) => (reached.get(place) ?? 0) < (ends.get(place) ?? 0));
      return behind.length === 0
        ? undefined
        : behind.map((place) => `${place} at ${reached.get(place) ?? 0} of ${ends.get(place)}`).join(', ');
    });
  }

  async #end(member: MemberProcess, end: () => Promise<void>): Promise<void> {
    const { losesLast } = member.client;
    const forgetAndEnd = (): Promise<void> => {
      this.#forget(member);
      return end();
    };
    if (losesLast !== true || this.#isFinishing) return forgetAndEnd();
    return this.#feed.halt(async () => {
      await this.#untilAllRead(`before ${member.name} ends`);
      await forgetAndEnd();
    });
  }

  get #places(): string[] {
    return [...this.#topics].flatMap(([topic, count]) =>
      Array.from({ length: count }, (_, partition) => `${topic}/${partition}`),
    );
  }

  #owners(place: string): MemberProcess[] {
    return this.#members.filter(({ owned }) => owned.has(place));
  }

  #unshared(): string | undefined {
    const wrong = this.#places.filter((place) => this.#owners(place).length !== 1);
    if (wrong.length > 0) return `${wrong.join(', ')} should have one owner; ${this.#shares()}`;
    const mayBeUneven =
      this.spec.protocol === 'classic' && [...this.#clients].some(({ isUneven }) => isUneven === true);
    if (mayBeUneven) return this.#members.every(({ owned }) => owned.size > 0) ? undefined : this.#shares();
    const isFair = this.spec.assignor === 'range' ? this.#isFairByTopic : this.#isFairOverall;
    return isFair ? undefined : `shares are not fair: ${this.#shares()}`;
  }

  get #isFairOverall(): boolean {
    return areEven(this.#members.map(({ owned }) => owned.size));
  }

  get #isFairByTopic(): boolean {
    return [...this.#topics.keys()].every((topic) =>
      areEven(
        this.#members.map(({ owned }) => [...owned].filter((place) => place.startsWith(`${topic}/`)).length),
      ),
    );
  }

  #shares(): string {
    return this.#members
      .map(({ name, owned }) => `${name} owns ${[...owned].join(' ') || 'nothing'}`)
      .join('; ');
  }

  /** What the broker says, asked by a client that is not ours. */
  async #committed(): Promise<[string, number][]> {
    const kafka = new Kafka({ brokers: this.#suite.brokers.split(','), logLevel: logLevel.NOTHING });
    const admin = kafka.admin();
    await admin.connect();
    try {
      const topics = await admin.fetchOffsets({ groupId: this.spec.name, topics: [...this.#topics.keys()] });
      const offsets = new Map(
        topics.flatMap(({ topic, partitions }) =>
          partitions.map(({ partition, offset }): [string, number] => [
            `${topic}/${partition}`,
            Number(offset),
          ]),
        ),
      );
      return this.#places.map((place) => [place, offsets.get(place) ?? -1]);
    } finally {
      await admin.disconnect();
    }
  }

  #forget(member: MemberProcess): void {
    this.#members = this.#members.filter((other) => other !== member);
  }
}

function areEven(counts: readonly number[]): boolean {
  return Math.max(...counts) - Math.min(...counts) <= 1;
}

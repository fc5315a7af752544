/**
 * Random histories of one group: members join, sync, beat, commit, leave and fall silent while time passes and coordinators
 * take over at any record. After each step the rules that no history may break are checked.
 */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { GroupState, Member } from '../../../broker/groups/group.ts';
import { ErrorCode } from '../../../protocol/index.ts';
import { durablePart, MachineDriver, subscription } from './machine-driver.ts';
import type { DrivenMember } from './machine-driver.ts';

const memberCount = 5;

type Action =
  | { readonly kind: 'join' | 'sync' | 'heartbeat' | 'commit' | 'leave' | 'restart'; readonly member: number }
  | { readonly kind: 'subscribe'; readonly member: number; readonly topics: number }
  | { readonly kind: 'advance'; readonly byMs: number }
  | { readonly kind: 'settle' | 'take-over' };

const member = fc.nat(memberCount - 1);
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('join' as const), member }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('sync' as const), member }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('heartbeat' as const), member }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('commit' as const), member }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('leave' as const), member }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const), member }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('subscribe' as const), member, topics: fc.nat(3) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('advance' as const),
      byMs: fc.constantFrom(1, 500, 3_000, 9_000, 30_000),
    }),
  },
  { weight: 3, arbitrary: fc.constant({ kind: 'settle' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'take-over' as const }) },
);

/** Members 0 and 1 are static, 4 is a client of old; the rest are dynamic. */
function optionsOf(index: number, topics: number) {
  return {
    groupInstanceId: index < 2 ? `i${index}` : null,
    requiresKnownMemberId: index !== 4,
    rebalanceTimeoutMs: 20_000,
    protocols: [
      {
        name: 'range',
        metadata: subscription(Array.from({ length: topics + 1 }, (_, topic) => `t${topic}`)),
      },
    ],
  };
}

class History {
  driver = new MachineDriver();
  members: DrivenMember[];
  generation = 0;
  commits = 0;
  /** The last acknowledged commit of each partition. */
  readonly acknowledged = new Map<string, number>();

  constructor() {
    this.members = Array.from({ length: memberCount }, (_, index) =>
      this.driver.member(`m${index}`, optionsOf(index, 0)),
    );
  }

  run(next: Action): void {
    switch (next.kind) {
      case 'advance':
        this.driver.advance(next.byMs);
        break;
      case 'settle':
        this.settle();
        break;
      case 'take-over':
        this.takeOver();
        break;
      case 'subscribe':
        this.replaceMember(next.member, next.topics);
        break;
      case 'restart':
        this.replaceMember(next.member, 0);
        this.members[next.member]!.memberId = '';
        break;
      default:
        this.request(next.kind, this.members[next.member]!, next.member);
    }
    this.noticeJoins();
    this.check();
  }

  /** A few seconds in which every client does what it should. */
  settle(): void {
    for (let second = 0; second < 8; second += 1) {
      for (const client of this.members) behave(client);
      this.driver.advance(1_000);
    }
  }

  /** The same client, with another subscription. */
  replaceMember(index: number, topics: number): void {
    const { memberId, generationId, joined, synced } = this.members[index]!;
    this.members[index] = Object.assign(this.driver.member(`m${index}`, optionsOf(index, topics)), {
      memberId,
      generationId,
      joined,
      synced,
    });
  }

  request(
    kind: 'join' | 'sync' | 'heartbeat' | 'commit' | 'leave',
    client: DrivenMember,
    index: number,
  ): void {
    if (kind === 'join') client.join();
    else if (kind === 'heartbeat') client.heartbeat();
    else if (kind === 'leave') client.leave();
    else if (kind === 'sync') {
      const leads = client.joined?.reply?.leader === client.memberId;
      const ids = [...(this.driver.group()?.members.keys() ?? [])];
      client.sync(leads ? Object.fromEntries(ids.map((id) => [id, id])) : {});
    } else {
      this.commits += 1;
      const partition = `t-${index}`;
      if (client.commit({ [partition]: this.commits })[0] === 'NONE')
        this.acknowledged.set(partition, this.commits);
    }
  }

  /** The machine is lost; another is made from what it wrote. */
  takeOver(): void {
    const before = durablePart(this.driver);
    const stable =
      this.driver.group()?.state !== 'PreparingRebalance' &&
      this.driver.group()?.state !== 'CompletingRebalance';
    this.driver = this.driver.reloaded();
    if (stable) expect(durablePart(this.driver)).toEqual(before);
    this.members = this.members.map(({ name, options, memberId, generationId }) =>
      Object.assign(this.driver.member(name, options), { memberId, generationId }),
    );
    // A generation that never became stable is lost, and its number may come again.
    this.generation = this.driver.group()?.generationId ?? 0;
  }

  noticeJoins(): void {
    for (const client of this.members) {
      const reply = client.joined?.reply;
      if (reply?.errorCode === ErrorCode.NONE) client.accept();
      else if (
        reply?.errorCode === ErrorCode.UNKNOWN_MEMBER_ID ||
        reply?.errorCode === ErrorCode.FENCED_INSTANCE_ID
      ) {
        client.memberId = '';
        client.joined = undefined;
      }
    }
  }

  check(): void {
    const group = this.driver.group();
    expect(this.driver.committed()).toEqual(Object.fromEntries(this.acknowledged));
    if (group === undefined) return;
    const members = [...group.members.values()];
    expect(group.generationId).toBeGreaterThanOrEqual(this.generation);
    this.generation = group.generationId;
    if (members.length === 0) expect(group.leaderId).toBeUndefined();
    else expect(group.members.has(group.leaderId!)).toBe(true);
    expect(group.awaitingJoinCount).toBe(
      members.filter(({ awaitingJoin }) => awaitingJoin !== undefined).length,
    );
    expect(Object.fromEntries(group.staticMembers)).toEqual(
      Object.fromEntries(
        members.flatMap(({ groupInstanceId: id, memberId }) => (id === null ? [] : [[id, memberId]])),
      ),
    );
    for (const id of group.pendingSync) expect(group.members.has(id)).toBe(true);
    for (const id of group.pendingMembers.keys()) expect(group.members.has(id)).toBe(false);
    this.checkState(group.state, members);
  }

  checkState(state: GroupState, members: readonly Member[]): void {
    const group = this.driver.group()!;
    if (state === 'Empty') expect(members).toEqual([]);
    if (state !== 'PreparingRebalance') for (const each of members) expect(each.awaitingJoin).toBeUndefined();
    if (state !== 'CompletingRebalance')
      for (const each of members) expect(each.awaitingSync).toBeUndefined();
    if (state === 'PreparingRebalance') {
      // Somebody is missing, or more are waited for; whichever, a timer ends it.
      expect(group.joinTimer.deadlineMs).toBeGreaterThanOrEqual(this.driver.nowMs);
      expect(!group.hasAllMembersJoined || group.initialDelay !== undefined).toBe(true);
    }
    if (state === 'Stable') {
      expect(durablePart(this.driver.reloaded())).toEqual(durablePart(this.driver));
      // Who has not fetched its assignment is given a time to do so.
      if (group.pendingSync.size > 0)
        expect(group.syncTimer.deadlineMs).toBeGreaterThanOrEqual(this.driver.nowMs);
    }
    for (const { sessionTimer, awaitingJoin, awaitingSync } of group.members.values()) {
      // Whoever waits for nothing is watched.
      if (awaitingJoin === undefined && awaitingSync === undefined)
        expect(sessionTimer.deadlineMs).toBeDefined();
    }
  }
}

test('no history of a group breaks its rules', () => {
  fc.assert(
    fc.property(fc.array(action, { minLength: 1, maxLength: 60, size: 'max' }), (actions) => {
      const history = new History();
      for (const next of actions) history.run(next);
      // In the end silence empties the group, and every request has been answered.
      history.driver.advance(2_000_000);
      history.check();
      expect(history.driver.group()?.state ?? 'Empty').toBe('Empty');
      for (const { joined, synced } of history.members) {
        if (joined !== undefined) expect(joined.reply).toBeDefined();
        if (synced !== undefined) expect(synced.reply).toBeDefined();
      }
      expect(durablePart(history.driver.reloaded())).toEqual(durablePart(history.driver));
    }),
    { numRuns: 200 },
  );
});

test('live members that do as they are told end up in one stable generation', () => {
  fc.assert(
    fc.property(
      fc.array(action, { minLength: 1, maxLength: 40, size: 'max' }),
      fc.uniqueArray(member, { minLength: 1 }),
      (actions, alive) => {
        const history = new History();
        for (const next of actions) history.run(next);
        history.members = history.members.map(({ name, options }) => history.driver.member(name, options));
        const clients = alive.map((index) => history.members[index]!);
        for (let tick = 0; tick < 400; tick += 1) {
          history.driver.advance(1_000);
          for (const client of clients) behave(client);
        }
        const group = history.driver.group()!;
        expect(group.state).toBe('Stable');
        expect([...group.members.keys()].sort()).toEqual(clients.map(({ memberId }) => memberId).sort());
        for (const client of clients) {
          expect(client.generationId).toBe(group.generationId);
          expect(client.synced!.reply).toMatchObject({
            errorCode: 0,
            assignment: Buffer.from(client.memberId),
          });
        }
      },
    ),
    { numRuns: 100 },
  );
});

/** What a client does each second: finish what it began, keep its session, join again when told to. */
function behave(client: DrivenMember): void {
  if (client.joined === undefined) {
    client.join();
    return;
  }
  const joined = client.joined.reply;
  if (joined === undefined) return;
  if (joined.errorCode !== ErrorCode.NONE) {
    if (joined.errorCode !== ErrorCode.REBALANCE_IN_PROGRESS) client.memberId = '';
    client.joined = undefined;
    client.synced = undefined;
    return;
  }
  client.accept();
  if (client.synced === undefined) {
    const ids = joined.members.map(({ memberId }) => memberId);
    client.sync(Object.fromEntries(ids.map((id) => [id, id])));
    return;
  }
  const synced = client.synced.reply;
  if (synced === undefined) return;
  const outcome = synced.errorCode === ErrorCode.NONE ? client.heartbeat() : 'REBALANCE_IN_PROGRESS';
  if (outcome === 'NONE') return;
  if (outcome !== 'REBALANCE_IN_PROGRESS') client.memberId = '';
  client.joined = undefined;
  client.synced = undefined;
}

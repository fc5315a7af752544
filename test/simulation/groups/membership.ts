/** All members that ever were: who joins which group, and as what. */
import { RandomIds } from '../../../platform/random-ids.ts';
import type { Random } from '../../../platform/random.ts';
import type { GroupKind } from './groups-options.ts';
import type { GroupsWorld } from './groups-world.ts';
import { SimulatedClassic } from './simulated-classic.ts';
import { SimulatedConsumer } from './simulated-consumer.ts';
import { oneOf } from './simulated-member.ts';
import type { SimulatedMember } from './simulated-member.ts';

const membersMax = 5;

export interface SimulatedGroup {
  readonly groupId: string;
  readonly kind: GroupKind;
}

export class Membership {
  readonly groups: readonly SimulatedGroup[];
  readonly #world: GroupsWorld;
  readonly #random: Random;
  readonly #ids: RandomIds;
  readonly #topicNames: readonly string[];
  #members: SimulatedMember[] = [];
  #joined = 0;

  constructor(world: GroupsWorld, random: Random, topicNames: readonly string[]) {
    this.#world = world;
    this.#random = random;
    this.#ids = new RandomIds(random.fork('member ids'));
    this.#topicNames = topicNames;
    this.groups = world.options.groups.map((kind, number) => ({ groupId: `g${number}-${kind}`, kind }));
  }

  get live(): readonly SimulatedMember[] {
    this.#members = this.#members.filter(({ isLive }) => isLive);
    return this.#members;
  }

  /** One more, with a name of its own or one that is free. */
  join(random: Random): void {
    const group = oneOf(random, this.groups)!;
    const inGroup = this.live.filter(({ groupId }) => groupId === group.groupId);
    if (inGroup.length >= membersMax) return;
    const instanceId = random.below(3) === 0 ? `s${random.below(membersMax)}` : null;
    if (instanceId !== null && inGroup.some((member) => member.instanceId === instanceId)) return;
    this.#add(group, { random, instanceId, topics: this.drawTopics(random) });
  }

  /** A static member ends, and another comes for it, sometimes before it has ended. */
  restart(random: Random): void {
    const member = oneOf(
      random,
      this.live.filter(({ instanceId }) => instanceId !== null),
    );
    if (member === undefined) return;
    const { instanceId, topics } = member;
    const group = this.groups.find(({ groupId }) => groupId === member.groupId)!;
    const isClean = random.below(2) === 0;
    this.#world.say(`${member.name} ${isClean ? 'is stopped' : 'crashes'}, to be started again`);
    if (isClean) member.end(true);
    else member.crash();
    const inMs = random.below(2) === 0 ? 0 : random.below(20_000);
    this.#world.clock.after(inMs, () => {
      const isTaken = this.live.some(
        (other) => other.groupId === group.groupId && other.instanceId === instanceId,
      );
      if (!isTaken) this.#add(group, { random, instanceId, topics });
    });
  }

  drawTopics(random: Random): string[] {
    if (random.below(3) === 0) return [...this.#topicNames];
    const drawn = this.#topicNames.filter(() => random.below(2) === 0);
    return drawn.length > 0 ? drawn : [this.#topicNames[0]!];
  }

  #add(
    { groupId, kind }: SimulatedGroup,
    {
      random,
      instanceId,
      topics,
    }: { readonly random: Random; readonly instanceId: string | null; readonly topics: readonly string[] },
  ): void {
    this.#joined++;
    const isConsumer = kind === 'consumer' || (kind === 'mixed' && random.below(2) === 0);
    const name = `${groupId}/${isConsumer ? 'consumer' : 'classic'}-${this.#joined}`;
    const own = this.#random.fork(name);
    const usesPattern = isConsumer && random.below(4) === 0;
    const options = { name, groupId, instanceId, topics: usesPattern ? [] : topics };
    const member = isConsumer
      ? new SimulatedConsumer(this.#world, own, {
          ...options,
          memberId: this.#ids.uuid(),
          assignor: random.below(3) === 0 ? 'uniform' : null,
          pattern: usesPattern ? `t[0-${random.below(this.#topicNames.length)}]` : '',
        })
      : new SimulatedClassic(this.#world, own, {
          ...options,
          isCooperative: kind === 'cooperative' || (kind === 'mixed' && groupId.length % 2 === 0),
        });
    this.#members.push(member);
    const what = usesPattern ? 'a pattern' : topics.join();
    this.#world.say(`${name}${instanceId === null ? '' : ` (${instanceId})`} joins for ${what}`);
    member.start();
  }
}

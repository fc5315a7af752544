/** How much a coordinator takes: commits and heartbeats as fast as they go, and members that do nothing but be there. */
import { ErrorCode } from '../../protocol/index.ts';
import { cpuSeconds, residentBytes } from '../../test/support/process-stats.ts';
import { BenchGroup } from './bench-group.ts';
import type { GroupProtocol, Surroundings } from './bench-group.ts';
import { MemberLink, sharedTopic } from './bench-member.ts';

/** Requests under way at a time, one for each connection. */
const connections = 32;
const partitionsPerCommit = 10;

/** Requests a second; each is checked to have been done. */
export async function commitsPerSecond(
  surroundings: Surroundings,
  forMs: number,
  label: string,
): Promise<number> {
  const offsets = Array.from({ length: partitionsPerCommit }, () => 0);
  return inLoops(surroundings, forMs, async (link, place, count) => {
    const groupId = `${label}-${place}`;
    const partitions = offsets.map((_, partitionIndex) => ({
      partitionIndex,
      committedOffset: count,
      committedMetadata: '',
    }));
    const { topics } = await link.ask('OffsetCommit', 9, {
      groupId,
      generationIdOrMemberEpoch: -1,
      memberId: '',
      topics: [{ name: sharedTopic, partitions }],
    });
    const failed = topics
      .flatMap((topic) => topic.partitions)
      .find(({ errorCode }) => errorCode !== ErrorCode.NONE);
    if (failed !== undefined) throw new Error(`A commit was answered ${failed.errorCode}.`);
  });
}

/** Of members alone in groups of the classic protocol. */
export async function heartbeatsPerSecond(
  surroundings: Surroundings,
  forMs: number,
  label: string,
): Promise<number> {
  const members = new Map<number, { groupId: string; memberId: string; generationId: number }>();
  return inLoops(surroundings, forMs, async (link, place, count) => {
    if (count === 0) members.set(place, await alone(link, `${label}-${place}`));
    const { errorCode } = await link.ask('Heartbeat', 4, members.get(place)!);
    if (errorCode !== ErrorCode.NONE) throw new Error(`A heartbeat was answered ${errorCode}.`);
  });
}

async function alone(link: MemberLink, groupId: string) {
  const protocols = [{ name: 'p', metadata: Buffer.alloc(0) }];
  const asked = {
    groupId,
    sessionTimeoutMs: 45_000,
    rebalanceTimeoutMs: 60_000,
    protocolType: 'bench',
    protocols,
  };
  const { memberId } = await link.ask('JoinGroup', 9, { ...asked, memberId: '' });
  const { generationId } = await link.ask('JoinGroup', 9, { ...asked, memberId });
  const assignments = [{ memberId, assignment: Buffer.alloc(0) }];
  const { errorCode } = await link.ask('SyncGroup', 5, {
    groupId,
    generationId,
    memberId,
    protocolType: 'bench',
    protocolName: 'p',
    assignments,
  });
  if (errorCode !== ErrorCode.NONE) throw new Error(`SyncGroup was answered ${errorCode}.`);
  return { groupId, memberId, generationId };
}

async function inLoops(
  surroundings: Surroundings,
  forMs: number,
  once: (link: MemberLink, place: number, count: number) => Promise<void>,
): Promise<number> {
  const { clock, address } = surroundings;
  const links = await Promise.all(
    Array.from({ length: connections }, () => MemberLink.open(surroundings, address)),
  );
  for (const [place, link] of links.entries()) await once(link, place, 0);
  const fromMs = clock.monotonicMs();
  const counts = await Promise.all(
    links.map(async (link, place) => {
      let count = 0;
      while (clock.monotonicMs() - fromMs < forMs) {
        count += 1;
        await once(link, place, count);
      }
      return count;
    }),
  );
  const seconds = (clock.monotonicMs() - fromMs) / 1_000;
  for (const link of links) link.close();
  return counts.reduce((sum, count) => sum + count, 0) / seconds;
}

export interface IdleSample {
  readonly heartbeatsPerSecond: number;
  /** Of one core. */
  readonly cpuPart: number;
  readonly p99Ms: number;
  readonly residentBytes: number;
}

/** So many members in groups of a hundred, which do nothing but send heartbeats at the interval of their protocol. */
export async function idleMembers(
  surroundings: Surroundings & { readonly pid: number },
  protocol: GroupProtocol,
  { members, forMs, label }: { readonly members: number; readonly forMs: number; readonly label: string },
): Promise<IdleSample> {
  const { clock, pid } = surroundings;
  const groups: BenchGroup[] = [];
  for (let count = 0; count < members; count += 100) {
    const group = new BenchGroup(surroundings, `${label}-${count}`, protocol);
    groups.push(group);
    await group.join(await group.connect(100));
  }
  const pause = (ms: number): Promise<void> => new Promise((resolve) => void clock.after(ms, resolve));
  // What the joining has left to do is not what is measured.
  await pause(3_000);
  for (const group of groups) group.takeHeartbeatsMs();
  const [cpuBefore, fromMs] = [cpuSeconds(pid), clock.monotonicMs()];
  await pause(forMs);
  const seconds = (clock.monotonicMs() - fromMs) / 1_000;
  const heartbeatsMs = groups.flatMap((group) => group.takeHeartbeatsMs()).sort((one, other) => one - other);
  const sample = {
    heartbeatsPerSecond: heartbeatsMs.length / seconds,
    cpuPart: (cpuSeconds(pid) - cpuBefore) / seconds,
    p99Ms: heartbeatsMs[Math.floor(heartbeatsMs.length * 0.99)] ?? Number.NaN,
    residentBytes: residentBytes(pid),
  };
  for (const group of groups) await group.end();
  return sample;
}

/** What tests of groups with members of both protocols share. */
import type { ConsumerGroupConfig } from '../../../../broker/groups/group-config.ts';
import { ConsumerGroup } from '../../../../broker/groups/consumer/consumer-group.ts';
import type { ConsumerClient } from '../consumer/consumer-client.ts';
import { shown, Topics } from '../consumer/consumer-client.ts';
import { MachineDriver } from '../machine-driver.ts';
import { ClassicClient } from './classic-client.ts';
import type { ClassicClientOptions } from './classic-client.ts';

export function driverWith(
  counts: Readonly<Record<string, number>> = { t: 4 },
  consumerConfig: Partial<ConsumerGroupConfig> = {},
): MachineDriver {
  const topics = new Topics(counts);
  return new MachineDriver({}, [], {
    topics,
    consumerConfig: { assignmentIntervalMs: 0, ...consumerConfig },
  });
}

export function consumerGroup(driver: MachineDriver): ConsumerGroup {
  const group = driver.machine.groups.get('g');
  if (!(group instanceof ConsumerGroup)) throw new Error('g is no consumer group');
  return group;
}

export function classics(
  driver: MachineDriver,
  names: readonly string[],
  options: Partial<ClassicClientOptions> = {},
): ClassicClient[] {
  const clients = names.map((name) => new ClassicClient(driver, { name, ...options }));
  settle(driver, clients);
  return clients;
}

export type Client = ClassicClient | ConsumerClient;

/** All do what comes next until nothing changes any more. */
export function settle(driver: MachineDriver, clients: readonly Client[]): void {
  for (let round = 0; round < 60; round++) {
    for (const client of clients) {
      if (client instanceof ClassicClient) client.proceed();
      else client.heartbeat();
    }
    const isStable = driver.machine.groups.get('g')?.state === 'Stable';
    const areThere = clients.every((client) => client.isSettled);
    if (isStable && areThere) return;
    driver.advance(500);
  }
  throw new Error(`the group does not settle: ${driver.machine.groups.get('g')?.state}`);
}

/** Who reads which partitions of t. */
export function readers(clients: readonly Client[]): number[][] {
  return clients.map(({ owned }) => [...(shown(owned)['t'] ?? [])]);
}

export function allOf(count: number): number[] {
  return Array.from({ length: count }, (_, partition) => partition);
}

export function inOrder(partitions: readonly number[]): number[] {
  return partitions.toSorted((left, right) => left - right);
}

export function joinOf(client: ClassicClient) {
  client.driver.freshIds.given += 1;
  return {
    kind: 'join',
    groupId: 'g',
    memberId: client.memberId,
    freshMemberId: `fresh-${client.driver.freshIds.given}`,
    groupInstanceId: null,
    clientId: client.name,
    clientHost: '/10.0.0.1',
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 60_000,
    protocolType: 'consumer',
    protocols: client.protocols,
    requiresKnownMemberId: true,
    supportsSkipAssignment: true,
  } as const;
}

export function syncOf(memberId: string) {
  return {
    kind: 'sync',
    groupId: 'g',
    generationId: 1,
    memberId,
    groupInstanceId: null,
    protocolType: null,
    protocolName: null,
    assignments: [],
  } as const;
}

/** All of a consumer group but its timers, in an order of its own; undefined where it is none. */
export function durable(driver: MachineDriver) {
  const group = driver.machine.groups.get('g');
  if (!(group instanceof ConsumerGroup)) return undefined;
  const sorted = <Value>(map: ReadonlyMap<string, Value>) =>
    [...map].toSorted(([left], [right]) => (left < right ? -1 : 1));
  return {
    epoch: group.epoch,
    assignmentEpoch: group.assignmentEpoch,
    assignedAtMs: group.assignedAtMs,
    state: group.state,
    staticMembers: sorted(group.staticMembers),
    members: sorted(group.members),
    target: sorted(group.target).filter(([memberId]) => group.members.has(memberId)),
  };
}

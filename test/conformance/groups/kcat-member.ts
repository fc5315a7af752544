/** kcat as a member: it does not speak the line protocol, so what it writes is translated. It commits when it likes, and does not say so. */
import type { MemberConfig, MemberEvent } from './line-protocol.ts';
import type { MemberClient, Translator } from './member-process.ts';

interface KcatRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly payload: string | null;
}

export const kcatClient: MemberClient = {
  name: 'kcat',
  isSilent: true,
  losesLast: true,
  command: (config) => ['kcat', kcatArguments(config)],
  translate: kcatTranslator,
};

function kcatArguments(config: MemberConfig): string[] {
  const settings: Record<string, string | number> = {
    'client.id': config.clientId,
    'partition.assignment.strategy': config.assignor,
    'session.timeout.ms': config.sessionTimeoutMs,
    'heartbeat.interval.ms': config.heartbeatIntervalMs,
    'auto.offset.reset': 'earliest',
    'auto.commit.interval.ms': 100,
    'fetch.wait.max.ms': 100,
    'topic.metadata.refresh.interval.ms': 2000,
    'max.poll.interval.ms': Math.max(config.rebalanceTimeoutMs, config.sessionTimeoutMs),
  };
  if (config.instanceId !== null) settings['group.instance.id'] = config.instanceId;
  const args = ['-b', config.brokers, '-J', '-u', '-G', config.groupId];
  for (const [name, value] of Object.entries(settings)) args.push('-X', `${name}=${value}`);
  return [...args, ...(config.pattern === null ? config.topics : [config.pattern])];
}

function now(): number {
  return Math.round((performance.timeOrigin + performance.now()) * 1000);
}

/**
 * `% Group NAME rebalanced (memberid ID): assigned: TOPIC [0], TOPIC [1]`, and for cooperative assignors `% Group NAME rebalanced:
 * incremental revoke of 1 partition(s) (memberid ID, ...): TOPIC [0]`: what is listed comes to the rest, or goes from it.
 */
function kcatTranslator(): Translator {
  const owned = new Set<string>();
  return {
    stdout(line) {
      if (line === '') return [];
      const { topic, partition, offset, payload }: KcatRecord = JSON.parse(line);
      return [{ event: 'record', at: now(), topic, partition, offset, value: payload ?? '' }];
    },
    stderr(line) {
      if (!/^% Group .* rebalanced/.test(line)) return [];
      const isGiven = /: assigned:|incremental assignment/.test(line);
      for (const [, topic, partition] of line.matchAll(/([^\s,]+) \[(\d+)\]/g)) {
        if (isGiven) owned.add(`${topic}/${partition}`);
        else owned.delete(`${topic}/${partition}`);
      }
      return [owns(owned)];
    },
  };
}

function owns(owned: ReadonlySet<string>): MemberEvent {
  const partitions: Record<string, number[]> = {};
  for (const place of owned) {
    const at = place.lastIndexOf('/');
    (partitions[place.slice(0, at)] ??= []).push(Number(place.slice(at + 1)));
  }
  return { event: 'owns', at: now(), partitions };
}

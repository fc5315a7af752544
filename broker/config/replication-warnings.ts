/**
 * What a user should hear about the replicas of a topic before a failure tells: two of them bear none, and several in one rack or on one
 * machine can go together. Nothing is refused for it. Pure: the controller logs these sentences, and the command line prints them.
 */

/** Where a node is. */
export interface FailureDomains {
  readonly rack: string | null;
  /** The machine. */
  readonly host: string | null;
}

export interface ReplicaSpread {
  /** Of one partition. */
  readonly replicas: number;
  /** Undefined where not all nodes have one. */
  readonly racks: number | undefined;
  readonly hosts: number | undefined;
}

/** `replicas` of a partition that have these nodes to lie on. */
export function spreadOver(nodes: readonly FailureDomains[], replicas: number): ReplicaSpread {
  return { replicas, racks: countOf(nodes, 'rack'), hosts: countOf(nodes, 'host') };
}

/** Sentences, each once; `spreads` are those of its partitions. */
export function replicationWarnings(topic: string, spreads: readonly ReplicaSpread[]): string[] {
  return [...new Set(spreads.flatMap((spread) => warningsOf(topic, spread)))];
}

function warningsOf(topic: string, { replicas, racks, hosts }: ReplicaSpread): string[] {
  const warnings: string[] = [];
  if (replicas === 2) {
    warnings.push(
      `${topic} has two replicas of each partition: while either is away, nobody leads the partition, writes to it or reads from it. ` +
        'With three it goes on without any one.',
    );
  }
  // Where machines are too few, racks are, too.
  if (hosts !== undefined && hosts < replicas) warnings.push(lost(topic, replicas, hosts, 'machine'));
  else if (racks !== undefined && racks < replicas) warnings.push(lost(topic, replicas, racks, 'rack'));
  return warnings;
}

function lost(topic: string, replicas: number, domains: number, domain: string): string {
  const where = domains === 1 ? `one ${domain}` : `${domains} ${domain}s`;
  return `${topic} has ${replicas} replicas of each partition and ${where} for them: the loss of one ${domain} can take a majority.`;
}

function countOf(nodes: readonly FailureDomains[], domain: 'rack' | 'host'): number | undefined {
  const names = nodes.map((node) => node[domain]);
  return names.includes(null) ? undefined : new Set(names).size;
}

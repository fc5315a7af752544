/**
 * One cluster runs at a time. Three idle nodes are not free, and on two processors the one that is measured would pay for the other. They
 * are stopped as a whole (SIGSTOP) rather than started for each turn, so that what has been compiled stays so.
 */
import { Kappalog } from '../../client/index.ts';
import type { Contender } from './contenders.ts';

/** After a cluster is whole again: elections and what follows them. */
const settleMs = 3000;
const withinMs = 120_000;

export class Turns {
  #running: Contender | undefined;
  readonly #contenders: readonly Contender[];
  #probes = 0;

  constructor(contenders: readonly Contender[]) {
    this.#contenders = contenders;
  }

  /** Resolves when this contender's cluster runs alone, and takes in what needs all of its nodes. */
  async begin(contender: Contender): Promise<void> {
    const before = this.#running;
    this.#running = contender;
    if (before?.cluster === contender.cluster) return;
    for (const { cluster } of this.#contenders)
      if (cluster !== contender.cluster) signal(cluster.pids, 'SIGSTOP');
    if (before === undefined) return;
    signal(contender.cluster.pids, 'SIGCONT');
    await this.#untilWhole(contender);
    await pause(settleMs);
  }

  /** All run again. */
  end(): void {
    for (const { cluster } of this.#contenders) signal(cluster.pids, 'SIGCONT');
  }

  /** Nodes that were stopped for longer than their sessions have to be let in again before a topic can have a replica on each. */
  async #untilWhole({ cluster, target }: Contender): Promise<void> {
    await using kappalog = new Kappalog({ brokers: target.address });
    await using admin = kappalog.admin();
    const untilMs = performance.now() + withinMs;
    for (;;) {
      const name = `probe-${++this.#probes}`;
      try {
        await admin.createTopics([{ name, partitions: 6, replicationFactor: 3 }]);
        await cluster.untilInSync(name, 6);
        await admin.deleteTopics([name]);
        return;
      } catch (error) {
        if (performance.now() > untilMs) throw error;
        await pause(200);
      }
    }
  }
}

function signal(pids: readonly number[], name: 'SIGSTOP' | 'SIGCONT'): void {
  for (const pid of pids) process.kill(pid, name);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

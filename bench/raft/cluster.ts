/** Three nodes as forked processes, and how the bench talks to them. */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { cpuSeconds, residentBytes } from '../../test/support/process-stats.ts';
import type { Answer, Command, Figures, Load, LoadResult, NodeStart } from './messages.ts';

const nodeIds = [1, 2, 3];

interface Node {
  readonly child: ChildProcess;
  /** Answers that have not been taken, and who waits for one. */
  readonly answers: Answer[];
  wake: (() => void) | undefined;
}

export class BenchCluster {
  readonly #nodes: readonly Node[];

  private constructor(nodes: readonly Node[]) {
    this.#nodes = nodes;
  }

  /** Each with a data directory of its own below this one. */
  static async start(directory: string): Promise<BenchCluster> {
    const cluster = new BenchCluster(nodeIds.map(forkNode));
    const starts = nodeIds.map((nodeId): NodeStart => ({ nodeId, directory: join(directory, `${nodeId}`) }));
    const answers = await Promise.all(starts.map((start, place) => cluster.#ask(place, start)));
    const ports: Record<number, number> = {};
    for (const [place, answer] of answers.entries()) {
      if (answer.kind === 'listening') ports[nodeIds[place]!] = answer.port;
    }
    await cluster.#askAll({ kind: 'connect', ports });
    return cluster;
  }

  /** Resolves when every group has a leader that is ready, and every member knows it. Returns how long that took. */
  async open(topic: string, groups: number): Promise<number> {
    const begin = performance.now();
    await this.#askAll({ kind: 'open', topic, groups });
    for (;;) {
      const figures = await this.figures(topic);
      const led = figures.reduce((sum, each) => sum + each.led, 0);
      if (led === groups && figures.every(({ placed }) => placed === groups)) break;
      await pause(50);
    }
    return performance.now() - begin;
  }

  async load(load: Load): Promise<readonly LoadResult[]> {
    const answers = await this.#askAll({ kind: 'load', load });
    return answers.flatMap((answer) => (answer.kind === 'loaded' ? [answer.result] : []));
  }

  async figures(topic: string): Promise<readonly Figures[]> {
    const answers = await this.#askAll({ kind: 'figures', topic });
    return answers.flatMap((answer) => (answer.kind === 'figures' ? [answer.figures] : []));
  }

  /** Of each node, since it began. */
  cpuSeconds(): number[] {
    return this.#nodes.map(({ child }) => cpuSeconds(child.pid!));
  }

  /** Of each node, when all garbage is gone. */
  async liveBytes(): Promise<number[]> {
    const answers = await this.#askAll({ kind: 'memory' });
    return answers.flatMap((answer) => (answer.kind === 'memory' ? [answer.liveBytes] : []));
  }

  residentBytes(): number[] {
    return this.#nodes.map(({ child }) => residentBytes(child.pid!));
  }

  async stop(): Promise<void> {
    await this.#askAll({ kind: 'stop' });
  }

  /** At once, for when something has gone wrong. */
  kill(): void {
    for (const { child } of this.#nodes) child.kill('SIGKILL');
  }

  #askAll(command: Command): Promise<Answer[]> {
    return Promise.all(this.#nodes.map((_, place) => this.#ask(place, command)));
  }

  async #ask(place: number, message: NodeStart | Command): Promise<Answer> {
    const node = this.#nodes[place]!;
    node.child.send(message);
    while (node.answers.length === 0) {
      await new Promise<void>((resolve) => {
        node.wake = resolve;
      });
    }
    const answer = node.answers.shift()!;
    if (answer.kind === 'failed') throw new Error(`node ${nodeIds[place]}: ${answer.text}`);
    return answer;
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

function forkNode(nodeId: number): Node {
  const child = fork(join(import.meta.dirname, 'node.ts'), {
    execArgv: [...process.execArgv, '--expose-gc'],
    // As the command line of a broker has it.
    env: { UV_THREADPOOL_SIZE: '16', ...process.env },
  });
  const node: Node = { child, answers: [], wake: undefined };
  const take = (answer: Answer): void => {
    node.answers.push(answer);
    node.wake?.();
  };
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a node sends nothing else
  child.on('message', (message) => take(message as Answer));
  child.on('exit', (code) =>
    take({ kind: 'failed', text: `node ${nodeId} has ended with ${code ?? 'a signal'}` }),
  );
  return node;
}

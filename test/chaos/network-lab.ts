/**
 * A network of its own for each node: a namespace with one address on a bridge that the harness stands on, too. Links are cut and
 * throttled from inside the namespaces, without netem: what comes from a cut-off address runs into a blackhole rule where it
 * arrives, so that each direction can be cut alone; `tbf` holds back what a node sends. Needs root and iproute2.
 */
import { execFileSync } from 'node:child_process';

/** Of a documentation of addresses for tests between networks (RFC 2544). */
const prefix = '198.18.77';
const harnessHost = 254;

export class NetworkLab {
  readonly #id: string;
  readonly #nodeIds: readonly number[];
  #isOpen = false;

  constructor(nodeIds: readonly number[]) {
    this.#id = `kl${process.pid}`;
    this.#nodeIds = nodeIds;
  }

  /** Why there can be none here; undefined where there can. */
  static obstacle(): string | undefined {
    const probe = `klprobe${process.pid}`;
    try {
      ip('netns', 'add', probe);
      ip('netns', 'del', probe);
      return undefined;
    } catch (error) {
      const reason = error instanceof Error ? error.message.trim().split('\n').at(-1) : String(error);
      return `network namespaces cannot be made (they need root and iproute2): ${reason}`;
    }
  }

  /** Where the harness, and so every client, is reached from the nodes. */
  get harnessAddress(): string {
    return `${prefix}.${harnessHost}`;
  }

  addressOf(nodeId: number): string {
    return `${prefix}.${nodeId}`;
  }

  namespaceOf(nodeId: number): string {
    return `${this.#id}n${nodeId}`;
  }

  /** @throws {Error} where another run has such a network */
  open(): void {
    removeLeftovers();
    this.#isOpen = true;
    // However the harness ends, nothing of it stays on the machine.
    process.on('exit', () => this.close());
    ip('link', 'add', this.#bridge, 'type', 'bridge');
    ip('address', 'add', `${this.harnessAddress}/24`, 'dev', this.#bridge);
    ip('link', 'set', this.#bridge, 'up');
    for (const nodeId of this.#nodeIds) {
      const namespace = this.namespaceOf(nodeId);
      const outer = `${this.#id}v${nodeId}`;
      ip('netns', 'add', namespace);
      ip('link', 'add', outer, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace);
      ip('link', 'set', outer, 'master', this.#bridge, 'up');
      ip('-n', namespace, 'address', 'add', `${this.addressOf(nodeId)}/24`, 'dev', 'eth0');
      ip('-n', namespace, 'link', 'set', 'lo', 'up');
      ip('-n', namespace, 'link', 'set', 'eth0', 'up');
      // The rule for what is meant for this host comes first otherwise, so that none before it could drop anything.
      ip('-n', namespace, 'rule', 'add', 'preference', '100', 'lookup', 'local');
      ip('-n', namespace, 'rule', 'del', 'preference', '0');
    }
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    for (const nodeId of this.#nodeIds) attempt('netns', 'del', this.namespaceOf(nodeId));
    attempt('link', 'del', this.#bridge);
  }

  /** Nothing that `from` sends arrives at `to` any more; what `to` sends still does. */
  cut(from: number, to: number): void {
    ip('-n', this.namespaceOf(to), 'rule', 'add', ...this.#cutRule(from));
  }

  mend(from: number, to: number): void {
    ip('-n', this.namespaceOf(to), 'rule', 'del', ...this.#cutRule(from));
  }

  /** What the node sends leaves at this rate; what waits for longer than two seconds is dropped. */
  throttle(nodeId: number, kilobitsPerSecond: number): void {
    const rate = ['rate', `${kilobitsPerSecond}kbit`, 'burst', '16kb', 'latency', '2000ms'];
    execFileSync('tc', [
      '-n',
      this.namespaceOf(nodeId),
      'qdisc',
      'add',
      'dev',
      'eth0',
      'root',
      'tbf',
      ...rate,
    ]);
  }

  unthrottle(nodeId: number): void {
    execFileSync('tc', ['-n', this.namespaceOf(nodeId), 'qdisc', 'del', 'dev', 'eth0', 'root']);
  }

  #cutRule(from: number): string[] {
    return ['preference', '10', 'from', this.addressOf(from), 'blackhole'];
  }

  get #bridge(): string {
    return `${this.#id}br`;
  }
}

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

/**
 * What a run that was killed has left would answer for the addresses of this one.
 *
 * @throws {Error} where that run is under way still
 */
function removeLeftovers(): void {
  const bridges = execFileSync('ip', ['-o', '-4', 'address', 'show', 'to', `${prefix}.0/24`], {
    encoding: 'utf8',
  });
  for (const [, id, pid] of bridges.matchAll(/(kl(\d+))br\s/g)) {
    if (isRunning(Number(pid))) throw new Error(`Another run, process ${pid}, has a network at ${prefix}.0.`);
    const namespaces = execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' });
    for (const [name] of namespaces.matchAll(new RegExp(`^${id}n\\d+`, 'gm'))) attempt('netns', 'del', name);
    attempt('link', 'del', `${id}br`);
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** At the end: what was never made need not go. */
function attempt(...args: string[]): void {
  try {
    ip(...args);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    console.error(`ip ${args.join(' ')}: ${error.message}`);
  }
}

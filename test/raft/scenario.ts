/**
 * Plays a scenario from text against members of one group, and logs everything that they do. A scenario file is a list of
 * commands, each followed by `----` and its log; lines that begin with # tell the story. `npx node test/raft/rewrite.ts` writes the
 * logs anew, to be reviewed as a diff.
 *
 *   cluster 3 [spares=1] [leases=2] [catch-up=snapshot] [message=1]
 *                         members 1 to 3 are voters; spares are nodes that are up and belong to no group
 *   campaign 1            asks for leadership now
 *   tick 1 [12] | tick all 12
 *   deliver 1>2 [kind]    the first message under way on that path, of that kind
 *   drop 1>2 [kind]       loses all of them
 *   repeat 1>2 [kind]     that message comes twice: its copy after all others
 *   delay 1>2 [kind]      that message comes after all others
 *   disks                 completes what the disks have to do
 *   disk 1                node 1's disk completes the first thing that it has to do, held or not
 *   stabilize             delivers and completes everything until nothing is under way
 *   hold 2 | release 2    node 2's disk completes nothing, or again everything
 *   cut 1 | 2 3           nothing gets through between the two sides;  cut 1>2: one way;  heal
 *   propose 1 [3]         so many entries in one batch
 *   change 1 voters=2,3 learners=4
 *   transfer 1 2 | read 1 | compact 1 | resign 1 | force 2 voters=2
 *   crash 1 | restart 1 | damage 1 keep=3
 *   wipe 1                the node is down, and starts again with an empty directory
 *   elect 1 | settle      campaign and stabilize, or stabilize alone, without a log
 *   status                one line for each member
 */
import { memberId, nodeOf } from '../../broker/raft/member.ts';
import type { MemberId } from '../../broker/raft/member.ts';
import type { Configuration } from '../../broker/raft/configuration.ts';
import type { Message } from '../../broker/raft/messages.ts';
import type { Output } from '../../broker/raft/raft.ts';
import { SeededRandom } from '../../platform/seeded-random.ts';
import { Checker } from './checker.ts';
import { simSettings } from './harness.ts';
import { SimNode } from './sim-node.ts';
import type { Packet, SimProcess } from './sim-node.ts';

interface UnderWay {
  readonly from: number;
  readonly to: number;
  readonly packet: Extract<Packet, { kind: 'group' }>;
}

type Command = (words: readonly string[], options: ReadonlyMap<string, string>) => void;

/** Plays the text and returns it with the logs as they are. */
export function play(text: string): string {
  const scenario = new Scenario();
  const parts: string[] = [];
  for (const block of text.trimEnd().split(/\n\n+/)) {
    const lines = block.split('\n');
    const end = lines.indexOf('----');
    if (end === -1) {
      parts.push(block);
      continue;
    }
    const head = lines.slice(0, end);
    const log = head.filter((line) => !line.startsWith('#')).flatMap((line) => scenario.run(line));
    parts.push([...head, '----', ...(log.length === 0 ? ['ok'] : log)].join('\n'));
  }
  return `${parts.join('\n\n')}\n`;
}

class Scenario {
  readonly #nodes = new Map<number, SimNode>();
  readonly #checker = new Checker();
  #underWay: UnderWay[] = [];
  readonly #disks = new Map<number, (() => void)[]>();
  readonly #held = new Set<number>();
  readonly #cut = new Set<string>();
  #log: string[] = [];
  #reads = 0;

  readonly #commands: Readonly<Record<string, Command>> = {
    cluster: ([count], options) => this.#cluster(Number(count), options),
    campaign: ([id]) => this.#input(id, (process) => process.input((raft) => raft.campaign())),
    tick: ([id, count]) => this.#tick(id, Number(count ?? 1)),
    deliver: ([path, kind]) => this.#deliver(this.#find(path, kind)[0]),
    drop: ([path, kind]) => {
      for (const message of this.#find(path, kind)) this.#take(message);
    },
    repeat: ([path, kind]) => {
      const [first] = this.#find(path, kind);
      if (first !== undefined) this.#underWay.push({ ...first });
    },
    delay: ([path, kind]) => {
      const [first] = this.#find(path, kind);
      if (first === undefined) return;
      this.#take(first);
      this.#underWay.push(first);
    },
    disk: ([id]) => {
      const action = this.#disks.get(Number(id))?.shift();
      if (action === undefined) throw new Error(`the disk of ${id} has nothing to do`);
      action();
    },
    disks: () => {
      for (const id of this.#nodes.keys()) if (!this.#held.has(id)) this.#complete(id);
    },
    stabilize: () => this.#stabilize(),
    hold: ([id]) => void this.#held.add(Number(id)),
    release: ([id]) => {
      this.#held.delete(Number(id));
      this.#complete(Number(id));
    },
    cut: (words) => this.#cutOff(words),
    heal: () => this.#cut.clear(),
    propose: ([id, count]) => {
      this.#input(id, (process) => {
        if (!process.propose(Number(count ?? 1))) this.#say(`${id} refuses`);
      });
    },
    change: ([id], options) => {
      const revision = this.#process(id).raft.configuration.revision + 1;
      const members = { ...membersIn(options), revision };
      this.#answer(
        id,
        this.#process(id).input((raft) => raft.changeMembers(members)),
      );
    },
    force: ([id], options) => {
      const members = { ...membersIn(options), revision: 100 };
      this.#answer(
        id,
        this.#process(id).input((raft) => raft.forceConfiguration(members)),
      );
    },
    transfer: ([id, to]) => {
      this.#answer(
        id,
        this.#process(id).input((raft) => raft.transferLeadership(member(to))),
      );
    },
    read: ([id]) => {
      const isTaken = this.#process(id).input((raft) => raft.requestRead(++this.#reads));
      this.#answer(id, isTaken ? undefined : 'not-leader');
    },
    resign: ([id]) => this.#input(id, (process) => process.input((raft) => raft.resign())),
    compact: ([id]) => this.#input(id, (process) => process.compact()),
    crash: ([id]) => {
      this.#node(id).crash();
      this.#disks.set(Number(id), []);
    },
    restart: ([id]) => this.#restart(Number(id)),
    damage: ([id], options) => this.#node(id).damage(Number(options.get('keep'))),
    wipe: ([id]) => this.#node(id).wipe(),
    elect: ([id]) => {
      this.#input(id, (process) => process.input((raft) => raft.campaign()));
      this.#stabilize();
      this.#log = [];
    },
    settle: () => {
      this.#stabilize();
      this.#log = [];
    },
    status: () => this.#status(),
  };

  run(line: string): string[] {
    this.#log = [];
    const [name = '', ...rest] = line.split(/\s+/);
    const command = this.#commands[name];
    if (command === undefined) throw new Error(`no command ${name}`);
    const pairs = rest.filter((word) => word.includes('=')).map((word) => word.split('=', 2));
    const options = new Map(pairs.map(([key, value]) => [key ?? '', value ?? '']));
    command(
      rest.filter((word) => !word.includes('=')),
      options,
    );
    return this.#log;
  }

  #cluster(voters: number, options: ReadonlyMap<string, string>): void {
    const ids = Array.from({ length: voters + Number(options.get('spares') ?? 0) }, (_, place) => place + 1);
    const configuration: Configuration = {
      voters: ids.slice(0, voters).map(member),
      outgoing: [],
      learners: [],
      revision: 0,
    };
    const driftTicks = options.get('leases');
    const leases = driftTicks === undefined ? undefined : { driftTicks: Number(driftTicks) };
    for (const id of ids) {
      this.#disks.set(id, []);
      const world = {
        random: new SeededRandom(id),
        checker: this.#checker,
        settings: { ...simSettings, leases, messageBytesMax: Number(options.get('message') ?? 5) },
        catchUp: options.get('catch-up') === 'snapshot' ? ('snapshot' as const) : ('segments' as const),
        after: (_ticks: number, action: () => void) => void this.#disks.get(id)?.push(action),
        send: (from: number, to: number, packet: Packet) => this.#send(from, to, packet),
        diskDelay: () => 0,
        crashKeeps: () => 0,
        readsSlowly: () => false,
        nodeOfMember: (wanted: string) => [...this.#nodes.values()].find((node) => node.member === wanted),
        onOutput: (nodeId: number, output: Output) => this.#logOutput(nodeId, output),
        onRead: () => undefined,
      };
      this.#nodes.set(id, new SimNode(id, world, configuration));
    }
    for (const id of ids) this.#restart(id);
    this.#heartbeats();
  }

  #restart(id: number): void {
    this.#node(String(id)).start([...this.#nodes.keys()].filter((other) => other !== id));
    this.#heartbeats();
  }

  /** Nodes greet each other, without time going on at those that are not ticked. */
  #heartbeats(): void {
    for (const node of this.#nodes.values()) node.process?.greet();
  }

  #send(from: number, to: number, packet: Packet): void {
    if (this.#cut.has(`${from}>${to}`)) return;
    // Heartbeats between nodes arrive at once and are not shown.
    if (packet.kind === 'node') this.#nodes.get(to)?.process?.receive(packet);
    else this.#underWay.push({ from, to, packet });
  }

  #tick(id: string | undefined, count: number): void {
    const ids = id === 'all' ? [...this.#nodes.keys()].map(String) : [id];
    for (let tick = 0; tick < count; tick++) {
      for (const each of ids) this.#nodes.get(Number(each))?.process?.tick();
    }
  }

  #stabilize(): void {
    for (let round = 0; round < 10_000; round++) {
      for (const id of this.#nodes.keys()) if (!this.#held.has(id)) this.#complete(id);
      const next = this.#underWay[0];
      const isBusy = [...this.#disks].some(([id, queue]) => !this.#held.has(id) && queue.length > 0);
      if (next === undefined && !isBusy) return;
      if (next !== undefined) this.#deliver(next);
    }
    throw new Error('the group does not come to rest');
  }

  #complete(id: number): void {
    for (;;) {
      const queue = this.#disks.get(id) ?? [];
      const action = queue.shift();
      if (action === undefined) return;
      action();
    }
  }

  #find(path: string | undefined, kind: string | undefined): UnderWay[] {
    const found = this.#underWay.filter(
      ({ from, to, packet }) =>
        `${from}>${to}` === path && (kind === undefined || packet.message.kind === kind),
    );
    if (found.length === 0) throw new Error(`nothing is under way on ${path}`);
    return found;
  }

  #take(message: UnderWay): void {
    this.#underWay = this.#underWay.filter((other) => other !== message);
  }

  #deliver(message: UnderWay | undefined): void {
    if (message === undefined) return;
    this.#take(message);
    const { from, to, packet } = message;
    const process = this.#nodes.get(to)?.process;
    if (this.#cut.has(`${from}>${to}`) || process === undefined) return;
    this.#say(`${from}>${to} ${brief(packet.message)}`);
    process.receive(packet);
  }

  #cutOff(words: readonly string[]): void {
    const bar = words.indexOf('|');
    if (bar === -1) {
      for (const path of words) this.#cut.add(path);
    } else {
      for (const one of words.slice(0, bar)) {
        for (const other of words.slice(bar + 1)) {
          this.#cut.add(`${one}>${other}`);
          this.#cut.add(`${other}>${one}`);
        }
      }
    }
    this.#underWay = this.#underWay.filter(({ from, to }) => !this.#cut.has(`${from}>${to}`));
  }

  #status(): void {
    for (const [id, node] of this.#nodes) {
      const raft = node.process?.raft;
      if (raft === undefined) {
        this.#say(`${id} down`);
        continue;
      }
      const { role, term, lastTerm, endIndex, committedEndIndex, isTicking, leader } = raft;
      const vote = node.disk.hardState.votedFor;
      this.#say(
        `${id} ${role} term=${term} vote=${vote === undefined ? '-' : nodeOf(vote)} leader=${
          leader === undefined ? '-' : nodeOf(leader)
        } end=${lastTerm}/${endIndex} committed=${committedEndIndex}${isTicking ? ' ticking' : ''}`,
      );
    }
  }

  #input(id: string | undefined, call: (process: SimProcess) => void): void {
    call(this.#process(id));
  }

  #answer(id: string | undefined, refusal: string | undefined): void {
    if (refusal !== undefined) this.#say(`${id} refuses: ${refusal}`);
  }

  #node(id: string | undefined): SimNode {
    const node = this.#nodes.get(Number(id));
    if (node === undefined) throw new Error(`no node ${id}`);
    return node;
  }

  #process(id: string | undefined): SimProcess {
    const { process } = this.#node(id);
    if (process === undefined) throw new Error(`node ${id} is down`);
    return process;
  }

  #say(line: string): void {
    this.#log.push(line);
  }

  #logOutput(id: number, output: Output): void {
    const line = briefOutput(output);
    if (line !== undefined) this.#say(`  ${id} ${line}`);
  }
}

function member(id: string | number | undefined): MemberId {
  return memberId(Number(id), `d${id}`);
}

function membersIn(options: ReadonlyMap<string, string>): { voters: MemberId[]; learners: MemberId[] } {
  const list = (name: string): MemberId[] => {
    const text = options.get(name) ?? '';
    return text === '' ? [] : text.split(',').map(member);
  };
  return { voters: list('voters'), learners: list('learners') };
}

function ids(members: readonly MemberId[]): string {
  return members.map(nodeOf).join(',');
}

function briefConfiguration({ voters, outgoing, learners }: Configuration): string {
  const parts = [`voters=${ids(voters)}`];
  if (outgoing.length > 0) parts.push(`outgoing=${ids(outgoing)}`);
  if (learners.length > 0) parts.push(`learners=${ids(learners)}`);
  return parts.join(' ');
}

function brief(message: Message): string {
  const head = `${message.kind} t${message.term}`;
  switch (message.kind) {
    case 'vote':
    case 'pre-vote':
      return `${head} last=${message.lastTerm}/${message.lastIndex}${message.isTransfer ? ' transfer' : ''}`;
    case 'vote-answer':
    case 'pre-vote-answer':
      return `${head} ${message.isGranted ? 'yes' : 'no'}`;
    case 'append':
      return `${head} [${message.fromIndex},${message.endIndex}) after t${message.previousTerm} committed=${message.committedEndIndex}`;
    case 'append-answer':
      return message.rejected === undefined
        ? `${head} matched=${message.matchedEndIndex} flushed=${message.flushedEndIndex} committed=${message.committedEndIndex}`
        : `${head} not ${message.rejected.fromIndex}, has t${message.rejected.hint.term} up to ${message.rejected.hint.endIndex}`;
    case 'snapshot-chunk':
      return `${head} of ${message.snapshot.lastIndex} [${message.position},${message.position + message.sizeBytes})`;
    case 'snapshot-answer':
      return `${head} position=${message.position}`;
    case 'copy-request':
      return `${head} up to ${message.endIndex}`;
    default:
      return head;
  }
}

function briefOutput(output: Output): string | undefined {
  switch (output.kind) {
    case 'persist-hard-state': {
      const { term, votedFor } = output.hardState;
      return `persists term=${term} vote=${votedFor === undefined ? '-' : nodeOf(votedFor)}`;
    }
    case 'append-own':
      return `appends ${output.index} ${output.entry.kind}`;
    case 'append':
      return `appends [${output.fromIndex},${output.endIndex})`;
    case 'truncate':
      return `truncates to ${output.endIndex}`;
    case 'committed':
      return `committed=${output.endIndex}`;
    case 'role':
      return `${output.role} t${output.term}${output.leader === undefined ? '' : ` of ${nodeOf(output.leader)}`}`;
    case 'configuration':
      return `${output.index}: ${briefConfiguration(output.configuration)}`;
    case 'configuration-committed':
      return `configuration ${output.index} committed`;
    case 'read':
      return output.endIndex === undefined ? 'read fails' : `read up to ${output.endIndex}`;
    case 'transfer-ended':
      return `transfer to ${nodeOf(output.to)} ${output.reason}`;
    case 'install-snapshot':
      return `installs snapshot of ${output.snapshot.lastIndex}`;
    case 'copy-segments':
      return `copies segments of ${nodeOf(output.leader)}`;
    case 'repaired':
    case 'data-lost':
      return output.kind;
    case 'ticking':
      return output.isTicking ? 'wants ticks' : 'is at rest';
    default:
      return undefined;
  }
}

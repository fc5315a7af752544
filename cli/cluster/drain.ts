/** `kappalog cluster drain | decommission`: what a node holds goes to others, and it may leave for good. */
import type { Admin } from '../../client/index.ts';
import { KafkaError } from '../../client/index.ts';
import { CliError } from '../cli-error.ts';
import { confirm, parseCount, unknownNode, withClient } from '../client.ts';
import type { ClientOptions, CommandContext } from '../command-context.ts';
import { ExitCode } from '../exit-codes.ts';
import { countOf, formatCount } from '../table.ts';
import { describeAllTopics, drainedNodesSetting, hasMajority, readDrained } from './cluster-state.ts';
import { watch } from './watching.ts';

export interface DrainOptions extends ClientOptions {
  readonly undo?: boolean;
  readonly wait: boolean;
  readonly dryRun?: boolean;
}

export interface DecommissionOptions extends ClientOptions {
  readonly yes?: boolean;
}

/** What a node still holds. */
interface Held {
  readonly replicas: number;
  readonly leaders: number;
  /** Of its partitions, those that cannot be moved, as too few of their replicas are there. */
  readonly blocked: number;
}

/** So long nothing but what cannot be moved must be left before the command waits no more. */
const stuckMsMax = 30_000;

/** How long the metadata's voters may take to change after the last replica has gone. */
const votersMsMax = 10_000;

/** Drains a node, or takes that back. */
export async function drainNode(
  node: string,
  options: DrainOptions,
  context: CommandContext,
): Promise<ExitCode> {
  const nodeId = parseCount(node, 'The node', 0);
  return withClient(options, async (client) => {
    const admin = client.admin();
    await existingNode(admin, nodeId);
    if (options.undo === true) return undoDrain(admin, nodeId, context);
    const before = await heldBy(admin, nodeId);
    await askForDrain(admin, nodeId, options.dryRun === true);
    if (options.dryRun === true) {
      context.output.result({ node: nodeId, dryRun: true, ...before }, () => wouldMove(nodeId, before));
      return ExitCode.ok;
    }
    const after = options.wait ? await whenEmpty(admin, nodeId, context) : before;
    const isStuck = options.wait && after.replicas > 0;
    const votes = options.wait ? await whenNoVoter(admin, nodeId) : undefined;
    const document = { node: nodeId, drained: after.replicas === 0, ...after, votes: votes ?? null };
    context.output.result(document, () =>
      isStuck ? stuckText(nodeId, after) : drainedText(nodeId, { before, after, votes }),
    );
    return isStuck ? ExitCode.partial : ExitCode.ok;
  });
}

/** Drains a node, waits, and takes it out of the cluster. */
export async function decommissionNode(
  node: string,
  options: DecommissionOptions,
  context: CommandContext,
): Promise<void> {
  const nodeId = parseCount(node, 'The node', 0);
  await withClient(options, async (client) => {
    const admin = client.admin();
    await existingNode(admin, nodeId);
    const before = await heldBy(admin, nodeId);
    // What cannot be is said before anybody is asked.
    await askForDrain(admin, nodeId, true);
    const question = `${wouldMove(nodeId, before)} Then the node is taken out of the cluster for good.${await voterNote(admin, nodeId)}`;
    await confirm(question, { yes: options.yes === true }, context);
    await askForDrain(admin, nodeId, false);
    const after = await whenEmpty(admin, nodeId, context);
    if (after.replicas > 0) {
      const message = `${stuckText(nodeId, after)} It stays in the cluster until then.`;
      throw new CliError('DRAIN_STUCK', message, { exitCode: ExitCode.partial });
    }
    await whenNoVoter(admin, nodeId);
    await admin.unregisterBroker(nodeId);
    context.output.result(
      { node: nodeId, removed: true, replicasMoved: before.replicas },
      () =>
        `Node ${nodeId} is out of the cluster. Its process ends by itself; its data directory can go, and its number be used again with an empty one.`,
    );
  });
}

async function undoDrain(admin: Admin, nodeId: number, context: CommandContext): Promise<ExitCode> {
  const wasDrained = (await readDrained(admin)).has(nodeId);
  const change = { type: 'broker', name: '', subtract: { [drainedNodesSetting]: String(nodeId) } } as const;
  if (wasDrained) await admin.alterConfigs([change]);
  const leaving = wasDrained
    ? (await admin.listPartitionReassignments()).filter(({ removing }) => removing.includes(nodeId))
    : [];
  const results = await admin.alterPartitionReassignments(
    leaving.map(({ topic, partition }) => ({ topic, partition, replicas: null })),
  );
  const failed = results.filter(
    ({ error }) => error !== null && error.code !== 'NO_REASSIGNMENT_IN_PROGRESS',
  );
  const takenBack = results.length - failed.length;
  context.output.result(
    {
      node: nodeId,
      drained: false,
      changed: wasDrained,
      takenBack,
      failed: failed.map(({ topic, partition, error }) => ({ topic, partition, code: error!.code })),
    },
    () =>
      wasDrained
        ? [
            `Node ${nodeId} takes replicas again; ${countOf(takenBack, 'replica that was on its way stays', 'replicas that were on their way stay')} there.`,
            ...failed.map(
              ({ topic, partition, error }) => `${topic}-${partition} goes on leaving it: ${error!.message}`,
            ),
            'What has left it comes back with "kappalog cluster rebalance --replicas".',
          ].join('\n')
        : `Node ${nodeId} was not drained.`,
  );
  return failed.length === 0 ? ExitCode.ok : ExitCode.partial;
}

/** The node, which must be one of the cluster. */
async function existingNode(admin: Admin, nodeId: number): Promise<void> {
  const { brokers } = await admin.describeCluster();
  if (brokers.some(({ id }) => id === nodeId)) return;
  throw unknownNode(
    nodeId,
    brokers.map(({ id }) => id),
  );
}

async function askForDrain(admin: Admin, nodeId: number, validateOnly: boolean): Promise<void> {
  const change = { type: 'broker', name: '', append: { [drainedNodesSetting]: String(nodeId) } } as const;
  try {
    await admin.alterConfigs([change], { validateOnly });
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
    if (error.retriable) {
      const message = `${error.message} Nothing can be changed while the metadata has no leader; "kappalog cluster status" says whether it has one.`;
      throw new CliError(error.code, message, { exitCode: ExitCode.timeout, cause: error });
    }
    const reason = error.brokerMessage ?? error.message;
    throw new CliError(error.code, `Node ${nodeId} cannot be drained. ${reason}`, { cause: error });
  }
}

/** Resolves when the node holds nothing, or nothing that could be moved for quite some time. */
async function whenEmpty(admin: Admin, nodeId: number, context: CommandContext): Promise<Held> {
  let stuckSinceMs: number | undefined;
  const isStuck = ({ replicas, blocked }: Held): boolean => {
    if (replicas > blocked) stuckSinceMs = undefined;
    else stuckSinceMs ??= performance.now();
    return stuckSinceMs !== undefined && performance.now() - stuckSinceMs >= stuckMsMax;
  };
  const undo = `"kappalog cluster drain ${nodeId} --undo" takes it back`;
  return watch(
    {
      look: () => heldBy(admin, nodeId),
      isDone: (held) => held.replicas === 0 || isStuck(held),
      describe: (held) => `Node ${nodeId} still has ${describeHeld(held)}`,
      withoutWatcher: `The drain of node ${nodeId} goes on by itself; the same command watches it again, and ${undo}.`,
    },
    context,
  );
}

async function heldBy(admin: Admin, nodeId: number): Promise<Held> {
  const [topics, reassignments, { brokers }] = await Promise.all([
    describeAllTopics(admin),
    admin.listPartitionReassignments(),
    admin.describeCluster(),
  ]);
  const serving = new Set(brokers.filter(({ fenced }) => !fenced).map(({ id }) => id));
  const adding = new Map(reassignments.map((each) => [`${each.topic}/${each.partition}`, each.adding]));
  const held = topics.flatMap(({ name, partitions }) =>
    partitions
      .filter(({ replicas }) => replicas.includes(nodeId))
      .map(({ partition, leader, replicas }) => ({
        leader,
        replicas,
        adding: adding.get(`${name}/${partition}`) ?? [],
      })),
  );
  return {
    replicas: held.length,
    leaders: held.filter(({ leader }) => leader === nodeId).length,
    blocked: held.filter((each) => !hasMajority(each, serving)).length,
  };
}

/**
 * Whether the node goes on voting on the metadata, after others had time to take its place; undefined where the brokers do not tell.
 */
async function whenNoVoter(admin: Admin, nodeId: number): Promise<boolean | undefined> {
  const untilMs = performance.now() + votersMsMax;
  for (;;) {
    const votes = await isVoter(admin, nodeId);
    if (votes !== true || !(await hasSubstitute(admin, nodeId)) || performance.now() > untilMs) return votes;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

async function isVoter(admin: Admin, nodeId: number): Promise<boolean | undefined> {
  try {
    return (await admin.describeQuorum()).voters.some(({ id }) => id === nodeId);
  } catch (error) {
    if (error instanceof KafkaError && error.code === 'UNSUPPORTED_VERSION') return undefined;
    throw error;
  }
}

/** Whether another node could vote instead: one that serves, is not drained and does not vote yet. */
async function hasSubstitute(admin: Admin, nodeId: number): Promise<boolean> {
  const [{ brokers }, drained, { voters }] = await Promise.all([
    admin.describeCluster(),
    readDrained(admin),
    admin.describeQuorum(),
  ]);
  return brokers.some(
    ({ id, fenced }) =>
      !fenced && id !== nodeId && !drained.has(id) && !voters.some((voter) => voter.id === id),
  );
}

async function voterNote(admin: Admin, nodeId: number): Promise<string> {
  if ((await isVoter(admin, nodeId)) !== true || (await hasSubstitute(admin, nodeId))) return '';
  return ' It votes on the metadata and no other node can take its place: fewer will vote after it.';
}

function wouldMove(nodeId: number, { replicas, leaders }: Held): string {
  if (replicas === 0) return `Node ${nodeId} holds no replicas.`;
  const which = leaders === 0 ? '' : `, ${formatCount(leaders)} of which it leads,`;
  return `${countOf(replicas, 'replica')} of node ${nodeId}${which} ${replicas === 1 ? 'moves' : 'move'} to other nodes.`;
}

function describeHeld({ replicas, leaders, blocked }: Held): string {
  const parts = [
    countOf(replicas, 'replica'),
    countOf(leaders, 'leadership'),
    ...(blocked === 0
      ? []
      : [`${formatCount(blocked)} that cannot be moved until more of their replicas are back`]),
  ];
  return parts.join(', ');
}

function stuckText(nodeId: number, { replicas }: Held): string {
  const what = countOf(replicas, 'replica');
  return (
    `Node ${nodeId} still has ${what} of partitions that cannot be moved: too few of their replicas are there. ` +
    'They leave it by themselves once more are back.'
  );
}

function drainedText(
  nodeId: number,
  { before, after, votes }: { before: Held; after: Held; votes: boolean | undefined },
): string {
  const done =
    before.replicas === 0
      ? `Node ${nodeId} is drained and holds nothing.`
      : after.replicas === 0
        ? `Node ${nodeId} is drained: ${countOf(before.replicas, 'replica has', 'replicas have')} gone to other nodes.`
        : `The drain of node ${nodeId} has begun: it has ${describeHeld(after)}. The same command watches it.`;
  const voter =
    votes === true
      ? [
          `It goes on voting on the metadata, as no other node can take its place; "kappalog cluster decommission ${nodeId}" ends that.`,
        ]
      : [];
  return [done, ...voter].join('\n');
}

/**
 * All that the controller can be asked to do, by name. An operation is a pure decision of the present image, what nodes have
 * reported and a request; it runs on the controller alone, wherever it was asked for. Requests and results travel as JSON: plain
 * objects, arrays, strings, numbers, booleans and null. To add one: write its decision, name it here, call it from `cluster.ts`.
 */
import { decideAlterConfigs, decideReplaceConfigs } from './alter-configs.ts';
import type { ResourceAlteration, ResourceReplacement } from './alter-configs.ts';
import { decideBootstrap, decideProducerIds } from './controller.ts';
import type { ControllerState, Decision } from './controller.ts';
import { decideCreatePartitions } from './create-partitions.ts';
import type { PartitionsToCreate } from './create-partitions.ts';
import { decideCreateTopics } from './create-topics.ts';
import type { TopicToCreate } from './create-topics.ts';
import { decideDeleteTopics } from './delete-topics.ts';
import { decideDirectories } from './directories.ts';
import type { DirectoriesToAssign } from './directories.ts';
import { decideUpdateFeatures } from './features.ts';
import type { FeatureUpdate } from './features.ts';
import { internalTopicToCreate } from './internal-topics.ts';
import { decideReplacement } from './lost-directories.ts';
import type { LostDirectory } from './lost-directories.ts';
import { decideCompletions, decideReassignments } from './reassignments.ts';
import type { CompletedReassignment, ReassignmentsAsked } from './reassignments.ts';
import { decideRegistration, decideRegistrationChange, decideUnregistration } from './registration.ts';
import type { RegistrationChange, RegistrationRequest } from './registration.ts';

interface Operation<Request, Result> {
  /**
   * Doing it again, whatever others did in between, is as good as doing it once: it may be repeated where the outcome of the first
   * attempt is unknown. Others are given up then with REQUEST_TIMED_OUT.
   */
  readonly isRepeatable: boolean;
  /** It chooses where replicas go: the controller looks at its own disks before. */
  readonly places?: boolean;
  /** Where it places replicas that bear less than one might think, the controller's log says so. */
  readonly warns?: boolean;
  readonly decide: (state: ControllerState, request: Request) => Decision<Result>;
}

function operation<Request, Result>(
  decide: Operation<Request, Result>['decide'],
  options: Omit<Operation<Request, Result>, 'decide'>,
): Operation<Request, Result> {
  return { ...options, decide };
}

const once = { isRepeatable: false } as const;
const repeatable = { isRepeatable: true } as const;

export const operations = {
  createTopics: operation((state, topics: readonly TopicToCreate[]) => decideCreateTopics(state, topics), {
    ...once,
    places: true,
    warns: true,
  }),
  createPartitions: operation(
    (state, topics: readonly PartitionsToCreate[]) => decideCreatePartitions(state, topics),
    { ...once, places: true, warns: true },
  ),
  /** Only ever made as the settings say: one that is there already is as good. */
  createInternalTopic: operation(
    (state, name: string) =>
      decideCreateTopics(state, [internalTopicToCreate(name, state.config, state.nodeCount)]),
    { ...repeatable, places: true, warns: true },
  ),
  deleteTopics: operation((state, topicIds: readonly string[]) => decideDeleteTopics(state, topicIds), once),
  /** The setting that drains nodes places their replicas elsewhere. */
  alterConfigs: operation(
    (state, resources: readonly ResourceAlteration[]) => decideAlterConfigs(state, resources),
    { ...once, places: true },
  ),
  replaceConfigs: operation(
    (state, resources: readonly ResourceReplacement[]) => decideReplaceConfigs(state, resources),
    { ...once, places: true },
  ),
  updateFeatures: operation(
    (state, updates: readonly FeatureUpdate[]) => decideUpdateFeatures(state, updates),
    once,
  ),
  /** A block that nobody hears of is lost, and there are enough. */
  allocateProducerIds: operation(
    (state, nodeId: number) => decideProducerIds(state.image, nodeId),
    repeatable,
  ),
  /** Only the node itself says where its replicas lie. */
  assignDirectories: operation(
    (state, { nodeId, assignments }: DirectoriesToAssign) =>
      decideDirectories(state.image, nodeId, assignments),
    repeatable,
  ),
  /** A directory is replaced once. */
  replaceDirectory: operation((state, lost: LostDirectory) => decideReplacement(state, lost), repeatable),
  reassign: operation((state, asked: ReassignmentsAsked) => decideReassignments(state, asked), {
    ...once,
    places: true,
    warns: true,
  }),
  /** Bound to one revision of each partition. */
  completeReassignments: operation(
    (state, completed: readonly CompletedReassignment[]) => decideCompletions(state.image, completed),
    repeatable,
  ),
  /** The same start of a node is registered once. */
  register: operation((state, node: RegistrationRequest) => decideRegistration(state, node), repeatable),
  /** Bound to one registration. */
  changeRegistration: operation(
    (state, change: RegistrationChange) => decideRegistrationChange(state, change),
    repeatable,
  ),
  unregister: operation((state, nodeId: number) => decideUnregistration(state, nodeId), once),
  /** Writes only where nobody has; the answer's offset is where the controller's image ended after the question. */
  catchUp: operation<null, void>((state) => decideBootstrap(state.image), repeatable),
} as const;

export type OperationName = keyof typeof operations;
export type RequestOf<Name extends OperationName> = Parameters<(typeof operations)[Name]['decide']>[1];
export type ResultOf<Name extends OperationName> = ReturnType<(typeof operations)[Name]['decide']>['result'];

/** An operation with its request, as it is asked for. */
export interface Asked<Name extends OperationName> {
  readonly name: Name;
  readonly request: RequestOf<Name>;
  /** Only says what would be. */
  readonly validateOnly: boolean;
}

/** Done, and the image that has what it did ends here or later. */
export interface Done<Name extends OperationName> {
  readonly result: ResultOf<Name>;
  readonly endOffset: number;
}

export function decide<Name extends OperationName>(
  state: ControllerState,
  { name, request }: Asked<Name>,
): Decision<ResultOf<Name>> {
  // The table pairs each name with its request and result, which the compiler cannot follow through a lookup.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above
  const known = operations[name] as unknown as Operation<RequestOf<Name>, ResultOf<Name>>;
  return known.decide(state, request);
}

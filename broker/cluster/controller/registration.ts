/**
 * Nodes become known, are fenced while nobody hears of them, and are forgotten (KIP-631). Pure; see `controller.ts`.
 *
 * A registration has an epoch of its own. Whoever says something in the name of an older one is told that it is stale: two
 * processes that take themselves for the same node cannot both count.
 */
import type { ControllerState, Decision, Refusal } from './controller.ts';
import { withoutDrained } from './drained-nodes.ts';
import type { FeatureRange } from '../metadata/broker-image.ts';
import type { BrokerImage, EndpointImage, MetadataImage } from '../metadata/metadata-image.ts';
import { hostField } from '../metadata/metadata-record.ts';
import { memberId } from '../../raft/member.ts';

/** The name of the listener for traffic between nodes. */
export const internalListener = 'INTERNAL';

export interface NodeRegistration {
  readonly nodeId: number;
  /** Fresh for each start of the node. */
  readonly incarnationId: string;
  /** `securityProtocol` is Kafka's number: 0 is PLAINTEXT. The one between nodes is named INTERNAL. */
  readonly endpoints: readonly EndpointImage[];
  readonly rack: string | null;
  /** Names the machine: nodes of one machine fail together. */
  readonly host: string | null;
  /** The first holds the metadata log. */
  readonly logDirectories: readonly string[];
  /** It is not ready for clients yet and will say so when it is; without meaning where there is no other node. */
  readonly fenced?: boolean;
}

/** As the node itself says it, whose release may be another one than the controller's. */
export type RegistrationRequest = NodeRegistration & { readonly features: readonly FeatureRange[] };

export type RegistrationOutcome =
  | { readonly kind: 'registered'; readonly epoch: number }
  | ({ readonly kind: 'refused' } & Refusal);

/** A node has started. */
export function decideRegistration(
  state: Pick<ControllerState, 'image' | 'aliveNodes'>,
  node: RegistrationRequest,
): Decision<RegistrationOutcome> {
  const { image } = state;
  const known = image.brokers.get(node.nodeId);
  if (known?.incarnationId === node.incarnationId) {
    return { records: [], result: { kind: 'registered', epoch: known.epoch } };
  }
  const refusal =
    checkTakenOut(image, node) ??
    (known !== undefined && state.aliveNodes.has(known.id) ? checkDuplicate(known, node) : undefined) ??
    checkFeatures(image, node);
  if (refusal !== undefined) return { records: [], result: { kind: 'refused', ...refusal } };
  // The number of the record itself, which is new each time and grows.
  const epoch = image.endOffset;
  const isAlone = [...image.brokers.keys()].every((id) => id === node.nodeId);
  const value = {
    brokerId: node.nodeId,
    incarnationId: node.incarnationId,
    brokerEpoch: epoch,
    endPoints: node.endpoints,
    features: node.features,
    rack: node.rack,
    fenced: node.fenced === true && !isAlone,
    logDirs: node.logDirectories,
    ...(node.host === null ? {} : { unknownTaggedFields: hostField(node.host) }),
  };
  return { records: [{ type: 'RegisterBrokerRecord', value }], result: { kind: 'registered', epoch } };
}

/** Who was taken out for good is not let in again by being started: what it had has gone to others, and they may have gone on. */
function checkTakenOut(
  image: MetadataImage,
  { nodeId, logDirectories }: NodeRegistration,
): Refusal | undefined {
  const gone = logDirectories.find((directory) => image.isGoneMember(memberId(nodeId, directory)));
  return gone === undefined ? undefined : { error: 'INVALID_REGISTRATION', message: takenOutMessage(nodeId) };
}

export function takenOutMessage(nodeId: number): string {
  return (
    `Node ${nodeId} was taken out of the cluster with the data directory that it has. ` +
    'Give it an empty one, and it joins as a new node.'
  );
}

/** At most one process has the same first directory and listens at the same address: the one before has then ended. */
function checkDuplicate(known: BrokerImage, node: NodeRegistration): Refusal | undefined {
  const before = addressOf(known.endpoints);
  const now = addressOf(node.endpoints);
  const isRestart =
    known.logDirectories[0] === node.logDirectories[0] &&
    before?.host === now?.host &&
    before?.port === now?.port;
  if (isRestart) return undefined;
  const where = before === undefined ? '' : ` at ${before.host}:${before.port}`;
  return {
    error: 'DUPLICATE_BROKER_REGISTRATION',
    message:
      `Another node with the id ${node.nodeId} is alive${where}. ` +
      'Give this one an id of its own, or wait until the session of the other has ended.',
  };
}

function checkFeatures(image: MetadataImage, node: RegistrationRequest): Refusal | undefined {
  for (const [name, level] of image.features) {
    const served = node.features.find((feature) => feature.name === name);
    if (served !== undefined && served.minSupportedVersion <= level && level <= served.maxSupportedVersion)
      continue;
    return {
      error: 'UNSUPPORTED_VERSION',
      message: `Node ${node.nodeId} does not support level ${level} of ${name}, which this cluster has agreed on.`,
    };
  }
  return undefined;
}

export interface RegistrationChange {
  readonly nodeId: number;
  /** Of the registration that is meant: another one is left alone. */
  readonly epoch: number;
  readonly fenced?: boolean;
  readonly inControlledShutdown?: boolean;
}

/** A node is fenced or no longer, or about to stop. */
export function decideRegistrationChange(
  { image }: Pick<ControllerState, 'image'>,
  { nodeId, epoch, fenced, inControlledShutdown }: RegistrationChange,
): Decision<void> {
  const known = image.brokers.get(nodeId);
  if (known?.epoch !== epoch) return { records: [], result: undefined };
  const value = {
    brokerId: nodeId,
    brokerEpoch: epoch,
    fenced: step(known.fenced, fenced),
    inControlledShutdown: step(known.inControlledShutdown, inControlledShutdown),
  };
  if (value.fenced === 0 && value.inControlledShutdown === 0) return { records: [], result: undefined };
  return { records: [{ type: 'BrokerRegistrationChangeRecord', value }], result: undefined };
}

export type Unregistration = { readonly kind: 'unregistered' } | ({ readonly kind: 'refused' } & Refusal);

/** A node is gone for good. It must hold no replicas any more, or be silent. */
export function decideUnregistration(
  { image, aliveNodes }: Pick<ControllerState, 'image' | 'aliveNodes'>,
  nodeId: number,
): Decision<Unregistration> {
  const known = image.brokers.get(nodeId);
  if (known === undefined) {
    const message = `Node ${nodeId} is not registered.`;
    return { records: [], result: { kind: 'refused', error: 'BROKER_ID_NOT_REGISTERED', message } };
  }
  const held = image.replicaCount(nodeId);
  if (held > 0 && aliveNodes.has(nodeId)) {
    const message = `Node ${nodeId} is alive and holds ${held} replica(s). Drain it, or stop it.`;
    return { records: [], result: { kind: 'refused', error: 'INVALID_REQUEST', message } };
  }
  const value = { brokerId: nodeId, brokerEpoch: known.epoch };
  return {
    // A node that gets its number later is another one.
    records: [{ type: 'UnregisterBrokerRecord', value }, ...withoutDrained(image, nodeId)],
    result: { kind: 'unregistered' },
  };
}

/** As BrokerRegistrationChangeRecord has it: 1 it becomes so, -1 it is so no more, 0 as before. */
function step(before: boolean, after: boolean | undefined): number {
  if (after === undefined || after === before) return 0;
  return after ? 1 : -1;
}

/** The address between nodes; of a node that has none, that of its first listener. */
export function addressOf(endpoints: readonly EndpointImage[]): EndpointImage | undefined {
  return endpoints.find(({ name }) => name === internalListener) ?? endpoints[0];
}

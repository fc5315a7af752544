/** The HTTP interface: health, readiness and metrics. It asks the node and never changes it. */
import { fastify } from 'fastify';
import type { FastifyInstance } from 'fastify';
import { assert } from '../../platform/assert.ts';
import type { Address } from '../../platform/network.ts';
import type { GroupAnswer, GroupsView } from './groups-view.ts';

export interface HttpNode {
  /** Whether clients may rely on this node now. */
  readiness(): Readiness;
  /** What of its storage cannot be used, for operators; a node that is ready may have lost a part of it. */
  offline(): StorageState;
  /** The metrics in Prometheus' text format, and its content type. */
  metrics(): Promise<{ contentType: string; text: string }>;
  readonly groups: GroupsView;
}

/** `partitionsBehind` counts; `partitions` names a few of them, as `topic-partition`. */
export type Readiness =
  | { readonly kind: 'ready' }
  | {
      readonly kind: 'waiting';
      readonly reason: 'stopping' | 'fenced' | 'no-controller';
      readonly message: string;
    }
  | {
      readonly kind: 'waiting';
      readonly reason: 'catching-up';
      readonly message: string;
      readonly partitionsBehind: number;
      readonly partitions: readonly string[];
    };

/** Empty lists where all is well. */
export interface StorageState {
  readonly offlineDirectories: readonly { readonly path: string; readonly reason: string }[];
  /** As `topic-partition`; a few of them, where there are many. */
  readonly offlinePartitions: readonly string[];
  readonly damagedPartitions: readonly string[];
}

export interface HttpServer {
  readonly address: Address;
  close(): Promise<void>;
}

/** Rejects with Node's own error where the address cannot be bound. */
export async function openHttpServer(address: Address, node: HttpNode): Promise<HttpServer> {
  const server = fastify({ logger: false, forceCloseConnections: true });
  addRoutes(server, node);
  await server.listen({ host: address.host, port: address.port });
  const bound = server.server.address();
  assert(bound !== null && typeof bound === 'object', 'a listening server has a port');
  return {
    address: { host: bound.address, port: bound.port },
    close: () => server.close(),
  };
}

function addRoutes(server: FastifyInstance, node: HttpNode): void {
  server.get('/health/live', () => ({ status: 'live' }));
  server.get('/health/ready', (_request, reply) => {
    const { kind, ...waiting } = node.readiness();
    if (kind === 'ready') return { status: 'ready', ...node.offline() };
    return reply.code(503).send({ status: 'not ready', ...waiting, ...node.offline() });
  });
  server.get('/groups', () => ({
    groups: [...node.groups.all()],
    partitionsNotWatched: node.groups.leftOut(),
  }));
  server.get<{ Params: { id: string } }>('/groups/:id', (request, reply) => {
    const { id } = request.params;
    const answer = node.groups.one(id);
    if (answer.kind === 'found') return answer.group;
    const [code, refusal] = refusalOf(id, answer);
    return reply.code(code).send(refusal);
  });
  server.get('/metrics', async (_request, reply) => {
    const { contentType, text } = await node.metrics();
    return reply.header('content-type', contentType).send(text);
  });
}

function refusalOf(
  id: string,
  answer: Exclude<GroupAnswer, { kind: 'found' }>,
): [code: number, refusal: object] {
  if (answer.kind === 'unknown') return [404, { error: `There is no group ${id}.` }];
  if (answer.kind === 'loading') {
    return [503, { error: `This node is about to coordinate the group ${id}: try again.` }];
  }
  const { coordinator } = answer;
  const where = coordinator === null ? 'no node does at present' : `node ${coordinator} does`;
  return [421, { error: `This node does not coordinate the group ${id}: ${where}.`, coordinator }];
}

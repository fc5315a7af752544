/** What a node opens to the world: the listener for Kafka's clients, and HTTP for health and metrics. */
import { BufferPool } from '../platform/buffer-pool.ts';
import type { Address } from '../platform/network.ts';
import type { Platform } from '../platform/platform.ts';
import type { BrokerConfig } from './config/broker-config.ts';
import type { NodeServices } from './handlers/node-services.ts';
import type { HttpNode, HttpServer } from './http/http-server.ts';
import type { NodeGauges } from './http/metrics.ts';
import type { Logger } from './logger.ts';
import { Dispatcher } from './network/dispatcher.ts';
import { KafkaListener } from './network/kafka-listener.ts';
import type { RequestMemory } from './network/request-memory.ts';
import { openListener } from './node-start.ts';

export const clientListenerName = 'PLAINTEXT';

/** Memory of large requests kept for the next ones. */
const idleBuffersBytes = 64 * 1024 * 1024;

export interface KafkaListenerOptions {
  readonly address: Address;
  readonly platform: Platform;
  readonly config: BrokerConfig;
  readonly memory: RequestMemory;
  readonly logger: Logger;
  readonly services: NodeServices;
  readonly observe: (api: string, tookMs: number) => void;
}

/** Bound, and not served yet. Rejects with a StartError. */
export function openKafkaListener(options: KafkaListenerOptions): Promise<KafkaListener> {
  const { address, platform, config, memory, logger, services, observe } = options;
  const { clock, network } = platform;
  return openListener(address, 'Kafka', () =>
    KafkaListener.open({
      name: clientListenerName,
      address,
      network,
      clock,
      memory,
      pool: new BufferPool({ idleBytesMax: idleBuffersBytes }),
      logger,
      dispatcher: new Dispatcher({ node: services, authorize: () => true, observe }),
      limits: {
        requestBytesMax: config.socketRequestMaxBytes,
        // These two can be altered while the broker runs.
        get connectionsMax() {
          return config.maxConnections;
        },
        get connectionsPerAddressMax() {
          return config.maxConnectionsPerIp;
        },
        idleMsMax: config.connectionsMaxIdleMs,
      },
    }),
  );
}

export interface HttpListenerOptions {
  readonly address: Address;
  readonly health: Pick<HttpNode, 'readiness' | 'offline' | 'groups'>;
  readonly gauges: NodeGauges;
}

/** The server, and who is to be told of answered requests. Rejects with a StartError. */
export async function openHttpListener({ address, health, gauges }: HttpListenerOptions): Promise<{
  readonly http: HttpServer;
  readonly observe: (api: string, tookMs: number) => void;
}> {
  // Loaded only where it is used: an embedded broker starts in half the time without it.
  const { openHttpServer } = await import('./http/http-server.ts');
  const { Metrics } = await import('./http/metrics.ts');
  const metrics = new Metrics(gauges);
  const http = await openListener(address, 'HTTP', () =>
    openHttpServer(address, { ...health, metrics: () => metrics.text() }),
  );
  return { http, observe: (api, tookMs) => metrics.observeRequest(api, tookMs) };
}
